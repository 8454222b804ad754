"""Why a network says what it says of a song, and what it heeds in the songs of a class.

What is explained are the log odds of a label against all others, or against one, in nats; of several networks those of
their common answer, the normalised geometric mean of their probabilities, as `earmark.model.network.predictor` gives
it. How it is done, see `earmark.model.reasons.attribution`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from earmark.audio.features import LogMelArray
from earmark.audio.spectrogram import frames_of
from earmark.errors import ModelError
from earmark.model.metrics import resamples
from earmark.model.network.excerpts import excerpt, starts
from earmark.model.network.fused import fused
from earmark.model.network.predictor import NetworkPredictor
from earmark.model.reasons.attribution import (
    Why,
    area_under_deletion,
    by_moment,
    completeness_gap,
    deletion_curve,
    deletion_gains,
    ends_of,
    integrated_gradients,
    why,
)
from earmark.model.reasons.attribution.song import MOMENTS, batch_of
from earmark.params import Evaluation, Explanation

PARTS = 10  # of a song, in which a class is told when the evidence comes
STEPS = 32
SHARE_STEPS = 5  # in so many steps everything is wiped out


class Logs(nn.Module):
    """The networks' common answer as logarithms of probabilities, ``(batch, mels, frames)`` → ``(batch, labels)``."""

    def __init__(self, predictor: NetworkPredictor) -> None:
        super().__init__()
        self.networks = nn.ModuleList(fused(network) for network in predictor.networks)
        self.device = predictor.device
        self.eval()

    def forward(self, excerpts: Tensor) -> Tensor:
        """As above; excerpts and answers are on the processor, wherever the networks compute."""
        there = excerpts.to(self.device)
        logs = torch.stack([network(there)[0].log_softmax(dim=1) for network in self.networks])
        return logs.mean(dim=0).log_softmax(dim=1).cpu()


class Odds(Logs):
    """Log odds of each label: what is explained, as it does not saturate where a network is sure.

    Args:
        predictor: Whose.
        against: Index of the label that stands against each; all others together unless given.
    """

    def __init__(self, predictor: NetworkPredictor, against: int | None = None) -> None:
        super().__init__(predictor)
        self.against = against

    def forward(self, excerpts: Tensor) -> Tensor:
        """``(batch, mels, frames)`` → ``(batch, labels)``."""
        logs = super().forward(excerpts)
        if self.against is not None:
            return logs - logs[:, [self.against]]
        own = torch.eye(logs.shape[1], dtype=torch.bool)
        others = logs[:, None, :].expand(-1, logs.shape[1], -1).masked_fill(own, -torch.inf)
        return logs - others.logsumexp(dim=2)


class Probabilities(Logs):
    """Of each label: what the deletion test watches, as areas under it can be compared."""

    def forward(self, excerpts: Tensor) -> Tensor:
        """``(batch, mels, frames)`` → ``(batch, labels)``."""
        return super().forward(excerpts).exp()


def explain_song(
    network: NetworkPredictor,
    log_mel: LogMelArray,
    label: str,
    *,
    rather_than: str | None = None,
    excerpts: int | None = None,
    moments: int = MOMENTS,
    steps: int = STEPS,
    baseline: Tensor | None = None,
) -> Why:
    """What in one song speaks for a label, and what against it, as the network hears it.

    Args:
        network: Which.
        log_mel: The song by the predictor's front-end, shape ``(frames, mels)``.
        label: Which.
        rather_than: The label that it is held against; all others together unless given.
        excerpts: How many are heard, evenly spread; as many as the network hears to answer, unless given.
        moments: Into how many equal pieces the song is cut.
        steps: See `earmark.model.reasons.attribution.integrated_gradients`.
        baseline: What stands for "nothing is there", such as the mean spectrum ``(mels, 1)``; silence unless given.

    Raises:
        ModelError: The predictor does not know a label, or the song's shape is another.
    """
    for name in (label, label if rather_than is None else rather_than):
        if name not in network.labels:
            raise ModelError(f"The model does not know {name!r}; it knows {', '.join(network.labels)}.")
    return why(
        Odds(network, None if rather_than is None else network.labels.index(rather_than)),
        log_mel,
        network.labels.index(label),
        name=label,
        frontend=network.frontend,
        frames=frames_of(network.how.excerpt_seconds, network.frontend),
        excerpts=excerpts or network.how.excerpts,
        moments=moments,
        steps=steps,
        baseline=baseline,
    )


@dataclass(frozen=True)
class Mean:
    """A mean over songs, with the ends of its interval, a bootstrap over artists; arrays of one shape."""

    value: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]


@dataclass(frozen=True)
class Heeded:
    """What a network heeds in songs of one label, and whether that is true.

    Attributes:
        label: Theirs.
        songs: How many.
        bands: What each band adds to the log odds of the label in an excerpt, in nats, shape ``(mels,)``.
        moments: What each tenth of a song adds to them, in nats per second, shape ``(PARTS,)``.
        gap: How far the attributions miss the difference of the answers, on average: the method's own error, in nats.
        gains: By how much each excerpt's attributions beat each of the random ones in the deletion test, shape
            ``(randoms, excerpts)``.
        groups: Artist of each excerpt, shape ``(excerpts,)``.
    """

    label: str
    songs: int
    bands: Mean
    moments: Mean
    gap: float
    gains: NDArray[np.float64]
    groups: NDArray[np.object_]


