"""Whether attributions name what the network heeds: the deletion test.

Where the cells that are said to matter most are wiped out first, the answer falls faster than where as many are wiped
out at random (Samek et al., "Evaluating the visualization of what a deep neural network has learned", IEEE TNNLS 28,
2017; Petsiuk, Das and Saenko, "RISE: randomized input sampling for explanation of black-box models", BMVC 2018). An
explanation that does not pass it (`gain_of`) explains nothing. Between baselines, too, this test decides.
"""

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from earmark.errors import ModelError
from earmark.model.metrics import Score, resamples
from earmark.model.reasons.attribution.gradients import Function, answers_of, spread, validate
from earmark.params import Evaluation

PATCH = (4, 8)  # bands and frames wiped out together: single cells at random are noise that no network has heard


def ends_of(function: Function, excerpts: Tensor, label: int, *, fill: Tensor | None = None) -> Tensor:
    """Where every `deletion_curve` of these excerpts begins and ends: nothing is wiped out, all is; ``(batch, 2)``."""
    whole = answers_of(function, excerpts, label)
    alike = fill is None or fill.ndim < 3 or len(fill) == 1  # what is left is then the same for every excerpt
    nothing = answers_of(function, spread(fill, excerpts[:1] if alike else excerpts), label)
    return torch.stack([whole, nothing.expand_as(whole)], dim=1)


def deletion_curve(
    function: Function,
    excerpts: Tensor,
    attributions: Tensor,
    label: int,
    *,
    share_steps: int = 10,
    fill: Tensor | None = None,
    patch: tuple[int, int] = PATCH,
    ends: Tensor | None = None,
) -> Tensor:
    """The answer while more and more is wiped out, what is said to matter most first.

    Args:
        function: See this package; an answer in [0, 1], such as a probability, makes areas comparable.
        excerpts: Shape ``(batch, mels, frames)``.
        attributions: Of the same shape.
        label: Which answer.
        share_steps: In how many equal steps everything is wiped out.
        fill: What takes the place, as a baseline is given; silence unless given.
        patch: Bands and frames that go together, by their mean attribution.
        ends: What `ends_of` says of them, so that several attributions do not ask for it again.

    Returns:
        Shape ``(batch, share_steps + 1)``, from the excerpt as it is to none of it left.

    Raises:
        ModelError: Shapes do not fit.
    """
    validate(function, excerpts)
    if attributions.shape != excerpts.shape or share_steps < 1:
        raise ModelError(
            f"Attributions of shape {tuple(attributions.shape)} for excerpts of shape {tuple(excerpts.shape)} in "
            f"{share_steps} steps: the shapes must be the same, and there must be a step."
        )
    ends = ends_of(function, excerpts, label, fill=fill) if ends is None else ends
    fill = spread(fill, excerpts)
    place = _places(attributions, patch)  # 0 (the first to go) … just below 1
    between = [
        answers_of(function, torch.where(place < step / share_steps, fill, excerpts), label)
        for step in range(1, share_steps)
    ]
    return torch.stack([ends[:, 0], *between, ends[:, 1]], dim=1)


def area_under_deletion(curve: Tensor) -> Tensor:
    """Mean height of each `deletion_curve` ``(batch, steps + 1)``, shape ``(batch,)``: the lower, the truer."""
    return torch.trapezoid(curve, dim=1) / (curve.shape[1] - 1)


def deletion_gains(
    function: Function,
    excerpts: Tensor,
    attributions: Tensor,
    label: int,
    *,
    randoms: int = 20,
    seed: int = 1,
    share_steps: int = 10,
    fill: Tensor | None = None,
    patch: tuple[int, int] = PATCH,
) -> NDArray[np.float64]:
    """By how much attributions beat random ones: the area under random deletion minus theirs.

    Args:
        function: As `deletion_curve` has it, like all that is not named here.
        excerpts: Shape ``(batch, mels, frames)``.
        attributions: Of the same shape.
        label: Which answer.
        randoms: How many random attributions.
        seed: Of the first; the others follow.
        share_steps: See `deletion_curve`.
        fill: See `deletion_curve`.
        patch: See `deletion_curve`.

    Returns:
        For each random attribution and excerpt, shape ``(randoms, batch)``.

    Raises:
        ModelError: Shapes do not fit.
    """
    if randoms < 1:
        raise ModelError(f"randoms is {randoms}; there must be at least 1 random attribution to compare with.")
    validate(function, excerpts)
    ends = ends_of(function, excerpts, label, fill=fill)

    def areas(given: Tensor) -> NDArray[np.float64]:
        curve = deletion_curve(
            function, excerpts, given, label, share_steps=share_steps, fill=fill, patch=patch, ends=ends
        )
        return np.asarray(area_under_deletion(curve).double().cpu().numpy())

    own = areas(attributions)
    return np.stack([areas(random_attributions(excerpts, seed + one)) - own for one in range(randoms)])


def gain_of(gains: NDArray[np.float64], groups: NDArray[np.object_], how: Evaluation, *, seed: int = 1) -> Score:
    """The mean of `deletion_gains`, also of several labels side by side, with its interval.

    The interval is drawn over groups, and each draw compares with one of the random attributions, not with their mean:
    attributions that are random themselves are one more of these, and seldom come out above 0. They pass where ``low``
    is above 0.

    Args:
        gains: Shape ``(randoms, batch)``.
        groups: The song or artist of each excerpt, shape ``(batch,)``.
        how: Section ``evaluation`` of params.yaml.
        seed: With that of ``how``, of which random attribution each draw compares with.

    Raises:
        ModelError: There is not one group an excerpt.
    """
    if len(groups) != gains.shape[1]:
        raise ModelError(f"{len(groups)} groups for {gains.shape[1]} excerpts: they must be one each an excerpt.")
    weights = np.stack(resamples(groups, how))  # (draws, batch)
    chosen = np.random.default_rng([how.seed, seed]).integers(0, len(gains), how.resamples)
    drawn = (gains[chosen] * weights).sum(axis=1) / weights.sum(axis=1)
    return Score.of(gains.mean(), drawn, how.confidence)


def random_attributions(excerpts: Tensor, seed: int) -> Tensor:
    """Attributions that know nothing, of the same shape: what others are compared with."""
    chance = torch.Generator().manual_seed(seed)
    return torch.randn(excerpts.shape, generator=chance).to(excerpts.device)


def _places(attributions: Tensor, patch: tuple[int, int]) -> Tensor:
    """Each cell's place in the order of its patch's attribution, the highest first: in [0, 1), same shape."""
    mels, frames = attributions.shape[1:]
    mean = F.avg_pool2d(attributions[:, None], patch, ceil_mode=True)  # (batch, 1, patches of bands, of frames)
    order = mean.flatten(1).argsort(dim=1, descending=True, stable=True)
    ranks = order.argsort(dim=1).to(attributions.dtype) / order.shape[1]
    wide = ranks.view(mean.shape).repeat_interleave(patch[0], dim=2).repeat_interleave(patch[1], dim=3)
    return wide[:, 0, :mels, :frames]
