"""Bands that play in a known tempo and key: drums, bass, chords and a tune, out of a few signs for each style.

symusic 0.5.9 plays most of the soundfont's instruments out of tune, by semitones and more (its issue 55), among them
some of the songbook's; nobody could name a key of those. So instruments are drawn from `IN_TUNE`: for each, the pitches
at which more than 0.6 of the energy was measured to lie at multiples of the note's frequency.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from symusic import core

from earmark.catalogue.songbook.conditions import Conditions
from earmark.catalogue.songbook.corpus import soundfont
from earmark.catalogue.songbook.performance import SAMPLE_RATE_HZ

IN_TUNE = {  # General MIDI program, from 0: lowest and highest pitch
    **{5: (36, 76), 6: (48, 80), 8: (36, 78)},  # electric piano, harpsichord, celesta
    **{10: (36, 96), 108: (36, 77)},  # music box, kalimba
    **{25: (36, 58), 28: (36, 68), 45: (36, 83), 46: (36, 90)},  # guitars, plucked strings, harp
    **{43: (36, 73), 44: (36, 96)},  # contrabass, strings
    **{56: (59, 96), 57: (36, 69), 58: (36, 66), 64: (36, 96), 65: (65, 96)},  # brass, saxophones
    **{68: (36, 89), 70: (36, 62), 72: (36, 85), 73: (36, 96), 74: (36, 96)},  # oboe, bassoon, flutes
}
DRUMS = {"kick": 36, "snare": 38, "stick": 37, "hat": 42, "open": 46, "ride": 51, "clap": 39}
MAJOR, MINOR = (0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10)
DOMINANT = 4
MINOR_SHARE, TUNE_SHARE = 0.4, 0.7


@dataclass(frozen=True)
class Groove:
    """What is played in each bar: ``x`` loud, ``o`` soft, ``.`` nothing, one sign a step.

    Attributes:
        bpm: Range of the tempi that it is played at.
        beats: In a bar.
        bass: When the bass plays: the chord's root, at ``o`` sometimes its fifth.
        chords: When the chord is struck; ``a``: one note of it after the other.
        drums: By name.
        swing: When the second half of a beat begins, as a share of the beat: 0.5 straight, 0.67 triplets.
    """

    bpm: tuple[float, float]
    beats: int
    bass: str
    chords: str
    drums: dict[str, str] = field(default_factory=dict)
    swing: tuple[float, float] = (0.5, 0.5)


@dataclass(frozen=True)
class Style:
    """Grooves, and progressions of chords in major and minor: degrees of the scale from 0, one a bar."""

    grooves: tuple[Groove, ...]
    major: tuple[tuple[int, ...], ...]
    minor: tuple[tuple[int, ...], ...]


BANDS_OF = {
    "fit": Style(
        (
            Groove((90, 150), 4, "xoxoxoxo", "x.......", {"kick": "x...x...", "snare": "..x...x.", "hat": "xoxoxoxo"}),
            Groove((118, 132), 4, ".x.x.x.x", "..x..x.x", {"kick": "x.x.x.x.", "clap": "..x...x.", "open": ".x.x.x.x"}),
            Groove(
                (80, 125),
                4,
                "x..x....",
                "x...x...",
                {"kick": "x..x....", "snare": "..x...x.", "hat": "xoxoxoxo"},
                (0.6, 0.67),
            ),
            Groove((80, 180), 3, "x.....", "..x.x.", {"kick": "x.....", "hat": "..x.x."}),
            Groove((60, 100), 4, "x.......", "aaaaaaaa"),
            Groove(
                (60, 84),
                4,
                "x.....x...x.....",
                "x.......x.......",
                {"kick": "x.....x...x.....", "snare": "....x.......x...", "hat": "xoxoxoxoxoxoxoxo"},
            ),
        ),
        major=((0, 4, 5, 3), (0, 3, 4, 0), (0, 5, 3, 4)),
        minor=((0, 5, 2, 6), (0, 3, 4, 0), (0, 6, 5, 4)),
    ),
    "check": Style(
        (
            Groove(
                (100, 140),
                4,
                "x..x..x.x.....x.",
                "..x...x...x...x.",
                {"kick": "x....x..x.x.....", "snare": "....x..o.o..x..o", "hat": "x.o.x.o.x.o.x.o."},
            ),
            Groove((100, 180), 4, "x.x.x.x.", "...x....", {"ride": "x.xox.xo", "stick": "..x...x."}, (0.6, 0.67)),
            Groove((60, 90), 4, "x.......", "x...x...", {"kick": "x...o...", "snare": "....x...", "hat": "xoxoxoxo"}),
            Groove((65, 100), 4, "x.xo.x.o", ".x.x.x.x", {"stick": "..x...x.", "hat": ".x.x.x.x", "kick": "....x..."}),
            Groove((160, 178), 4, "x.......", "x.......", {"kick": "x....x..", "snare": "..x...x.", "hat": "xxxxxxxx"}),
            Groove((70, 120), 3, "x.....", "aaaaaa"),
        ),
        major=((5, 3, 0, 4), (0, 3, 0, 4), (1, 4, 0, 0)),
        minor=((0, 3, 6, 2), (5, 6, 0, 0), (0, 4, 0, 3)),
    ),
}


@dataclass(frozen=True)
class Band:
    """Who plays what: ``kind`` is band, drums (alone) or drone (one chord that is held)."""

    kind: str
    groove: Groove
    progression: tuple[int, ...]
    bpm: float
    tonic: int
    minor: bool
    swing: float
    programs: dict[str, int]

    def play(self, seconds: float, conditions: Conditions, random: np.random.Generator) -> NDArray[np.float32]:
        """The dry sound, shape ``(time,)``, at the songbook's rate."""
        sheet = core.ScoreSecond(480)
        for name, notes in self._parts(seconds, random).items():
            track = core.TrackSecond(name, self.programs[name], name == "drums")
            for at_s, length_s, pitch, loud in notes:
                late_s = abs(random.normal(0, conditions.timing_spread_s))
                velocity = int(np.clip(random.normal(loud, conditions.velocity_spread), 10, 127))
                track.notes.append(core.NoteSecond(at_s + late_s, length_s, pitch, velocity))
            sheet.tracks.append(track)
        sound: Any = core.Synthesizer(str(soundfont()), SAMPLE_RATE_HZ, 0).render(sheet, True)
        mono = np.asarray(sound, dtype=np.float64).mean(axis=0)
        samples = round(seconds * SAMPLE_RATE_HZ)
        return np.pad(mono[:samples], (0, max(0, samples - len(mono)))).astype(np.float32)

    def _parts(self, seconds: float, random: np.random.Generator) -> dict[str, list[tuple[float, float, int, int]]]:
        """For each part that plays: onset and length in seconds, pitch, velocity."""
        if self.kind == "drone":
            return {"chords": [(0.0, seconds, self._pitch(degree, 48), 70) for degree in (0, 2, 4)]}
        bar_s = self.groove.beats * 60 / self.bpm
        bars = [(bar * bar_s, self.progression[bar % len(self.progression)]) for bar in range(int(seconds / bar_s) + 1)]
        parts = {
            "drums": [
                (start_s + at_s, 0.1, DRUMS[name], 100 if sign == "x" else 60)
                for start_s, _ in bars
                for name, pattern in self.groove.drums.items()
                for at_s, _, sign in self._steps(pattern)
            ]
        }
        if self.kind == "band":
            parts["bass"] = [
                (start_s + at_s, length_s, self._pitch(root + 4 * (sign == "o" and random.random() < 0.5), 36), 90)
                for start_s, root in bars
                for at_s, length_s, sign in self._steps(self.groove.bass)
            ]
            parts["chords"] = [
                (start_s + at_s, 0.9 * length_s, self._pitch(root + third, 52, root=root), 75)
                for start_s, root in bars
                for number, (at_s, length_s, sign) in enumerate(self._steps(self.groove.chords))
                for third in ((0, 2, 4) if sign != "a" else ((0, 2, 4, 2)[number % 4],))
            ]
            if random.random() < TUNE_SHARE:
                parts["tune"] = list(self._tune(bars, random))
        return {name: notes for name, notes in parts.items() if notes}

    def _tune(
        self, bars: list[tuple[float, int]], random: np.random.Generator
    ) -> Iterator[tuple[float, float, int, int]]:
        """Steps through the scale; on the beat mostly a note of the chord."""
        beat_s, step = 60 / self.bpm, int(random.integers(7))
        for start_s, root in bars:
            for eighth in range(2 * self.groove.beats):
                if random.random() < 0.5:
                    step = int(np.clip(step + random.integers(-2, 3), 0, 13))
                    on_chord = eighth % 2 == 0 and random.random() < 0.7
                    degree = root + 2 * round((step - root) / 2) if on_chord else step
                    at_s = start_s + (eighth // 2 + (self.swing if eighth % 2 else 0)) * beat_s
                    yield at_s, beat_s / 2, self._pitch(degree, 64, root=root) + 12 * (degree >= 7), 85

    def _pitch(self, degree: int, lowest: int, *, root: int = 0) -> int:
        """The lowest such note from ``lowest`` on; over a dominant in minor the seventh degree is raised."""
        raised = int(root == DOMINANT and self.minor and degree % 7 == 6)
        return lowest + (self.tonic + (MINOR if self.minor else MAJOR)[degree % 7] + raised - lowest) % 12

    def _steps(self, pattern: str) -> list[tuple[float, float, str]]:
        """In seconds, when something sounds and until it sounds again or the bar ends; and its sign."""
        each, beat_s = len(pattern) // self.groove.beats, 60 / self.bpm
        found = []
        for step, sign in enumerate(pattern):
            within = step % each / each
            bent = 2 * within * self.swing if within <= 0.5 else self.swing + (2 * within - 1) * (1 - self.swing)
            if sign != ".":
                found.append(((step // each + bent) * beat_s, sign))
        ends = [*(at_s for at_s, _ in found[1:]), self.groove.beats * beat_s]
        return [(at_s, end_s - at_s, sign) for (at_s, sign), end_s in zip(found, ends, strict=True)]


def make_band(style: Style, kind: str, number: int, random: np.random.Generator) -> Band:
    """One of ``style``; the grooves take turns, all else is drawn."""
    grooves = [groove for groove in style.grooves if groove.drums or kind != "drums"]
    groove, minor = grooves[number % len(grooves)], bool(random.random() < MINOR_SHARE)
    progressions = style.minor if minor else style.major
    return Band(
        kind=kind,
        groove=groove,
        progression=progressions[int(random.integers(len(progressions)))],
        bpm=float(np.exp(random.uniform(*np.log(groove.bpm)))),
        tonic=int(random.integers(12)),
        minor=minor,
        swing=float(random.uniform(*groove.swing)),
        programs={
            "drums": 0,
            "bass": instrument(range(36, 55), random),
            "chords": instrument(range(48, 73), random),
            "tune": instrument(range(64, 89), random),
        },
    )


def instrument(pitches: Sequence[int], random: np.random.Generator) -> int:
    """One that plays all of ``pitches`` in tune."""
    lowest, highest = min(pitches), max(pitches)
    return int(
        random.choice([program for program, (low, high) in IN_TUNE.items() if low <= lowest and highest <= high])
    )
