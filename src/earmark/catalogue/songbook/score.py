"""Score: what a printed piece says about pitch and time, and nothing else. Both readers produce it.

Time is counted in quarter notes from the beginning of the piece, pitch in MIDI numbers (60 is middle C). Dynamics,
tempo words and instruments are left behind on purpose: what is heard of them is drawn anew for every piece.
"""

from dataclasses import dataclass

from earmark.errors import CatalogueError

# Two notes closer than this are one after the other without a gap; printed durations are far coarser.
TOLERANCE_QUARTERS = 1e-4

FEWEST_NOTES = 24
FEWEST_BEATS = 12.0
LOWEST_PITCH, HIGHEST_PITCH = 12, 119


class UnusableScore(CatalogueError):
    """A score that cannot be rendered. ``kind`` is one word for the table of refusals, the message says why."""

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(reason)
        self.kind = kind
        self.reason = reason

    def __reduce__(self) -> tuple[type["UnusableScore"], tuple[str, str]]:
        return type(self), (self.kind, self.reason)  # it crosses from a worker to its parent


@dataclass(frozen=True)
class Note:
    """One sounding pitch. ``onset`` and ``duration`` in quarter notes."""

    onset: float
    duration: float
    pitch: int

    @property
    def end(self) -> float:
        """Where it stops, in quarter notes."""
        return self.onset + self.duration


@dataclass(frozen=True)
class Score:
    """A piece as printed, without repeats.

    Attributes:
        parts: Notes of each part in order of onset; the first part carries the melody. No part is empty.
        beat: Length of the beat that players would tap, in quarter notes (2/4: 1, 6/8: 1.5, cut time: 2).
        pickup: Length of the upbeat before the first full bar, in quarter notes.
        length: Of the whole piece, in quarter notes.
    """

    parts: tuple[tuple[Note, ...], ...]
    beat: float
    pickup: float
    length: float


def beat_quarters(beats: int, beat_type: int, *, cut: bool = False) -> float:
    """The tapped beat of a time signature, in quarter notes: threes of eighths or shorter are compound."""
    unit = 4.0 / beat_type
    if cut:
        return 2.0
    return 3 * unit if beat_type >= 8 and beats % 3 == 0 else unit


def join_ties(notes: list[tuple[Note, bool]]) -> tuple[Note, ...]:
    """Join each note that continues the one before it (the flag beside it) to that note; in order of onset."""
    joined: list[Note] = []
    last_of_pitch: dict[int, int] = {}
    for note, continues in sorted(notes, key=lambda pair: (pair[0].onset, pair[0].pitch)):
        at = last_of_pitch.get(note.pitch)
        if continues and at is not None and abs(joined[at].end - note.onset) < TOLERANCE_QUARTERS:
            joined[at] = Note(joined[at].onset, note.end - joined[at].onset, note.pitch)
            continue
        last_of_pitch[note.pitch] = len(joined)
        joined.append(note)
    return tuple(joined)


def check(score: Score) -> Score:
    """``score`` itself, if there is enough of it to render.

    Raises:
        UnusableScore: Too few notes, too few beats, or pitches that no instrument has.
    """
    notes = sum(len(part) for part in score.parts)
    beats = score.length / score.beat
    if notes < FEWEST_NOTES or beats < FEWEST_BEATS:
        raise UnusableScore(
            "short",
            f"{notes} notes on {beats:.1f} beats; needed are {FEWEST_NOTES} notes on {FEWEST_BEATS:.0f} beats",
        )
    pitches = [note.pitch for part in score.parts for note in part]
    if min(pitches) < LOWEST_PITCH or max(pitches) > HIGHEST_PITCH:
        raise UnusableScore(
            "malformed", f"pitches from {min(pitches)} to {max(pitches)} (MIDI) are no music for instruments"
        )
    return score
