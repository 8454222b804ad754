"""Why a network says what it says of a song, and what it heeds in the songs of a class.

What is explained are the log odds of a label against all others, in nats; of several networks those of their common
answer, the normalised geometric mean of their probabilities, as `earmark.model.network.predictor` gives it. How it is
done, see `earmark.model.reasons.attribution`.
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
from earmark.model.answers import Inputs
from earmark.model.blend import BlendPredictor
from earmark.model.metrics import resamples
from earmark.model.network.excerpts import spread
from earmark.model.network.predictor import NetworkPredictor
from earmark.model.predictor import Predictor
from earmark.model.reasons.attribution import (
    Why,
    area_under_deletion,
    completeness_gap,
    deletion_curve,
    deletion_gains,
    integrated_gradients,
    why,
)
from earmark.model.reasons.attribution.song import MOMENTS
from earmark.params import Evaluation, Explanation

STEPS = 32
SHARE_STEPS = 5  # in so many steps everything is wiped out


class Logs(nn.Module):
    """The networks' common answer as logarithms of probabilities, ``(batch, mels, frames)`` → ``(batch, labels)``."""

    def __init__(self, predictor: NetworkPredictor) -> None:
        super().__init__()
        self.networks, self.device = nn.ModuleList(predictor.networks), predictor.device
        self.eval()

    def forward(self, excerpts: Tensor) -> Tensor:
        """As above; excerpts and answers are on the processor, wherever the networks compute."""
        there = excerpts.to(self.device)
        logs = torch.stack([network(there)[0].log_softmax(dim=1) for network in self.networks])
        return logs.mean(dim=0).log_softmax(dim=1).cpu()


class Odds(Logs):
    """Log odds of each label against all others: what is explained, as it does not saturate where a network is sure."""

    def forward(self, excerpts: Tensor) -> Tensor:
        """``(batch, mels, frames)`` → ``(batch, labels)``."""
        logs = super().forward(excerpts)
        own = torch.eye(logs.shape[1], dtype=torch.bool)
        others = logs[:, None, :].expand(-1, logs.shape[1], -1).masked_fill(own, -torch.inf)
        return logs - others.logsumexp(dim=2)


class Probabilities(Logs):
    """Of each label: what the deletion test watches, as areas under it can be compared."""

    def forward(self, excerpts: Tensor) -> Tensor:
        """``(batch, mels, frames)`` → ``(batch, labels)``."""
        return super().forward(excerpts).exp()


def network_of(predictor: Predictor) -> NetworkPredictor:
    """The part of a predictor that hears a song's moments: itself, or a blend's network.

    Raises:
        ModelError: It has none.
    """
    parts = list(predictor.parts.values()) if isinstance(predictor, BlendPredictor) else [predictor]
    for part in parts:
        if isinstance(part, NetworkPredictor):
            return part
    raise ModelError(
        f"A {predictor.kind} without a network answers by numbers that sum up the whole song, so there are no moments "
        "to point at. What it listens to is told by reports/importance.csv; for a single song ask a network or a blend."
    )


def explain_song(
    predictor: Predictor,
    song: LogMelArray | Tensor,
    label: str | None = None,
    *,
    excerpts: int | None = None,
    moments: int = MOMENTS,
    steps: int = STEPS,
    baseline: Tensor | None = None,
) -> Why:
    """What in one song speaks for a label, and what against it, as the network hears it.

    Args:
        predictor: A network, or a blend, whose network is explained.
        song: Its log-mel by the predictor's front-end, an array ``(frames, mels)``; or mono samples at the front-end's
            rate, a tensor ``(time,)``.
        label: Which; the one that the network thinks likeliest, unless given.
        excerpts: How many are heard, evenly spread; as many as the network hears to answer, unless given.
        moments: Into how many equal pieces the song is cut.
        steps: See `earmark.model.reasons.attribution.integrated_gradients`.
        baseline: What stands for "nothing is there", such as the mean spectrum ``(mels, 1)``; silence unless given.

    Raises:
        ModelError: The predictor has no network, does not know the label, or the song's shape is another.
        AudioError: The samples are too few to answer by.
    """
    network = network_of(predictor)
    if label is not None and label not in network.labels:
        raise ModelError(f"The model does not know {label!r}; it knows {', '.join(network.labels)}.")
    log_mel = _log_mel(network, song)
    heard = excerpts or network.how.excerpts
    if label is None:
        label = network.labels[int(network.raw([Inputs(log_mel=log_mel)]).genres.argmax())]
    return why(
        Odds(network),
        log_mel,
        network.labels.index(label),
        name=label,
        frontend=network.frontend,
        frames=frames_of(network.how.excerpt_seconds, network.frontend),
        excerpts=heard,
        moments=moments,
        steps=steps,
        baseline=baseline,
    )


