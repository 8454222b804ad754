"""The two readers, held against music21's own parser and against tunes small enough to read by eye."""

from pathlib import Path

import numpy as np
import pytest

from earmark.catalogue.songbook.abc import read_abc
from earmark.catalogue.songbook.corpus import corpus_folder
from earmark.catalogue.songbook.musicxml import read_musicxml
from earmark.catalogue.songbook.score import UnusableScore, beat_quarters

HEADER = "X:1\nT:A tune\nM:2/4\nL:1/8\nR:reel\nK:{key}\n"
FILLING = "|".join(["CDEF"] * 12)


def tune(tmp_path: Path, music: str, key: str = "C") -> Path:
    path = tmp_path / "tune.abc"
    path.write_text(HEADER.format(key=key) + music + "|" + FILLING + "|\n", encoding="utf-8")
    return path


def first_notes(path: Path, count: int) -> list[tuple[float, float, int]]:
    return [(note.onset, note.duration, note.pitch) for note in read_abc(path).parts[0][:count]]


def heard_by_music21(path: Path) -> list[list[tuple[float, float, int]]]:
    from music21 import converter

    parts = []
    for part in converter.parse(path, forceSource=True).toSoundingPitch().parts:
        notes = []
        for element in part.flatten().stripTies().notes:
            if element.duration.isGrace or element.quarterLength == 0:
                continue
            sounding = element.pitches
            notes += [
                (round(float(element.offset), 3), round(float(element.quarterLength), 3), p.midi) for p in sounding
            ]
        parts.append(sorted(notes))
    return parts


class TestAgainstMusic21:
    @pytest.mark.parametrize(
        "name",
        ["bach/bwv269.mxl", "bach/bwv347.mxl", "trecento/PMFC_04-Cara mi donna.xml", "mozart/k80/movement3.mxl"],
    )
    def test_a_score_in_musicxml_is_read_note_for_note(self, name):
        path = corpus_folder() / name
        ours = [
            sorted((round(n.onset, 3), round(n.duration, 3), n.pitch) for n in part)
            for part in read_musicxml(path).parts
        ]

        theirs = heard_by_music21(path)

        assert [len(part) for part in ours] == [len(part) for part in theirs]
        # music21 takes a rounded third of a quarter for an exact one
        assert np.concatenate(ours) == pytest.approx(np.concatenate(theirs), abs=0.005)

    @pytest.mark.parametrize("name", ["AllyCroakersFavoriteReel.abc", "AcaciaReel.abc", "BlackSheepJig.abc"])
    def test_a_dance_tune_in_abc_has_the_pitches_that_music21_reads(self, name):
        path = corpus_folder() / "ryansMammoth" / name
        ours = [note.pitch for note in read_abc(path).parts[0]]

        assert ours == [pitch for part in heard_by_music21(path) for _, _, pitch in part]


