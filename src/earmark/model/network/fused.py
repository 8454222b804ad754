"""Networks that answer as they were trained to, in half the time on a processor."""

import copy
import itertools

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


def fused(network: nn.Module) -> nn.Module:
    """A copy that gives the same answers and gradients of its input, to float precision, and learns no more.

    Norms, which no longer learn, are taken into the convolutions before them; channels lie side by side in memory; and
    for its weights no gradients are kept.
    """
    quick = copy.deepcopy(network).eval().requires_grad_(False)
    for part in list(quick.modules()):
        if isinstance(part, nn.Sequential):
            for place, (first, second) in enumerate(itertools.pairwise(list(part))):
                if isinstance(first, nn.Conv2d) and isinstance(second, nn.BatchNorm2d):
                    part[place], part[place + 1] = fuse_conv_bn_eval(first, second), nn.Identity()
    quick.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return quick
