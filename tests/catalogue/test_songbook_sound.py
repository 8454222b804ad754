"""What is heard: the same length, level and room for every style, drawn from the piece's name and nothing else."""

import dataclasses
import io

import av
import numpy as np
import pytest
from scipy.stats import kruskal
from symusic import core

from earmark.catalogue.songbook.conditions import LEVEL_DBFS, PROGRAMS, draw
from earmark.catalogue.songbook.corpus import STYLES, candidates, soundfont
from earmark.catalogue.songbook.opus import encode_opus
from earmark.catalogue.songbook.performance import (
    HIGHEST_PITCH,
    LOWEST_PITCH,
    SAMPLE_RATE_HZ,
    excerpt,
    folded,
    play,
    record,
)
from earmark.catalogue.songbook.score import Note, Score

SCALE = Score(parts=(tuple(Note(float(at), 1.0, 60 + at % 12) for at in range(32)),), beat=1.0, pickup=0.0, length=32.0)


def decoded(audio: bytes) -> np.ndarray:
    with av.open(io.BytesIO(audio)) as container:
        return np.concatenate([frame.to_ndarray()[0] for frame in container.decode(audio=0)])


class TestConditions:
    def test_the_same_seed_and_piece_draw_the_same(self):
        assert draw(1, "reel/Acacia") == draw(1, "reel/Acacia")

    def test_another_seed_or_another_piece_draws_otherwise(self):
        assert len({draw(1, "reel/Acacia"), draw(2, "reel/Acacia"), draw(1, "reel/Alhambra")}) == 3

    def test_no_condition_tells_the_style(self):
        drawn = {style: [draw(20, piece.piece_id) for piece in pieces[:45]] for style, pieces in candidates(20).items()}
        chances = {}
        for field in dataclasses.fields(next(iter(drawn.values()))[0]):
            if field.name != "programs":
                chances[field.name] = kruskal(
                    *[[getattr(one, field.name) for one in of] for of in drawn.values()]
                ).pvalue
        chances["program"] = kruskal(*[[one.programs[0] for one in of] for of in drawn.values()]).pvalue

        # sixteen tests: the least of sixteen fair chances lies above this in 99 of 100 cases
        assert min(chances.values()) > 0.01 / 16, chances


class TestExcerpt:
    def test_it_begins_with_a_note(self):
        part = excerpt(SCALE, length=7.0, place=0.43)[0]

        assert part[0].onset == 0.0

    def test_it_stays_inside_a_piece_that_is_long_enough(self):
        part = excerpt(SCALE, length=8.0, place=1.0)[0]

        assert [note.pitch for note in part] == [60 + at % 12 for at in range(24, 32)]

    def test_a_piece_that_is_too_short_begins_again(self):
        part = excerpt(SCALE, length=70.0, place=0.5)[0]

        assert [note.onset for note in part] == [float(at) for at in range(70)]
        assert [note.pitch for note in part] == [60 + at % 32 % 12 for at in range(70)]

    def test_a_note_that_was_held_before_is_struck_at_the_beginning(self):
        long = Note(0.0, 32.0, 48)
        upper, lower = excerpt(dataclasses.replace(SCALE, parts=(*SCALE.parts, (long,))), length=4.0, place=0.5)

        assert upper[0].onset == lower[0].onset == 0.0
        assert lower[0].pitch == 48


class TestSynthesis:
    def test_every_note_of_every_instrument_comes_back_and_sounds(self):
        silent = []
        for program in PROGRAMS:
            for pitch in range(LOWEST_PITCH, HIGHEST_PITCH + 1, 3):
                sheet, track = core.ScoreSecond(480), core.TrackSecond("part", program, False)
                track.notes.append(core.NoteSecond(0.0, 0.4, pitch, 80))
                sheet.tracks.append(track)
                sound = core.Synthesizer(str(soundfont()), SAMPLE_RATE_HZ, 0).render(sheet, True)
                if np.sqrt(np.mean(sound**2)) < 1e-3:
                    silent.append((program, pitch))

        assert silent == []

    @pytest.mark.parametrize("pitch", [0, 35, 36, 60, 96, 97, 127])
    def test_a_note_out_of_range_moves_by_octaves(self, pitch):
        assert LOWEST_PITCH <= folded(pitch) <= HIGHEST_PITCH
        assert (folded(pitch) - pitch) % 12 == 0

    def test_a_clip_lasts_as_long_as_asked_and_keeps_its_level(self):
        conditions = draw(3, "a scale")
        clip = record(play(SCALE, conditions, seconds=2.5, soundfont=soundfont()), conditions)

        assert clip.shape == (round(2.5 * SAMPLE_RATE_HZ),)
        assert 20 * np.log10(np.sqrt(np.mean(clip**2))) == pytest.approx(conditions.level_dbfs, abs=0.2)


class TestOpus:
    def test_the_bytes_are_the_same_at_every_call(self):
        noise = np.random.default_rng(1).normal(0, 0.1, SAMPLE_RATE_HZ).astype(np.float32)

        assert encode_opus(noise, sample_rate_hz=SAMPLE_RATE_HZ) == encode_opus(noise, sample_rate_hz=SAMPLE_RATE_HZ)

    def test_what_comes_out_lasts_as_long_as_what_went_in_and_is_as_loud(self):
        tone = (0.1 * np.sin(2 * np.pi * 440 * np.arange(SAMPLE_RATE_HZ * 3 // 2) / SAMPLE_RATE_HZ)).astype(np.float32)
        back = decoded(encode_opus(tone, sample_rate_hz=SAMPLE_RATE_HZ))

        assert len(back) == len(tone)
        assert np.sqrt(np.mean(back**2)) == pytest.approx(0.1 / np.sqrt(2), rel=0.03)


def test_there_are_eight_styles_and_room_below_full_scale():
    assert len(STYLES) == 8
    assert max(LEVEL_DBFS) <= -20