class TestAbc:
    def test_a_note_is_as_long_as_its_number_and_its_slashes_say(self, tmp_path):
        notes = first_notes(tune(tmp_path, "C2 D/ E/ F3/2 G//"), 5)

        assert [duration for _, duration, _ in notes] == [1.0, 0.25, 0.25, 0.75, 0.125]

    def test_broken_rhythm_gives_to_one_note_what_it_takes_from_the_other(self, tmp_path):
        notes = first_notes(tune(tmp_path, "C>D E<F"), 4)

        assert notes == [(0.0, 0.75, 60), (0.75, 0.25, 62), (1.0, 0.25, 64), (1.25, 0.75, 65)]

    def test_three_notes_of_a_triplet_take_the_time_of_two(self, tmp_path):
        notes = first_notes(tune(tmp_path, "(3CDE F"), 4)

        assert [onset for onset, _, _ in notes] == pytest.approx([0, 1 / 3, 2 / 3, 1])

    def test_an_accidental_lasts_until_the_bar_and_no_further(self, tmp_path):
        assert [pitch for _, _, pitch in first_notes(tune(tmp_path, "^F F =F F|F"), 5)] == [66, 66, 65, 65, 65]

    @pytest.mark.parametrize(
        ("key", "pitch"), [("G", 66), ("D", 66), ("F", 65), ("Edor", 66), ("Gm", 65), ("Amix", 66)]
    )
    def test_the_key_sharpens_f_where_it_should(self, tmp_path, key, pitch):
        assert first_notes(tune(tmp_path, "F", key), 1)[0][2] == pitch

    def test_tied_notes_sound_once(self, tmp_path):
        assert first_notes(tune(tmp_path, "C2-|C2 D"), 2) == [(0.0, 2.0, 60), (2.0, 0.5, 62)]

    def test_fingerings_bowings_ornaments_and_grace_notes_make_no_sound(self, tmp_path):
        assert [p for _, _, p in first_notes(tune(tmp_path, '"4"vC {cd}uD !3!.E (~F)'), 4)] == [60, 62, 64, 65]

    def test_endings_are_played_as_printed(self, tmp_path):
        assert [p for _, _, p in first_notes(tune(tmp_path, "|:C2|1 D2:|2 E2:|"), 3)] == [60, 62, 64]

    def test_the_upbeat_ends_at_the_first_bar_line(self, tmp_path):
        assert read_abc(tune(tmp_path, "C|DEFG")).pickup == 0.5

    def test_a_sign_that_it_does_not_know_is_named(self, tmp_path):
        with pytest.raises(UnusableScore, match=r"the sign '\+'") as caught:
            read_abc(tune(tmp_path, "C + D"))

        assert caught.value.kind == "malformed"

    def test_a_tune_of_a_few_notes_is_too_short(self, tmp_path):
        path = tmp_path / "tune.abc"
        path.write_text(HEADER.format(key="C") + "CDEF|\n", encoding="utf-8")

        with pytest.raises(UnusableScore, match="4 notes"):
            read_abc(path)


class TestMusicXml:
    def test_a_tie_whose_end_is_not_marked_still_makes_one_note(self, tmp_path):
        note = "<note><pitch><step>C</step><octave>4</octave></pitch><duration>1</duration>{}</note>"
        tied, last, free = note.format("<tie type='start'/>"), note.format(""), note.format("")
        bar = f"<measure>{tied}{last}{free}</measure>"
        part = f"<part><measure><attributes><divisions>1</divisions></attributes></measure>{bar * 16}</part>"
        (tmp_path / "score.xml").write_text(f"<score-partwise>{part}</score-partwise>", encoding="utf-8")

        assert [n.duration for n in read_musicxml(tmp_path / "score.xml").parts[0]] == [2.0, 1.0] * 16

    def test_a_rest_of_a_wrong_length_does_not_part_the_voices(self, tmp_path):
        note = "<measure><note><pitch><step>C</step><octave>4</octave></pitch><duration>4</duration></note></measure>"
        rest = "<measure><note><rest/><duration>8</duration></note></measure>"
        upper, lower = f"<part>{note * 30}</part>", f"<part>{rest}{note * 29}</part>"
        (tmp_path / "score.xml").write_text(f"<score-partwise>{upper}{lower}</score-partwise>", encoding="utf-8")
        parts = read_musicxml(tmp_path / "score.xml").parts

        assert [n.onset for n in parts[0]][1:] == [n.onset for n in parts[1]]

    def test_a_file_that_is_no_xml_is_refused(self, tmp_path):
        (tmp_path / "score.xml").write_text("no score", encoding="utf-8")

        with pytest.raises(UnusableScore, match="not well-formed"):
            read_musicxml(tmp_path / "score.xml")

    def test_a_file_that_claims_rights_is_refused(self):
        with pytest.raises(UnusableScore, match="EDIZIONI") as caught:
            read_musicxml(corpus_folder() / "monteverdi/madrigal.5.4.mxl")

        assert caught.value.kind == "rights"


class TestBeat:
    @pytest.mark.parametrize(
        ("beats", "beat_type", "quarters"),
        [(2, 4, 1), (4, 4, 1), (6, 8, 1.5), (9, 8, 1.5), (3, 4, 1), (3, 2, 2), (2, 2, 2)],
    )
    def test_players_tap_thirds_of_a_compound_bar_and_units_of_a_simple_one(self, beats, beat_type, quarters):
        assert beat_quarters(beats, beat_type) == quarters
