"""Similar songs: the catalogue's songs by a predictor's embedding, what listeners did with each, and ranks of appeal.

Songs are compared by the cosine of their embeddings, after each dimension was standardised by its mean and scale over
the catalogue. As they come, embeddings all lean to one side: those of a network were rectified, descriptors are levels
and spectra, which no song is without; and a dimension counts by its unit, as a centroid in Hz does. Standardised, 0
means nothing in common, and every dimension counts alike. Of the ten nearest songs of other pieces, of the songbook's
test songs and the forest's embedding, 36 % share the genre with it, and 22 % without; of the network's 50 to 53 % in
either case; by chance 12 %.

A catalogue of up to `EXACT_UP_TO` songs is searched through, a larger one by a graph of neighbours (hierarchical
navigable small worlds; Malkov and Yashunin, IEEE TPAMI 42, 2020). One thread builds it, so it is the same each time.

A folder of neighbours holds ``neighbours.json``, ``songs.parquet`` and ``embeddings.usearch``.
"""

import threading
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from earmark.errors import ModelError
from earmark.files import read_json, replacing, sha256_of, write_json
from earmark.model.prediction import Share, TagShare

if TYPE_CHECKING:
    from usearch.index import Index

FORMAT = 1
ABOUT, SONGS, EMBEDDINGS = "neighbours.json", "songs.parquet", "embeddings.usearch"
EXACT_UP_TO = 20_000  # songs; comparing with each of so many takes about a millisecond
SCHEMA = pa.schema(
    [
        pa.field("track_id", pa.string(), nullable=False),
        pa.field("content_hash", pa.string(), nullable=False),
        pa.field("title", pa.string()),
        pa.field("artist", pa.string()),
        pa.field("genre", pa.string()),
        pa.field("part", pa.string()),
        pa.field("listeners", pa.int64()),
        pa.field("liked", pa.float64()),
        pa.field("liked_low", pa.float64()),
        pa.field("liked_high", pa.float64()),
        pa.field("tags", pa.list_(pa.struct([("tag", pa.string()), ("share", pa.float64())]))),
        pa.field("appeal", pa.float64()),
    ]
)

_CONNECTIVITY, _EXPANSION_ADD = 16, 128  # of the graph: neighbours of each song, and candidates for them
_EXPANSION = 256  # candidates that a search by the graph keeps, at least
_SPARE = 8  # found beyond what is asked for: float32 may put nearly equal songs in another order
_DIGITS = 6  # of a similarity; float32 carries seven

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Neighbour:
    """A song of the catalogue.

    Attributes:
        track_id: In the catalogue.
        title, artist, genre: As the catalogue has them; None where it has none.
        part: ``train``, ``validation`` or ``test``; None where the song is in no part.
        similarity: Cosine between the standardised embeddings: 1 alike, 0 nothing in common, −1 opposite.
        listeners: How many listened or answered, at least; None where none, or too few to speak of.
        liked: The share of listeners that like it, by what they did; None where it is not known.
        tags: What listeners felt and called it, the largest share first; no intervals.
    """

    track_id: str
    title: str | None
    artist: str | None
    genre: str | None
    part: str | None
    similarity: float
    listeners: int | None
    liked: Share | None
    tags: tuple[TagShare, ...]


