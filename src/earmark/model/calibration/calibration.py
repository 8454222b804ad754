"""Calibration: all that a predictor learns, after training, from tracks that were held out of it.

A predictor's folder holds it as ``calibration.json`` and, where embeddings were given, ``calibration.npz``.
"""

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from earmark.errors import ModelError
from earmark.files import read_json, replacing, sha256_of, write_json
from earmark.model.calibration.abstention import confidence, fit_threshold
from earmark.model.calibration.arrays import Floats, Groups, Labels, validate
from earmark.model.calibration.novelty import Familiar, fit_familiar
from earmark.model.calibration.prediction_sets import SetRule, fit_sets
from earmark.model.calibration.share_intervals import IntervalRule, fit_intervals
from earmark.model.calibration.share_line import ShareLine, fit_lines, straightened
from earmark.model.calibration.temperature import fit_temperature, tempered

FORMAT = 1
FILE, ARRAYS = "calibration.json", "calibration.npz"


@dataclass(frozen=True)
class Calibration:
    """How raw answers become answers that say how sure they are. Its methods take raw answers.

    Attributes:
        temperature: Of the genre probabilities.
        sets: Of genres, from tempered probabilities.
        intervals: Of shares, from straightened shares (`shares`); None without tags.
        threshold: Least confidence (largest tempered probability) of an answer; `abstention.NEVER` for none at all.
        familiar: What the model has heard; None without embeddings.
        tracks: How many were held out.
        lines: By which shares are straightened; None without tags.
    """

    temperature: float
    sets: SetRule
    intervals: IntervalRule | None
    threshold: float
    familiar: Familiar | None
    tracks: int
    lines: ShareLine | None = None

    def probabilities(self, raw: Floats) -> Floats:
        """Tempered probabilities, shape ``(tracks, labels)``."""
        return tempered(raw, self.temperature)

    def genre_sets(self, raw: Floats) -> NDArray[np.bool_]:
        """Which genres each track may be, shape ``(tracks, labels)``, from raw probabilities of that shape."""
        return self.sets.sets(self.probabilities(raw))

    def sure(self, raw: Floats) -> NDArray[np.bool_]:
        """Which tracks to answer, shape ``(tracks,)``, from raw probabilities ``(tracks, labels)``."""
        return np.asarray(confidence(self.probabilities(raw)) >= self.threshold)

    def shares(self, raw: Floats) -> Floats:
        """Straightened shares, shape ``(tracks, tags)``."""
        return np.asarray(raw, dtype=np.float64) if self.lines is None else self.lines.of(raw)

    def share_intervals(self, raw: Floats) -> tuple[Floats, Floats]:
        """Low and high ends, each of shape ``(tracks, tags)``, from raw shares; (0, 1) where nothing is known."""
        if self.intervals is None:
            return np.zeros(np.shape(raw)), np.ones(np.shape(raw))
        return self.intervals.of(self.shares(raw))

    def to_dict(self) -> dict[str, Any]:
        """As plain values, fit for JSON; `arrays` holds the rest."""
        return {
            "format": FORMAT,
            "tracks": self.tracks,
            "temperature": self.temperature,
            "sets": self.sets.to_dict(),
            "threshold": self.threshold,
            "lines": None if self.lines is None else self.lines.to_dict(),
            "intervals": None if self.intervals is None else self.intervals.to_dict(),
        }

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Of `familiar`; empty without it."""
        return {} if self.familiar is None else self.familiar.arrays()

    @classmethod
    def from_dict(cls, about: dict[str, Any], arrays: dict[str, NDArray[np.generic]] | None = None) -> "Calibration":
        """Back from `to_dict` and `arrays`.

        Raises:
            ModelError: It was written by another version.
        """
        if about.get("format") != FORMAT:
            raise ModelError(
                f"The calibration has format {about.get('format')}; this earmark reads {FORMAT}. Calibrate again."
            )
        return cls(
            temperature=float(about["temperature"]),
            sets=SetRule.from_dict(about["sets"]),
            intervals=None if about["intervals"] is None else IntervalRule.from_dict(about["intervals"]),
            threshold=float(about["threshold"]),
            familiar=Familiar.from_arrays(arrays) if arrays else None,
            tracks=int(about["tracks"]),
            lines=None if about["lines"] is None else ShareLine.from_dict(about["lines"]),
        )

    def save(self, folder: Path) -> None:
        """Write the files, arrays first: with a ``calibration.json`` all is there. Same content, same bytes."""
        arrays = self.arrays()
        if arrays:
            with replacing(folder / ARRAYS) as part:
                _write_arrays(part, arrays)
        write_json(folder / FILE, {**self.to_dict(), "arrays": sha256_of(folder / ARRAYS) if arrays else None})
        if not arrays:
            (folder / ARRAYS).unlink(missing_ok=True)


def calibrate(
    *,
    probabilities: Floats,
    actual: Labels,
    groups: Groups | None = None,
    shares: Floats | None = None,
    known: NDArray[np.floating] | None = None,
    embeddings: NDArray[np.floating] | None = None,
    training_embeddings: NDArray[np.floating] | None = None,
    coverage: float,
    by_class: bool,
    least_accuracy: float,
    seed: int,
) -> Calibration:
    """Learn a calibration from tracks of artists that the model was not trained on.

    Sets, threshold and intervals are fitted to the tracks that temperature and lines were fitted to; the temperature is
    one number, and the lines are fitted anew without each fold, so that this costs no coverage worth mentioning.

    Args:
        probabilities: Raw, of held-out tracks, shape ``(tracks, labels)``.
        actual: Their labels, shape ``(tracks,)``.
        groups: Their artists, shape ``(tracks,)``.
        shares: Raw shares of tags, shape ``(tracks, tags)``; None, or no tag, where the model has none.
        known: Observed share and weight (0: unknown), shape ``(tracks, 2, tags)``; as `earmark.model.tags.Tags.of`.
        embeddings: Shape ``(tracks, dims)``.
        training_embeddings: Of tracks the model was trained on, shape ``(training_tracks, dims)``.
        coverage: How often sets and intervals are to hold the truth.
        by_class: Whether sets keep this promise for each genre.
        least_accuracy: How often answers must be right.
        seed: Of what is drawn.

    Raises:
        ModelError: The arrays do not fit together.
    """
    validate(probabilities, actual, groups)
    _same_tracks(len(actual), shares=shares, known=known, embeddings=embeddings)
    temperature = fit_temperature(probabilities, actual)
    even = tempered(probabilities, temperature)
    lines = intervals = familiar = None
    if shares is not None and known is not None and np.shape(shares)[1]:
        if np.shape(known) != (len(actual), 2, np.shape(shares)[1]):
            raise ModelError(
                f"Shares of shape {np.shape(shares)} need what is known as (tracks, 2, tags); it has shape "
                f"{np.shape(known)}. Both must be of the same tracks and tags."
            )
        observed, weight = (np.asarray(known[:, side], dtype=np.float64) for side in (0, 1))
        lines = fit_lines(shares, observed, weight)
        straight = straightened(shares, observed, weight, groups=groups, seed=seed)
        intervals = fit_intervals(straight, observed, weight, coverage=coverage, groups=groups)
    if embeddings is not None and training_embeddings is not None and len(training_embeddings):
        familiar = fit_familiar(training_embeddings, embeddings, seed=seed, groups=groups)
    return Calibration(
        temperature=temperature,
        sets=fit_sets(even, actual, coverage=coverage, by_class=by_class, groups=groups),
        intervals=intervals,
        threshold=fit_threshold(even, actual, least_accuracy=least_accuracy, groups=groups),
        familiar=familiar,
        tracks=len(actual),
        lines=lines,
    )


def load(folder: Path) -> Calibration | None:
    """What `Calibration.save` wrote; None where the folder holds none.

    Raises:
        ModelError: A file is missing, damaged, or of another version.
    """
    if not (folder / FILE).is_file():
        return None
    try:
        about = dict(read_json(folder / FILE))
        if about.get("arrays") is None:
            return Calibration.from_dict(about)
        if sha256_of(folder / ARRAYS) != about["arrays"]:
            raise ModelError(
                f"{folder / ARRAYS} is not the one that {FILE} was written with: damaged, or left by a broken run. "
                "`dvc checkout` or calibrating again mends it."
            )
        with np.load(folder / ARRAYS, allow_pickle=False) as arrays:
            return Calibration.from_dict(about, dict(arrays))
    except (FileNotFoundError, KeyError, TypeError, ValueError) as error:
        raise ModelError(
            f"The calibration in {folder} cannot be read: {error}. `dvc checkout` or calibrating again mends it."
        ) from error


def _write_arrays(path: Path, arrays: dict[str, NDArray[np.generic]]) -> None:
    """An .npz as `numpy.load` reads it, whose bytes depend on the content only: no time of writing, names in order."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(arrays):
            entry = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            with archive.open(entry, "w", force_zip64=True) as file:
                np.lib.format.write_array(file, np.asarray(arrays[name]), version=(1, 0), allow_pickle=False)


def _same_tracks(tracks: int, **arrays: NDArray[Any] | None) -> None:
    for name, array in arrays.items():
        if array is not None and len(array) != tracks:
            raise ModelError(f"There are {tracks} held-out tracks and `{name}` of {len(array)}: one each a track.")