def explain_class(
    network: NetworkPredictor,
    log_mels: Sequence[LogMelArray],
    groups: NDArray[np.object_],
    label: str,
    how: Explanation,
    evaluation: Evaluation,
    *,
    baseline: Tensor,
) -> Heeded:
    """What speaks for a label in songs of that label, and the deletion test of it.

    Of each song ``how.excerpts`` are heard, or as many as it takes to hear something of every tenth of it.

    Args:
        network: Which.
        log_mels: Of the songs, ``(frames, mels)`` each, one at least.
        groups: Artists, shape ``(songs,)``.
        label: Theirs.
        how: Section ``explanation`` of params.yaml.
        evaluation: Section ``evaluation`` of params.yaml.
        baseline: As `explain_song` has it; it is also what takes the place of what is wiped out.

    Raises:
        ModelError: There is no song.
    """
    if not log_mels:
        raise ModelError(f"There is no song of {label!r} to explain. Give one at least.")
    odds, index = Odds(network), network.labels.index(label)
    frames = frames_of(network.how.excerpt_seconds, network.frontend)
    firsts = [
        starts(len(own), frames=frames, count=max(how.excerpts, min(PARTS, -(-len(own) // frames)))) for own in log_mels
    ]
    excerpts = batch_of(
        [excerpt(own, start, frames=frames) for own, first in zip(log_mels, firsts, strict=True) for start in first]
    )
    found = integrated_gradients(odds, excerpts, index, steps=how.steps, baseline=baseline)
    each = np.split(found.double().numpy(), np.cumsum([len(first) for first in firsts])[:-1])  # by song
    frames_per_s = network.frontend.sample_rate_hz / network.frontend.hop
    moments = [
        by_moment(own, first, len(log_mel), PARTS, frames_per_s=frames_per_s)[0]
        for own, first, log_mel in zip(each, firsts, log_mels, strict=True)
    ]
    return Heeded(
        label=label,
        songs=len(log_mels),
        bands=_mean(np.stack([own.sum(axis=2).mean(axis=0) for own in each]), groups, evaluation),
        moments=_mean(np.stack(moments), groups, evaluation),
        gap=float(completeness_gap(odds, excerpts, found, index, baseline=baseline).mean()),
        gains=deletion_gains(
            Probabilities(network),
            excerpts,
            found,
            index,
            randoms=how.randoms,
            seed=how.seed,
            share_steps=SHARE_STEPS,
            fill=baseline,
        ),
        groups=np.repeat(groups, [len(first) for first in firsts]),
    )


def chosen_baseline(
    network: NetworkPredictor,
    songs: Mapping[str, Sequence[LogMelArray]],
    baselines: Mapping[str, Tensor],
    how: Explanation,
) -> str:
    """The name of the baseline whose attributions pass the deletion test best, over all classes; the first of equals.

    Each is tried with every baseline as what takes the place of what is wiped out, so that none is judged by its own.
    Half the steps tell baselines apart.

    Args:
        network: Which.
        songs: Log-mels of songs by their label; not those to be reported on. One excerpt of each is heard.
        baselines: By name.
        how: Section ``explanation`` of params.yaml.

    Raises:
        ModelError: There is no song.
    """
    if not songs:
        raise ModelError("There is no song to choose a baseline by. Give one of a class at least.")
    odds, probabilities = Odds(network), Probabilities(network)
    frames = frames_of(network.how.excerpt_seconds, network.frontend)
    areas = dict.fromkeys(baselines, 0.0)
    for label, log_mels in songs.items():
        index = network.labels.index(label)
        excerpts = batch_of([excerpt(own, 0, frames=frames) for own in log_mels])
        ends = {name: ends_of(probabilities, excerpts, index, fill=fill) for name, fill in baselines.items()}
        for name, baseline in baselines.items():
            found = integrated_gradients(odds, excerpts, index, steps=max(1, how.steps // 2), baseline=baseline)
            for other, fill in baselines.items():
                curve = deletion_curve(
                    probabilities, excerpts, found, index, share_steps=SHARE_STEPS, fill=fill, ends=ends[other]
                )
                areas[name] += float(area_under_deletion(curve).mean())
    return min(areas, key=lambda name: areas[name])


def _mean(values: NDArray[np.float64], groups: NDArray[np.object_], how: Evaluation) -> Mean:
    """Of ``(songs, k)``."""
    weights = np.stack(resamples(groups, how))  # (draws, songs)
    drawn = weights @ values / weights.sum(axis=1, keepdims=True)
    tail = (1 - how.confidence) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail], axis=0)
    return Mean(values.mean(axis=0), low, high)
