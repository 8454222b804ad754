"""Why the network says so: which frequency bands and which moments of a song speak for a label, and whether it is true.

Conventions: ``function`` takes log-mel excerpts ``(batch, mels, frames)`` to answers ``(batch, labels)``, each excerpt
for itself (a network in ``eval`` mode), and can be differentiated. Attributions are in the units of its answers.
"""

from earmark.model.reasons.attribution.deletion import (
    area_under_deletion,
    deletion_curve,
    deletion_gains,
    ends_of,
    gain_of,
    random_attributions,
)
from earmark.model.reasons.attribution.gradients import (
    by_band,
    completeness_gap,
    integrated_gradients,
    mean_spectrum,
)
from earmark.model.reasons.attribution.song import Why, band_centres_hz, by_moment, lay_back, why

__all__ = [
    "Why",
    "area_under_deletion",
    "band_centres_hz",
    "by_band",
    "by_moment",
    "completeness_gap",
    "deletion_curve",
    "deletion_gains",
    "ends_of",
    "gain_of",
    "integrated_gradients",
    "lay_back",
    "mean_spectrum",
    "random_attributions",
    "why",
]
