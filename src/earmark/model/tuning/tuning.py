"""What `earmark tune` goes by: how well networks answer songs that were held out of training, test songs left alone.

The training and the validation part together are divided by group into folds; a network is trained for each, and asked
about the songs that were kept from it. What they lose is weighted as in training. The validation loss of each epoch, by
which hopeless trials are broken off, is that of the genre alone.
"""

import dataclasses
import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from earmark.files import sha256_of
from earmark.model.answers import Answers, Inputs, joined
from earmark.model.calibration.temperature import FLOOR
from earmark.model.held_out import Part, parts_of
from earmark.model.material import Material
from earmark.model.metrics import Score, resamples
from earmark.model.network.predictor import NetworkPredictor, chosen_device
from earmark.model.network.starting import check_unheard, start_at
from earmark.model.network.training import Epoch, Settings, fit
from earmark.model.tuning.search_space import Choice, Space
from earmark.params import Evaluation, Params, to_dict

OnEpoch = Callable[[int, Epoch], None]  # told which fold, from 0, and the epoch

_FLOOR = 1e-6  # shares nearer to 0 or 1 count as that: one answer costs no more than all others together


@dataclasses.dataclass(frozen=True)
class Held:
    """Songs to answer, fold by fold.

    Attributes:
        material: What is learnt from; its test part is never looked at.
        parts: One a fold.
        tag_share: Of the loss, where there are tags: the same for all trials, whatever they are trained by.
    """

    material: Material
    parts: tuple[Part, ...]
    tag_share: float

    @property
    def tracks(self) -> pd.DataFrame:
        """All of them, in the order in which they are answered."""
        return pd.concat([part.held for part in self.parts], ignore_index=True)

    @property
    def groups(self) -> NDArray[np.object_]:
        """Of `tracks`."""
        return self.tracks["group"].to_numpy(object)


def held_for_tuning(material: Material, params: Params) -> Held:
    """Folds by group of the training and the validation part.

    Raises:
        CatalogueError: A genre has too few groups for so many folds.
    """
    own = dataclasses.replace(material, tracks=material.tracks[material.tracks["split"] != "test"])
    parts = parts_of(own, params.tuning.folds, params.tuning.seed, setting="tuning.folds")
    return Held(own, tuple(parts), params.training.tag_share)


def check_starts(material: Material, held: Held, space: Space, params: Params) -> list[str]:
    """Refuse a search in which held-out songs would be answered by networks that began with knowing them.

    Args:
        material: All of it, songs for testing included.
        held: Songs by which trials are judged.
        space: Where the search goes, perhaps through several ``training.start_from``.
        params: Of the project.

    Returns:
        Those that lead to weights of which it is not known what they have heard.

    Raises:
        ModelError: Weights are not there, or know songs that are held out.
    """
    unknown = []
    for folder in _starts(space, params):
        start = start_at(held.material.root, folder)
        if start is not None:
            tested = material.hashes(material.part("test"))
            check_unheard(start, tested=tested, held=held.material.hashes(held.tracks))
            unknown += [] if start.described else [folder]
    return unknown


def losses(held: Held, params: Params, *, on_epoch: OnEpoch | None = None) -> NDArray[np.float64]:
    """What networks trained with ``params`` lose on songs that they have not heard.

    Args:
        held: Those.
        params: By which networks are trained, each on one device.
        on_epoch: Told of each epoch; what it raises ends the training.

    Returns:
        One number a song, in the order of `Held.tracks`, in nats; their mean is the loss of all.
    """
    material = dataclasses.replace(held.material, frontend=params.frontend)
    # Told of epochs in this very process: so on one device, however many there are.
    alone = dataclasses.replace(params.training, devices=1, nodes=1, start_from=_start(material, params))
    settings = Settings(params.frontend, params.network, alone, params.augmentation)
    answers = [_answers(fold, part, material, settings, on_epoch) for fold, part in enumerate(held.parts)]
    genres = np.concatenate([each.genres for each in answers])
    shares = np.concatenate([each.shares for each in answers])
    tracks = held.tracks
    lost = genre_losses(genres, material.indices(tracks))
    if not material.tags.names:
        return lost
    share, weight = material.tags.of(tracks["track_id"]).transpose(1, 0, 2).astype(np.float64)
    return (1 - held.tag_share) * lost + held.tag_share * tag_losses(shares, share, weight)


