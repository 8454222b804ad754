"""Music whose tempo and key are known, for fitting the confidences of `earmark.audio.facts` and for checking them.

* Scores: the songbook's (music21's corpus), rendered as the songbook renders them, but for 30 s and at a tempo drawn
  from 60 to 160 beats a minute; the tempo is the tapped beat's. The key is the piece's own, moved as the piece is:
  of dances the field ``K:``, where the tune also ends on its tonic; of chorales and quartets the signature and mode of
  the file, where a chorale's last bass note agrees. Modal pieces (dorian and mixolydian tunes, madrigals, trecento)
  have a tempo, and no key is asked of them. Scores have no drums, and tempo marks that are worth little.
* Bands: drums, bass, chords and a tune (`facts_bands`), in twelve styles, at the tempi that each style has, in every
  key, out of tune by up to 30 cents.
* Neither: drums without pitch, a drone without a beat, noise.

Everything falls on one of two sides, ``fit`` and ``check``: scores by family (`catalogue.songbook.families`), so that a
tune under two titles is on one side; bands by style and chord progression.
"""

import dataclasses
import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from copies import resample
from earmark.catalogue.songbook import performance
from earmark.catalogue.songbook.abc import read_abc_header
from earmark.catalogue.songbook.conditions import draw
from earmark.catalogue.songbook.corpus import Piece, candidates, corpus_folder, soundfont
from earmark.catalogue.songbook.families import groups, opening
from earmark.catalogue.songbook.musicxml import _root
from earmark.catalogue.songbook.rendering import read
from earmark.catalogue.songbook.score import Score, UnusableScore
from facts_bands import BANDS_OF, instrument, make_band

RATE_HZ = 16_000
SECONDS, QUARTET_SECONDS = 30.0, 90.0
SEED = 20
TEMPI_BPM = (60.0, 160.0)
DANCES = ("hornpipe", "jig", "reel", "strathspey")
MODAL = ("madrigal", "trecento")
MOST_PIECES = {"chorale": 140, "madrigal": 30, "trecento": 50, **dict.fromkeys(DANCES, 56)}  # of both sides
BANDS = 180  # on each side
CENTS = 30.0

_TONICS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}


@dataclass(frozen=True)
class Known:
    """A recording and its truth.

    Attributes:
        name: Unique.
        family: Pieces of one family count as one when intervals are drawn.
        kind: Of music: a style of the songbook, ``band``, ``drums``, ``drone`` or ``noise``.
        samples: Mono at `RATE_HZ`, shape ``(time,)``.
        bpm: The tapped beat; None where there is none.
        key: Tonic (0 is C) and whether minor; None where there is none.
        asks_key: Whether the key is asked of it: a modal piece has one that nobody would agree on.
    """

    name: str
    family: str
    kind: str
    samples: NDArray[np.float32]
    bpm: float | None
    key: tuple[int, bool] | None
    asks_key: bool


@dataclass(frozen=True)
class Wanted:
    """What is to be rendered: ``side`` is fit or check, ``piece`` a score's, None for what is made here."""

    side: str
    kind: str
    number: int
    piece: Piece | None = None
    family: str = ""


