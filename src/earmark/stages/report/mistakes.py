"""The surest wrong answers of the model that leads: what it said, what it should have said, what moved it, and how the
song sounds there."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from earmark.catalogue.reading import read_recording
from earmark.errors import EarmarkError
from earmark.model.material import load_material
from earmark.model.network.predictor import NetworkPredictor
from earmark.model.predictor import load_predictor
from earmark.model.reasons.attribution import Why
from earmark.params import Params
from earmark.stages.report.reading import Reports
from earmark.stages.report.reasons import Explain, explaining, loudest_stretch
from earmark.stages.report.sound import excerpt
from earmark.workspace import NETWORK

MOST_SOUND_BYTES = 3_000_000  # of the page; further songs go without


@dataclass(frozen=True)
class Mistake:
    """One wrong answer.

    Attributes:
        title: Of the song, or its track_id.
        artist: Or nothing.
        track_id: Of the song.
        genre: Its label.
        said: What the model says it is.
        confidence: How sure it is.
        probability: What it gives to the label.
        also: The other models that said the same.
        sound: A ``data:`` address; None without.
        start_s: Where in the song that begins.
        why: What in the song moves the network towards ``said`` rather than ``genre``.
    """

    title: str
    artist: str
    track_id: str
    genre: str
    said: str
    confidence: float
    probability: float
    also: tuple[str, ...]
    sound: str | None
    start_s: float
    why: Why


def heard_mistakes(reports: Reports, params: Params, root: Path) -> list[Mistake]:
    """Of the model that leads, ``evaluation.worst_errors`` of them.

    Raises:
        ModelError: The network is missing.
    """
    table = reports.mistakes[reports.mistakes["model"] == reports.leader].head(params.evaluation.worst_errors)
    if table.empty:
        return []
    network = load_predictor(root / NETWORK)
    assert isinstance(network, NetworkPredictor)
    explain = explaining(network, load_material(root, params.frontend))
    found, left = [], MOST_SOUND_BYTES
    for row in table.itertuples():
        one = _heard(row, reports.titles, explain, root, params.evaluation.excerpt_seconds if left > 0 else 0.0)
        left -= len(one.sound or "")
        found.append(one)
    return found


def _heard(row: object, titles: pd.DataFrame, explain: Explain, root: Path, seconds: float) -> Mistake:
    track_id, genre, said = (str(getattr(row, name)) for name in ("track_id", "genre", "said"))
    about = explain(row, said, genre)
    start_s = loudest_stretch(about, seconds or 1.0)
    sound = None
    if seconds:
        try:
            sound = excerpt(read_recording(root, row.path, row.content_hash), start_s, seconds)  # type: ignore[attr-defined]
        except EarmarkError:  # the file is out of reach: what the cache of features holds tells the rest
            sound = None
    return Mistake(
        title=_text(titles, track_id, "title") or track_id,
        artist=_text(titles, track_id, "artist"),
        track_id=track_id,
        genre=genre,
        said=said,
        confidence=float(row.confidence),  # type: ignore[attr-defined]
        probability=float(row.probability),  # type: ignore[attr-defined]
        also=tuple(str(row.also).split()),  # type: ignore[attr-defined]
        sound=sound,
        start_s=start_s,
        why=about,
    )


def _text(titles: pd.DataFrame, track_id: str, column: str) -> str:
    value = titles[column].get(track_id)
    return "" if value is None or pd.isna(value) else str(value)