def genre_losses(probabilities: NDArray[np.float64], actual: NDArray[np.int64]) -> NDArray[np.float64]:
    """−log of the right genre's probability, shape ``(tracks,)``."""
    return -np.log(np.maximum(probabilities[np.arange(len(actual)), actual], FLOOR))


def tag_losses(
    told: NDArray[np.float64], shares: NDArray[np.float64], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Weighted cross-entropy of each song's tags, so scaled that the mean over songs is `losses.tag_loss` of all.

    Args:
        told: Shares that the model says, shape ``(tracks, tags)``.
        shares: Those of the listeners.
        weights: How much is known of each; 0: nothing.
    """
    told = told.clip(_FLOOR, 1 - _FLOOR)
    lost = -weights * (shares * np.log(told) + (1 - shares) * np.log1p(-told))
    return np.asarray(lost.sum(axis=1) / max(float(weights.sum(axis=1).mean()), 1e-12))


def paired(
    best: Sequence[NDArray[np.float64]],
    present: Sequence[NDArray[np.float64]],
    groups: NDArray[np.object_],
    how: Evaluation,
) -> Score:
    """The difference of two ways to train, best minus present, by the same songs, with an interval over groups.

    Args:
        best: Losses of each song, shape ``(tracks,)``; once for each seed.
        present: Likewise, with the same seeds.
        groups: Of each song.
        how: How the interval is drawn.
    """
    gain = np.mean(best, axis=0) - np.mean(present, axis=0)
    drawn = [float(np.average(gain, weights=weights)) for weights in resamples(groups, how)]
    return Score.of(gain.mean(), drawn, how.confidence)


def fresh_seeds(params: Params, count: int) -> list[int]:
    """Seeds of training that no trial has had."""
    drawn = np.random.SeedSequence([params.tuning.seed, 1]).generate_state(count + 1)
    return [int(seed) for seed in drawn if seed != params.training.seed][:count]


def key_of(held: Held, space: Space, params: Params) -> str:
    """Names a search: the songs with what is known of them, where it looks, and all that it leaves as it is."""
    tracks = held.tracks.drop(columns="path")
    told = held.material.tags.table
    told = told[told["track_id"].isin(tracks["track_id"])].sort_values(["track_id", "tag"])
    searched = {name: repr(dimension) for name, dimension in space.dimensions.items()}
    left = {
        f"{section}.{key}": value
        for section in ("frontend", "network", "training", "augmentation")
        for key, value in to_dict(getattr(params, section)).items()
        if f"{section}.{key}" not in searched
    }
    starts = [held.material.root / start for start in _starts(space, params) if start]
    weights = [sha256_of(file) for start in starts for file in _weights_at(start)]
    how = [searched, left, params.tuning.seed, params.tuning.folds, held.tag_share, weights]
    total = hashlib.sha256(json.dumps(how, sort_keys=True).encode())
    total.update(tracks.to_csv(index=False).encode())
    total.update(told.to_csv(index=False, float_format="%.9g").encode())
    return total.hexdigest()[:16]


def _answers(fold: int, part: Part, material: Material, settings: Settings, on_epoch: OnEpoch | None) -> Answers:
    """Of a network that was fitted to one part's songs, about those that were kept from it."""
    network, _ = fit(
        material.examples(part.fitted),
        material.examples(part.held),
        settings,
        on_epoch=None if on_epoch is None else lambda epoch: on_epoch(fold, epoch),
    )
    device = chosen_device("auto")
    predictor = NetworkPredictor(
        labels=material.labels,
        frontend=settings.frontend,
        trained_on=material.hashes(part.fitted),
        data_hash=material.data_hash,
        tags=material.tags.names,
        networks=(network.to(device),),
        how=settings.network,
        device=device,
    )
    heard = material.examples(part.held).log_mels
    return joined([predictor.raw([Inputs(log_mel=log_mel)]) for log_mel in heard])  # one mapped file at a time


def _starts(space: Space, params: Params) -> list[str]:
    """All that ``training.start_from`` is, or may be."""
    searched = space.dimensions.get("training.start_from")
    return [str(each) for each in searched.choices] if isinstance(searched, Choice) else [params.training.start_from]


def _weights_at(start: Path) -> list[Path]:
    return [start] if start.is_file() else sorted(start.rglob("*.pt"))


def _start(material: Material, params: Params) -> str:
    """``training.start_from`` as seen from anywhere."""
    return str(material.root / params.training.start_from) if params.training.start_from else ""
