"""What the network is fitted by: one loss for each head, counting only what is known."""

import torch.nn.functional as F
from torch import Tensor


def genre_loss(logits: Tensor, genres: Tensor, smoothing: float) -> Tensor:
    """Cross-entropy with smoothed labels, averaged over what is known.

    Where every genre is known that is torch's own; but torch would smooth a label out of nothing where there is none.

    Args:
        logits: Shape ``(batch, classes)``.
        genres: What is known, shape ``(batch, classes)``. A row sums to its weight: 1 where the genre is known, 0 where
            it is not, something between in a mixture.
        smoothing: The share of each label that goes to all classes alike.
    """
    weight = genres.sum(dim=1, keepdim=True)
    targets = (1 - smoothing) * genres + smoothing / genres.shape[1] * weight
    losses = -(targets * F.log_softmax(logits, dim=1)).sum()
    return losses / weight.sum().clamp(min=1e-6)


def tag_loss(logits: Tensor, weighted: Tensor, weight: Tensor) -> Tensor:
    """Binary cross-entropy with shares as targets, averaged over what is known.

    Args:
        logits: Shape ``(batch, tags)``.
        weighted: Shares times their weight, shape ``(batch, tags)``.
        weight: How much is known, shape ``(batch, tags)``; 0: nothing.
    """
    share = weighted / weight.clamp(min=1e-6)
    losses = F.binary_cross_entropy_with_logits(logits, share.clamp(0, 1), weight=weight, reduction="sum")
    return losses / weight.sum().clamp(min=1e-6)


def place_loss(embeddings: Tensor, places: Tensor, placed: Tensor) -> Tensor:
    """One minus the cosine between where a song is put and where listeners put it, averaged over what is known.

    As van den Oord et al. ("Deep content-based music recommendation", NeurIPS 2013) predict factors from audio.

    Args:
        embeddings: Shape ``(batch, dims)``.
        places: Shape ``(batch, dims)``.
        placed: The weight of what is known, shape ``(batch, 1)``.
    """
    apart = 1 - F.cosine_similarity(embeddings, places, dim=1)
    return (apart * placed[:, 0]).sum() / placed.sum().clamp(min=1e-6)
