"""Held-out songs: each answered by a model that was not fitted to it, so that a model can learn how sure it is.

With ``calibration.folds`` at 0 these are the validation part's. Where songs are few, they are better spent twice:
training and validation part together are divided by group into k parts, each is kept from one of k models, and
together the k models answer (cross-conformal prediction; Vovk, "Cross-conformal predictors", 2015; the jackknife+ of
Barber et al., Annals of Statistics 49, 2021). Models that answer together are better, and less sure, than one alone; so
with ``calibration.repeats`` all is divided anew several times, and a held-out song, too, is answered by several
together. Test songs have no part in any of it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from earmark.errors import CatalogueError
from earmark.files import replacing
from earmark.model.answers import Answers, joined
from earmark.model.calibration.calibration import Calibration, calibrate
from earmark.model.calibration.novelty import fit_familiar
from earmark.model.material import Material
from earmark.model.predictor import Predictor
from earmark.model.scoring import answers_of
from earmark.params import Calibration as Settings

FILE = "held_out.parquet"


@dataclass(frozen=True)
class Part:
    """Which tracks one model is fitted to, and which are kept from it: rows of `Material.tracks`."""

    fitted: pd.DataFrame
    held: pd.DataFrame


@dataclass(frozen=True)
class HeldOut:
    """Held-out songs and what models that had not heard them said.

    Attributes:
        tracks: Rows of `Material.tracks`, sorted by track_id, and ``part``: the number of the part that held them out.
        answers: Before calibration.
    """

    tracks: pd.DataFrame
    answers: Answers

    def save(self, folder: Path) -> None:
        """Write it to the predictor's folder, beside what it calibrated."""
        table = self.tracks[["track_id", "part"]].reset_index(drop=True)
        for name in ("genres", "shares", "embeddings"):
            values = getattr(self.answers, name)
            table = pd.concat(
                [table, pd.DataFrame(values, columns=[f"{name}_{i}" for i in range(values.shape[1])])], axis=1
            )
        with replacing(folder / FILE) as part:
            table.to_parquet(part, index=False)

    @classmethod
    def load(cls, folder: Path, material: Material) -> "HeldOut":
        """What `save` wrote."""
        table = pd.read_parquet(folder / FILE)
        tracks = material.tracks.merge(table[["track_id", "part"]], on="track_id", validate="one_to_one")
        table = table.set_index("track_id").loc[tracks["track_id"]]
        genres, shares, embeddings = (
            table.filter(regex=rf"^{name}_\d+$").to_numpy(np.float64) for name in ("genres", "shares", "embeddings")
        )
        return cls(tracks, Answers(genres, shares, embeddings))


def parts_of(
    material: Material, folds: int, seed: int, *, repeats: int = 1, setting: str = "calibration.folds"
) -> list[Part]:
    """One part: train and validation; or ``folds`` of them, by group and stratified by genre.

    Args:
        material: Whose tracks.
        folds: 0, or how many parts.
        seed: Of the division.
        repeats: How often all is divided anew into so many parts: so often each track is held out.
        setting: What is named where ``folds`` cannot be.

    Raises:
        CatalogueError: A genre has too few groups to be held out so often.
    """
    training, validation = material.part("train"), material.part("validation")
    if not folds:
        return [Part(training, validation)]
    from sklearn.model_selection import StratifiedGroupKFold

    tracks = material.tracks[material.tracks["split"].isin(["train", "validation"])]
    labels, groups = material.indices(tracks), tracks["group"].to_numpy(object)
    fewest = min(len(set(groups[labels == label])) for label in np.unique(labels))
    if folds < 2 or fewest < folds:
        raise CatalogueError(
            f"{setting} is {folds}, but a genre has {fewest} groups (artists) in training and validation, and "
            f"2 folds or more are needed. Set it to 0, or to 2 … {fewest}, or import more artists of that genre."
        )
    return [
        Part(tracks.iloc[fitted], tracks.iloc[held])
        for repeat in range(repeats)
        for fitted, held in StratifiedGroupKFold(folds, shuffle=True, random_state=seed + 1_000 * repeat).split(
            labels, labels, groups
        )
    ]


def held_out(answered: Iterator[tuple[Predictor, Part]], root: Path) -> HeldOut:
    """Ask each part's own model about the songs that were kept from it.

    A song that was kept from several is answered by them together: probabilities by their geometric mean, shares by
    their mean, and its place is where the first one puts it.
    """
    tracks, answers = [], []
    for number, (predictor, part) in enumerate(answered):
        tracks.append(part.held.assign(part=number))
        answers.append(answers_of(predictor, part.held, root, raw=True))
    together = pd.concat(tracks, ignore_index=True)
    if together.empty:
        none = np.zeros((0, 0))
        return HeldOut(together, Answers(none, none, none))
    told = joined([each for each in answers if len(each)])
    _, first, song = np.unique(together["track_id"].to_numpy(str), return_index=True, return_inverse=True)
    asked = np.bincount(song)[:, None]
    genres = np.exp(_sums(np.log(told.genres.clip(1e-12)), song) / asked)
    mean = Answers(genres / genres.sum(axis=1, keepdims=True), _sums(told.shares, song) / asked, told.embeddings[first])
    return HeldOut(together.iloc[first].reset_index(drop=True), mean if asked.max() > 1 else told[first])


def _sums(values: NDArray[np.float64], song: NDArray[np.int64]) -> NDArray[np.float64]:
    """Rows of the same song added up, shape ``(songs, columns)``."""
    found = np.zeros((song.max() + 1, values.shape[1]))
    np.add.at(found, song, values)
    return found


def calibration_of(held: HeldOut, embeddings: NDArray[np.float64], material: Material, how: Settings) -> Calibration:
    """How sure a model is, by what its kind said of held-out songs.

    Args:
        held: Those.
        embeddings: Of the songs that the first part's model was fitted to, by that model, shape ``(tracks, dims)``.
        material: Where labels and tags come from.
        how: Section ``calibration`` of params.yaml.
    """
    groups = held.tracks["group"].to_numpy(object)
    first = (held.tracks["part"] == 0).to_numpy()  # each part's model has embeddings of its own
    calibration = calibrate(
        probabilities=held.answers.genres,
        actual=material.indices(held.tracks),
        groups=groups,
        shares=held.answers.shares,
        known=material.tags.of(held.tracks["track_id"]),
        coverage=how.coverage,
        by_class=how.by_class,
        least_accuracy=how.least_accuracy,
        seed=0,
    )
    familiar = fit_familiar(embeddings, held.answers.embeddings[first], seed=0, groups=groups[first])
    return replace(calibration, familiar=familiar)
