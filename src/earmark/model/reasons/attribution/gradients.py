"""Integrated gradients: an answer divided among the cells of the log-mel.

The gradient, averaged along the straight way from a baseline to the excerpt, times what was added on that way
(Sundararajan, Taly and Yan, "Axiomatic attribution for deep networks", ICML 2017). The shares add up to the difference
between the two answers (completeness). The baseline stands for "nothing is there": silence, which in a log-mel lies at
exactly 0, or the mean spectrum; `earmark.model.reasons.attribution.deletion` can choose.
"""

from collections.abc import Callable, Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from earmark.audio.features import LogMelArray
from earmark.errors import ModelError

Function = Callable[[Tensor], Tensor]

STEPS = 64  # of the way from the baseline
_AT_ONCE = 16  # excerpts: of more, what the layers hand on falls out of a processor's cache


def integrated_gradients(
    function: Function, excerpts: Tensor, label: int, *, steps: int = STEPS, baseline: Tensor | None = None
) -> Tensor:
    """What each cell adds to the answer for ``label``.

    Args:
        function: See `earmark.model.reasons.attribution`.
        excerpts: Shape ``(batch, mels, frames)``.
        label: Which of its answers.
        steps: Points on the way, in the middle of as many equal pieces.
        baseline: Broadcast to ``excerpts``, such as ``(mels, 1)``; silence unless given.

    Returns:
        Shape ``(batch, mels, frames)``.

    Raises:
        ModelError: Shapes do not fit, ``function`` is in training mode, or has no gradient or one that is no number.
    """
    validate(function, excerpts)
    baseline = spread(baseline, excerpts)
    if steps < 1:
        raise ModelError(f"steps is {steps}; the way from the baseline needs at least 1.")
    at = (torch.arange(steps, dtype=excerpts.dtype, device=excerpts.device) + 0.5) / steps
    pieces = [
        (to - start) * _mean_gradient(function, start, to, label, at)
        for start, to in zip(torch.split(baseline, _AT_ONCE), torch.split(excerpts.detach(), _AT_ONCE), strict=True)
    ]
    attributions = torch.cat(pieces)
    if not bool(torch.isfinite(attributions).all()):
        raise ModelError(
            "The gradient of the answer is not a finite number everywhere. Explain logits rather than logarithms of "
            "probabilities that may be 0, and check the model's weights."
        )
    return attributions


def completeness_gap(
    function: Function, excerpts: Tensor, attributions: Tensor, label: int, *, baseline: Tensor | None = None
) -> Tensor:
    """How far attributions miss the difference of the answers to excerpt and baseline: absolute, ``(batch,)``."""
    difference = answers_of(function, excerpts, label) - answers_of(function, spread(baseline, excerpts), label)
    return (attributions.sum(dim=(1, 2)) - difference).abs()


def mean_spectrum(log_mels: Iterable[LogMelArray]) -> Tensor:
    """The mean over all frames of log-mels ``(frames, mels)``, shape ``(mels, 1)``: a baseline that sounds like music.

    Raises:
        ModelError: There is none.
    """
    total: NDArray[np.float64] | None = None
    frames = 0
    for log_mel in log_mels:
        own = np.asarray(log_mel, dtype=np.float64).sum(axis=0)
        total = own if total is None else total + own
        frames += len(log_mel)
    if total is None or not frames:
        raise ModelError("There is no log-mel to take the mean spectrum of. Give those of the training part.")
    return torch.from_numpy((total / frames).astype(np.float32))[:, None]


def by_band(attributions: Tensor) -> Tensor:
    """What each band adds: summed over the frames, averaged over the batch; shape ``(mels,)``."""
    return attributions.sum(dim=2).mean(dim=0)


@torch.no_grad()
def answers_of(function: Function, excerpts: Tensor, label: int) -> Tensor:
    """The answers for ``label``, shape ``(batch,)``."""
    pieces = []
    for some in torch.split(excerpts, _AT_ONCE):
        answers = function(some)
        _validate_answers(answers, len(some), label)
        pieces.append(answers[:, label])
    return torch.cat(pieces)


def spread(baseline: Tensor | None, excerpts: Tensor) -> Tensor:
    """A baseline in the shape of the excerpts; silence for None."""
    if baseline is None:
        return torch.zeros_like(excerpts)
    try:
        return baseline.to(excerpts).expand_as(excerpts)
    except RuntimeError:
        raise ModelError(
            f"A baseline of shape {tuple(baseline.shape)} does not fit excerpts of shape {tuple(excerpts.shape)}; "
            f"needed is one value a band, ({excerpts.shape[1]}, 1), or one a cell."
        ) from None


def validate(function: Function, excerpts: Tensor) -> None:
    """Raises a `ModelError` where the excerpts are none, or the function is a network in training mode."""
    if excerpts.ndim != 3 or not excerpts.numel():
        raise ModelError(
            f"Excerpts have the shape {tuple(excerpts.shape)}; needed is (batch, mels, frames), none of them 0."
        )
    if isinstance(function, torch.nn.Module) and function.training:
        raise ModelError(
            "The network is in training mode, where dropout and the batch change its answers: call eval()."
        )


def _mean_gradient(function: Function, start: Tensor, to: Tensor, label: int, at: Tensor) -> Tensor:
    """Over the points ``at`` of the way, in [0, 1]: shape of ``start``, ``(batch, mels, frames)``."""
    total = torch.zeros_like(to)
    for some in torch.split(at, max(1, _AT_ONCE // len(to))):
        # Also where the caller computes without gradients: predictors do.
        with torch.inference_mode(False), torch.enable_grad():
            points = torch.lerp(start[None], to[None], some[:, None, None, None]).clone().requires_grad_()
            answers = function(points.flatten(0, 1))
            _validate_answers(answers, len(some) * len(to), label)
            if not answers.requires_grad:
                raise ModelError(
                    "The answers have no gradient, so nothing can be attributed. Give the network itself, without "
                    "torch.no_grad, torch.inference_mode, detach or NumPy on the way."
                )
            (gradient,) = torch.autograd.grad(answers[:, label].sum(), points)
        total += gradient.sum(dim=0)
    return total / len(at)


def _validate_answers(answers: Tensor, number: int, label: int) -> None:
    if answers.ndim != 2 or len(answers) != number or not 0 <= label < answers.shape[1]:
        raise ModelError(
            f"The function answered {number} excerpts with the shape {tuple(answers.shape)}; needed is "
            f"({number}, labels), with the label {label} among them."
        )