@dataclass(frozen=True)
class Heeded:
    """What a network heeds in songs of one label, and whether that is true.

    Attributes:
        label: Theirs.
        songs: How many.
        bands: What each band adds to the log odds of the label, in nats, as the mean over songs, shape ``(mels,)``.
        bands_low: Lower end of its interval, a bootstrap over groups.
        bands_high: Upper end.
        gap: How far the attributions miss the difference of the answers, on average: the method's own error, in nats.
        gains: By how much each excerpt's attributions beat each of the random ones in the deletion test, shape
            ``(randoms, excerpts)``.
        groups: Artist of each excerpt, shape ``(excerpts,)``.
    """

    label: str
    songs: int
    bands: NDArray[np.float64]
    bands_low: NDArray[np.float64]
    bands_high: NDArray[np.float64]
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

    Only bands: a moment is one of its own song, and those of several say nothing together.

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
    excerpts, song = _excerpts(network, log_mels, how.excerpts)
    found = integrated_gradients(odds, excerpts, index, steps=how.steps, baseline=baseline)
    each = found.double().sum(dim=2).numpy()
    bands = np.stack([each[song == number].mean(axis=0) for number in range(len(log_mels))])  # (songs, mels)
    tail = (1 - evaluation.confidence) / 2
    drawn = [np.average(bands, axis=0, weights=weights) for weights in resamples(groups, evaluation)]
    low, high = np.quantile(drawn, [tail, 1 - tail], axis=0)
    return Heeded(
        label=label,
        songs=len(log_mels),
        bands=bands.mean(axis=0),
        bands_low=low,
        bands_high=high,
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
        groups=groups[song],
    )


def chosen_baseline(
    network: NetworkPredictor,
    songs: Mapping[str, Sequence[LogMelArray]],
    baselines: Mapping[str, Tensor],
    how: Explanation,
) -> str:
    """The name of the baseline whose attributions pass the deletion test best, over all classes; the first of equals.

    Each is tried with every baseline as what takes the place of what is wiped out, so that none is judged by its own.

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
    areas = dict.fromkeys(baselines, 0.0)
    for label, log_mels in songs.items():
        index = network.labels.index(label)
        excerpts, _ = _excerpts(network, log_mels, 1)
        for name, baseline in baselines.items():
            found = integrated_gradients(odds, excerpts, index, steps=how.steps, baseline=baseline)
            for fill in baselines.values():
                curve = deletion_curve(probabilities, excerpts, found, index, share_steps=SHARE_STEPS, fill=fill)
                areas[name] += float(area_under_deletion(curve).mean())
    return min(areas, key=lambda name: areas[name])


def _log_mel(network: NetworkPredictor, song: LogMelArray | Tensor) -> LogMelArray:
    if not isinstance(song, Tensor):
        return song
    heard = network.inputs(song).log_mel
    assert heard is not None  # a network needs it
    return heard


def _excerpts(
    network: NetworkPredictor, log_mels: Sequence[LogMelArray], count: int
) -> tuple[Tensor, NDArray[np.int64]]:
    """``count`` excerpts of each song, ``(batch, mels, frames)``, on the processor; and whose each is, ``(batch,)``."""
    frames = frames_of(network.how.excerpt_seconds, network.frontend)
    heard = [spread(log_mel, frames=frames, count=count) for log_mel in log_mels]
    song = np.repeat(np.arange(len(heard)), [len(own) for own in heard])
    return torch.from_numpy(np.concatenate(heard).astype(np.float32)).transpose(1, 2).contiguous(), song
