"""Why the network says so: which frequency bands and which moments of a song speak for a label, and whether it is true.

Conventions: ``function`` takes log-mel excerpts ``(batch, mels, frames)`` to answers ``(batch, labels)``, each excerpt
for itself (a network in ``eval`` mode), and can be differentiated. Attributions are in the units of its answers.
"""

from earmark.model.reasons.attribution.deletion import (
    area_under_deletion,
    best_baseline,
    deletion_curve,
    deletion_gain,
    deletion_gains,
    gain_of,
    random_attributions,
)
from earmark.model.reasons.attribution.gradients import (
    by_band,
    by_moment,
    completeness_gap,
    integrated_gradients,
    mean_spectrum,
)
from earmark.model.reasons.attribution.song import ClassWhy, Why, band_centres_hz, lay_back, why, why_class

__all__ = [
    "ClassWhy",
    "Why",
    "area_under_deletion",
    "band_centres_hz",
    "best_baseline",
    "by_band",
    "by_moment",
    "completeness_gap",
    "deletion_curve",
    "deletion_gain",
    "deletion_gains",
    "gain_of",
    "integrated_gradients",
    "lay_back",
    "mean_spectrum",
    "random_attributions",
    "why",
    "why_class",
]
