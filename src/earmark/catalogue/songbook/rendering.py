"""One piece, all the way from its score to the bytes of its clip: what a worker does."""

from dataclasses import dataclass

from earmark.audio.metering import Measures, measure
from earmark.catalogue.songbook import performance
from earmark.catalogue.songbook.abc import read_abc
from earmark.catalogue.songbook.conditions import draw
from earmark.catalogue.songbook.corpus import Piece, corpus_folder, soundfont
from earmark.catalogue.songbook.families import Steps, opening
from earmark.catalogue.songbook.musicxml import read_musicxml
from earmark.catalogue.songbook.opus import encode_opus
from earmark.catalogue.songbook.score import Score, UnusableScore
from earmark.params import Songbook


@dataclass(frozen=True)
class Clip:
    """A rendered piece, and what its sound measures. ``opening`` is how its melody begins: see `families`."""

    piece: Piece
    audio: bytes
    measures: Measures
    opening: Steps


@dataclass(frozen=True)
class Refusal:
    """A piece that could not be used. ``kind`` is one word, ``reason`` a sentence."""

    piece: Piece
    kind: str
    reason: str


def read(piece: Piece) -> Score:
    """The score of ``piece``.

    Raises:
        UnusableScore: It cannot be rendered.
    """
    path = corpus_folder() / piece.path
    return read_abc(path) if path.suffix == ".abc" else read_musicxml(path)


def render(piece: Piece, params: Songbook) -> Clip | Refusal:
    """Read, play, record and encode ``piece``; the result depends on ``params`` and the piece alone."""
    try:
        score = read(piece)
    except UnusableScore as problem:
        return Refusal(piece, problem.kind, problem.reason)
    conditions = draw(params.seed, piece.piece_id)
    dry = performance.play(score, conditions, seconds=params.clip_seconds, soundfont=soundfont())
    clip = performance.record(dry, conditions)
    audio = encode_opus(clip, sample_rate_hz=performance.SAMPLE_RATE_HZ)
    return Clip(piece, audio, measure(audio).measures, opening(score))