@dataclass(frozen=True, eq=False)
class Neighbours:
    """The catalogue as one model hears it. Threads may ask it at once.

    Attributes:
        songs: Columns as in `SCHEMA`; ``appeal`` is the share of listeners that this very model expects to like it.
        index: Standardised embeddings by the row of the song.
        mean: Of the catalogue's embeddings, shape ``(dims,)``.
        scale: Their standard deviation, shape ``(dims,)``; 1 where they do not differ.
        appeals: All that is known of ``appeal``, rising.
    """

    songs: pa.Table
    index: "Index"
    mean: Floats
    scale: Floats
    appeals: Floats
    lock: Any

    @classmethod
    def of(cls, songs: pd.DataFrame, embeddings: NDArray[np.floating]) -> "Neighbours":
        """Put a catalogue in order.

        Args:
            songs: Columns as in `SCHEMA`, one row a song.
            embeddings: Of these, shape ``(songs, dims)``; what is not finite counts as the mean.

        Raises:
            ModelError: There is no song, or not an embedding for each.
        """
        raw = np.asarray(embeddings, dtype=np.float64)
        if raw.ndim != 2 or not len(raw) or not raw.shape[1] or len(raw) != len(songs):
            raise ModelError(
                f"Neighbours need at least one song and an embedding of each, shape (songs, dims); these are "
                f"{len(songs)} songs and embeddings of shape {raw.shape}."
            )
        known = np.isfinite(raw)
        count = np.maximum(known.sum(axis=0), 1)
        mean = np.where(known, raw, 0.0).sum(axis=0) / count
        spread = np.sqrt(np.square(np.where(known, raw - mean, 0.0)).sum(axis=0) / count)
        scale = np.where(spread > 1e-9 * (1 + np.abs(mean)), spread, 1.0)
        index = _empty(raw.shape[1])
        # One thread: by several, the graph would come out otherwise each time.
        index.add(np.arange(len(raw), dtype=np.uint64), _standardised(raw, mean, scale), threads=1)
        table = pa.Table.from_pandas(songs[SCHEMA.names], schema=SCHEMA, preserve_index=False)
        return cls._around(table.replace_schema_metadata(None), index, mean, scale)

    @classmethod
    def _around(cls, songs: pa.Table, index: "Index", mean: Floats, scale: Floats) -> "Neighbours":
        appeals = songs["appeal"].drop_null().to_numpy()
        return cls(songs, index, mean, scale, np.sort(appeals), threading.Lock())

    def __len__(self) -> int:
        """How many songs there are."""
        return int(self.songs.num_rows)

    @property
    def dims(self) -> int:
        """Of an embedding."""
        return len(self.mean)

    def nearest(self, embedding: NDArray[np.floating], count: int) -> list[Neighbour]:
        """The songs that lie nearest, nearest first; of equally near ones the first in the catalogue.

        A recording that is itself in the catalogue comes first, with a similarity of 1.

        Args:
            embedding: By the predictor whose neighbours these are, shape ``(dims,)``.
            count: How many are wanted; fewer come where the catalogue has fewer.

        Raises:
            ModelError: The embedding has another width.
        """
        if np.shape(embedding) != (self.dims,):
            raise ModelError(
                f"An embedding of shape ({self.dims},) is needed; this one has shape {np.shape(embedding)}. The "
                "neighbours belong to another model: take those beside its predictor."
            )
        asked = _standardised(np.asarray(embedding, dtype=np.float64), self.mean, self.scale)
        wanted = min(count, len(self))
        if wanted < 1:
            return []
        with self.lock:
            self.index.expansion_search = max(_EXPANSION, 2 * wanted)  # type: ignore[misc]  # mypy misses its setter
            found = self.index.search(asked, min(wanted + _SPARE, len(self)), exact=len(self) <= EXACT_UP_TO, threads=1)
            rows = np.asarray(found.keys, dtype=np.int64)
            vectors = np.asarray(self.index.get(rows.astype(np.uint64)), dtype=np.float64)
        similarity = _cosine(vectors, asked.astype(np.float64))
        nearest = np.lexsort((rows, -similarity))[:wanted]
        told = self.songs.take(pa.array(rows[nearest])).to_pylist()
        return [
            _neighbour(song, round(float(value), _DIGITS))
            for song, value in zip(told, similarity[nearest], strict=True)
        ]

    def track_of(self, content_hash: str) -> str | None:
        """The track whose file has this SHA-256, in hexadecimal; None where none has."""
        return self._tracks.get(content_hash)

    @cached_property
    def _tracks(self) -> dict[str, str]:
        hashes, tracks = self.songs["content_hash"].to_pylist(), self.songs["track_id"].to_pylist()
        return dict(zip(reversed(hashes), reversed(tracks), strict=True))  # of copies the first

    def rank(self, share: float) -> float | None:
        """The share of the catalogue's songs of which this model expects less liking than ``share``; ties count half.

        None where the model was taught no liking.
        """
        if not len(self.appeals):
            return None
        below, upto = (np.searchsorted(self.appeals, share, side=side) for side in ("left", "right"))
        return float(below + upto) / 2 / len(self.appeals)

    def save(self, folder: Path) -> None:
        """Write the folder, ``neighbours.json`` last: with it, all is there. Same songs, same bytes."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / ABOUT).unlink(missing_ok=True)
        with replacing(folder / SONGS) as part:
            pq.write_table(self.songs, part)
        with replacing(folder / EMBEDDINGS) as part:
            self.index.save(part)
        write_json(
            folder / ABOUT,
            {
                "format": FORMAT,
                "songs": len(self),
                "files": {name: sha256_of(folder / name) for name in (SONGS, EMBEDDINGS)},
                "mean": self.mean.tolist(),
                "scale": self.scale.tolist(),
            },
        )

    @classmethod
    def load(cls, folder: Path) -> "Neighbours":
        """Read a folder that `save` wrote.

        Raises:
            ModelError: It is missing, damaged, or was written by another version.
        """
        try:
            about = read_json(folder / ABOUT)
        except FileNotFoundError:
            raise ModelError(
                f"{folder} holds no neighbours (no {ABOUT}). `dvc repro neighbours` makes them; a version that was "
                "registered before there were any has none."
            ) from None
        except ValueError as error:
            raise _damaged(folder, f"{ABOUT} is no JSON: {error}") from error
        if not isinstance(about, dict) or about.get("format") != FORMAT:
            found = about.get("format") if isinstance(about, dict) else None
            raise ModelError(
                f"{folder} has format {found}; this earmark reads {FORMAT}. `dvc repro neighbours` writes it anew."
            )
        try:
            # Before they are opened: what reads an index trusts its numbers.
            for name, digest in about["files"].items():
                if sha256_of(folder / name) != digest:
                    raise _damaged(folder, f"{name} is not what was written")
            songs, index = pq.read_table(folder / SONGS), _empty(len(about["mean"]))
            index.load(folder / EMBEDDINGS)
            mean, scale = (np.asarray(about[name], dtype=np.float64) for name in ("mean", "scale"))
            if not songs.schema.equals(SCHEMA) or not len(songs) == len(index) == about["songs"]:
                raise _damaged(folder, f"{len(songs)} songs, {len(index)} embeddings, told are {about['songs']}")
            if not index.ndim == len(mean) == len(scale):
                raise _damaged(folder, f"{index.ndim} dimensions, of which {len(mean)} have a mean")
        except FileNotFoundError as error:
            raise _damaged(folder, f"{Path(error.filename or folder).name} is missing") from error
        except (OSError, KeyError, TypeError, AttributeError, ValueError, RuntimeError, pa.ArrowException) as error:
            raise _damaged(folder, repr(error)) from error
        return cls._around(songs, index, mean, scale)


def _empty(dims: int) -> "Index":
    from usearch.index import Index

    return Index(ndim=dims, metric="cos", dtype="f32", connectivity=_CONNECTIVITY, expansion_add=_EXPANSION_ADD)


def _standardised(raw: Floats, mean: Floats, scale: Floats) -> NDArray[np.float32]:
    """Of the shape of ``raw``, ``(..., dims)``; 0 where it is not finite."""
    return np.ascontiguousarray(np.where(np.isfinite(raw), (raw - mean) / scale, 0.0), dtype=np.float32)


def _cosine(vectors: Floats, asked: Floats) -> Floats:
    """Of each of ``vectors`` with ``asked``, shape ``(vectors,)``; 0 where either is all zeros: nothing in common."""
    lengths = np.linalg.norm(vectors, axis=1) * np.linalg.norm(asked)
    return np.asarray(np.clip(vectors @ asked / np.where(lengths > 0, lengths, 1.0), -1.0, 1.0), dtype=np.float64)


def _neighbour(song: dict[str, Any], similarity: float) -> Neighbour:
    liked = None if song["liked"] is None else Share(song["liked"], song["liked_low"], song["liked_high"])
    return Neighbour(
        **{name: song[name] for name in ("track_id", "title", "artist", "genre", "part", "listeners")},
        similarity=similarity,
        liked=liked,
        tags=tuple(TagShare(each["share"], tag=each["tag"]) for each in song["tags"] or ()),
    )


def _damaged(folder: Path, why: str) -> ModelError:
    return ModelError(
        f"The neighbours in {folder} are damaged: {why}. `dvc checkout` or `dvc repro neighbours` mends those of the "
        "project; promoting again, those of models/champion."
    )