def wanted(side: str) -> list[Wanted]:
    """All of one side."""
    made = [Wanted(side, "band", number) for number in range(BANDS)]
    for kind in ("drums", "drone", "noise"):
        made += [Wanted(side, kind, number) for number in range(BANDS // 9)]
    return [*_scores(side), *made]


def render(what: Wanted) -> Known:
    """One recording; it depends on ``what`` alone."""
    if what.piece:
        return _played(what.piece, read(what.piece), what.family)
    name = f"{what.side} {what.kind} {what.number}"
    random = np.random.default_rng([SEED, *name.encode()])
    if what.kind == "noise":
        return Known(name, name, what.kind, _noise(random), bpm=None, key=None, asks_key=True)
    band = make_band(BANDS_OF[what.side], what.kind, what.number, random)
    conditions = draw(SEED, name)
    room = performance.record(band.play(SECONDS, conditions, random), conditions)
    faster = 2 ** (random.uniform(-CENTS, CENTS) / 1200)
    rate_hz = round(performance.SAMPLE_RATE_HZ * faster)
    return Known(
        name,
        name,
        what.kind,
        resample(room[None], rate_hz, RATE_HZ)[0],
        bpm=None if what.kind == "drone" else band.bpm * rate_hz / performance.SAMPLE_RATE_HZ,
        key=(band.tonic, band.minor) if what.kind == "band" else None,
        asks_key=what.kind != "drone",
    )


# Scores.


def _scores(side: str) -> list[Wanted]:
    usable: list[Piece] = []
    openings = {}
    for style, pieces in candidates(SEED).items():
        found = 0
        for piece in pieces:
            if found == MOST_PIECES.get(style, len(pieces)):
                break
            try:
                score = read(piece)
            except UnusableScore:
                continue
            usable.append(piece)
            openings[piece.piece_id] = opening(score)
            found += 1
    family = groups(usable, openings)
    return [
        Wanted(side, piece.style, number, piece, family[piece.piece_id])
        for number, piece in enumerate(usable)
        if _side(family[piece.piece_id]) == side
    ]


def _side(family: str) -> str:
    return "fit" if hashlib.sha256(f"facts {family}".encode()).digest()[0] % 2 else "check"


def _played(piece: Piece, score: Score, family: str) -> Known:
    conditions = draw(SEED, piece.piece_id)
    random = np.random.default_rng([conditions.noise_seed, 3])
    bpm = float(np.exp(random.uniform(*np.log(TEMPI_BPM))))
    quartet = piece.style == "string quartet"
    ranges = [[performance.folded(note.pitch + conditions.semitones) for note in part] for part in score.parts]
    if len(set(conditions.programs)) == 1:
        ranges = [[pitch for pitches in ranges for pitch in pitches]] * len(ranges)
        programs = (instrument(ranges[0], random),) * len(ranges)
    else:
        programs = tuple(instrument(pitches, random) for pitches in ranges)
    conditions = dataclasses.replace(
        conditions, beats_per_minute=bpm, programs=programs, place=0.0 if quartet else conditions.place
    )
    dry = performance.play(score, conditions, seconds=QUARTET_SECONDS if quartet else SECONDS, soundfont=soundfont())
    samples = resample(performance.record(dry, conditions)[None], performance.SAMPLE_RATE_HZ, RATE_HZ)[0]
    key = key_of(piece, score)
    moved = None if key is None else ((key[0] + conditions.semitones) % 12, key[1])
    return Known(piece.piece_id, family, piece.style, samples, bpm, moved, asks_key=key is not None)


def key_of(piece: Piece, score: Score) -> tuple[int, bool] | None:
    """Tonic and whether minor, as printed; None where it is modal, or the piece's end contradicts the print."""
    if piece.style in MODAL:
        return None
    if piece.style in DANCES:
        key = _printed(read_abc_header(corpus_folder() / piece.path)["K"][0])
        return key if key and score.parts[0][-1].pitch % 12 == key[0] else None
    element = _root(corpus_folder() / piece.path).find(".//key")
    mode = None if element is None else element.findtext("mode")
    if element is None or mode not in ("major", "minor"):
        return None
    major = 7 * int(element.findtext("fifths", "0")) % 12
    tonic = (major + 9) % 12 if mode == "minor" else major
    if piece.style == "chorale":
        end = max(note.end for part in score.parts for note in part)
        bass = min(note.pitch for part in score.parts for note in part if note.end > end - 0.01)
        if bass % 12 != tonic:
            return None  # dorian in print, or half a cadence
    return tonic, mode == "minor"


def _printed(key: str) -> tuple[int, bool] | None:
    """``Bb`` → (10, False), ``Am`` → (9, True), ``Edor`` → None."""
    tonic = _TONICS[key[0]] + {"#": 1, "b": -1}.get(key[1:2], 0)
    mode = key[1:].lstrip("#b").strip().lower() if key[1:] != "M" else ""
    if mode in ("", "maj", "major"):
        return tonic % 12, False
    return (tonic % 12, True) if mode in ("m", "min", "minor") and not key.endswith("M") else None


def _noise(random: np.random.Generator) -> NDArray[np.float32]:
    """Noise between white and brown that swells and fades, at no tempo."""
    hertz = np.fft.rfftfreq(round(SECONDS * RATE_HZ), 1 / RATE_HZ)
    slope = random.uniform(0, 1)
    spectrum = (random.normal(size=len(hertz)) + 1j * random.normal(size=len(hertz))) / np.maximum(hertz, 20) ** slope
    sound = np.fft.irfft(spectrum)
    sound *= np.interp(np.arange(len(sound)), np.linspace(0, len(sound), 13), random.uniform(0.3, 1, 13))
    return np.asarray(sound / np.abs(sound).max() / 2, dtype=np.float32)
