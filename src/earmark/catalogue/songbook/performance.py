"""From score to waveform: choose the place, play it on the soundfont, put it into a room.

Every step treats every style alike. A clip begins with a note and lasts exactly as long as asked; a piece that is too
short is begun again, as players of dance tunes do.
"""

import math
from pathlib import Path

import numpy as np
import scipy.fft
from numpy.typing import NDArray
from symusic import core

from earmark.catalogue.songbook.conditions import Conditions
from earmark.catalogue.songbook.score import TOLERANCE_QUARTERS, Note, Score

# symusic 0.5.9 never returns from a note far above the sample that it is made of: at 44.1 kHz violins hang from pitch
# 102 on, at 24 kHz many instruments from 90 on. So render at Opus's own rate, and fold what lies outside by octaves.
SAMPLE_RATE_HZ = 48_000
LOWEST_PITCH, HIGHEST_PITCH = 36, 96

FADE_S = 0.01  # at both ends, so that a cut makes no click
LOUDEST = 0.99
SHORTEST_NOTE_S = 0.03
PIVOT_HZ = 1_000.0  # where the tone control turns
LOWEST_HZ = 40.0  # below it the tone control is flat

Waveform = NDArray[np.float32]


def excerpt(score: Score, *, length: float, place: float) -> list[list[Note]]:
    """``length`` quarter notes of ``score``, onsets counted from the excerpt's beginning, for each part.

    Args:
        score: The piece.
        length: In quarter notes; the piece is begun again where it ends.
        place: 0 begins with the piece, 1 as late as its end allows; moved on to the next onset of any part.
    """
    earliest = place * max(0.0, score.length - length)
    onsets = sorted(note.onset for part in score.parts for note in part)
    start = next((onset for onset in onsets if onset >= earliest - TOLERANCE_QUARTERS), onsets[0])
    parts: list[list[Note]] = []
    for part in score.parts:
        heard = []
        for time in range(math.ceil((start + length) / score.length)):
            shift = time * score.length - start
            for note in part:
                onset, end = note.onset + shift, note.end + shift
                if onset < length and end > TOLERANCE_QUARTERS:
                    heard.append(Note(max(0.0, onset), end - max(0.0, onset), note.pitch))
        parts.append(heard)
    return parts


def play(score: Score, conditions: Conditions, *, seconds: float, soundfont: Path) -> Waveform:
    """Play the dry sound of ``seconds`` of ``score``, shape ``(time,)`` at `SAMPLE_RATE_HZ`."""
    quarters_per_second = conditions.beats_per_minute / 60 * score.beat
    random = np.random.default_rng([conditions.noise_seed, 1])
    sheet = core.ScoreSecond(480)
    for at, notes in enumerate(excerpt(score, length=seconds * quarters_per_second, place=conditions.place)):
        track = core.TrackSecond(f"part {at}", conditions.programs[at % len(conditions.programs)], False)
        for note in notes:
            late = abs(random.normal(0.0, conditions.timing_spread_s)) if note.onset > 0 else 0.0
            velocity = random.normal(conditions.velocity, conditions.velocity_spread)
            held = max(SHORTEST_NOTE_S, note.duration / quarters_per_second * conditions.articulation)
            pitch = folded(note.pitch + conditions.semitones)
            track.notes.append(
                core.NoteSecond(note.onset / quarters_per_second + late, held, pitch, int(np.clip(velocity, 20, 127)))
            )
        sheet.tracks.append(track)
    stereo = np.asarray(core.Synthesizer(str(soundfont), SAMPLE_RATE_HZ, 0).render(sheet, True), dtype=np.float64)
    mono = stereo.mean(axis=0 if stereo.shape[0] < stereo.shape[1] else 1)
    samples = round(seconds * SAMPLE_RATE_HZ)
    return np.pad(mono[:samples], (0, max(0, samples - len(mono)))).astype(np.float32)


def folded(pitch: int) -> int:
    """``pitch``, moved by octaves into what every instrument of the pool plays: `LOWEST_PITCH` to `HIGHEST_PITCH`."""
    while pitch > HIGHEST_PITCH:
        pitch -= 12
    while pitch < LOWEST_PITCH:
        pitch += 12
    return pitch


def record(dry: Waveform, conditions: Conditions) -> Waveform:
    """``dry`` in a room, through a microphone with its noise, at a level: same shape, within ±`LOUDEST`."""
    random = np.random.default_rng([conditions.noise_seed, 2])
    music = _tilted(_in_room(dry, conditions, random), conditions.tilt_db_per_octave)
    noise = _tilted(random.standard_normal(len(dry), dtype=np.float32), conditions.noise_slope_db_per_octave)
    noise *= _rms(music) / _rms(noise) * 10 ** (-conditions.signal_to_noise_db / 20)
    clip = music + noise
    clip *= 10 ** (conditions.level_dbfs / 20) / _rms(clip)
    ramp = np.linspace(0.0, 1.0, round(FADE_S * SAMPLE_RATE_HZ), dtype=np.float32)
    clip[: len(ramp)] *= ramp
    clip[-len(ramp) :] *= ramp[::-1]
    return np.asarray(np.clip(clip, -LOUDEST, LOUDEST))


def _in_room(dry: Waveform, conditions: Conditions, random: np.random.Generator) -> Waveform:
    """A diffuse room: noise that falls by 60 dB in the reverberation time (Moorer 1979), begun after its first echo."""
    time = np.arange(round(conditions.reverberation_s * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    tail = random.standard_normal(len(time)) * 10 ** (-3 * time / conditions.reverberation_s)
    tail[: round(0.008 * SAMPLE_RATE_HZ)] = 0.0
    tail *= np.sqrt(conditions.reverberation_share / np.sum(tail**2))
    tail[0] = 1.0
    tail = tail.astype(np.float32)
    size = scipy.fft.next_fast_len(len(dry) + len(tail), real=True)
    wet = scipy.fft.irfft(scipy.fft.rfft(dry, size) * scipy.fft.rfft(tail, size), size)[: len(dry)]
    return np.asarray(wet, dtype=np.float32)


def _tilted(sound: Waveform, db_per_octave: float) -> Waveform:
    size = scipy.fft.next_fast_len(len(sound), real=True)
    frequency = np.maximum(scipy.fft.rfftfreq(size, 1 / SAMPLE_RATE_HZ), LOWEST_HZ)
    gain = ((frequency / PIVOT_HZ) ** (db_per_octave / (20 * np.log10(2)))).astype(np.float32)
    return np.asarray(scipy.fft.irfft(scipy.fft.rfft(sound, size) * gain, size)[: len(sound)], dtype=np.float32)


def _rms(sound: Waveform) -> float:
    return float(np.sqrt(np.mean(sound**2)) + 1e-12)
