"""For tests of predictors: one of each kind, untrained or fitted to noise, whose answers differ from song to song."""

from dataclasses import replace

import numpy as np

from earmark.audio.descriptors import descriptor_names
from earmark.model.blend import BlendPredictor, Weights
from earmark.model.calibration.calibration import Calibration, calibrate
from earmark.model.calibration.novelty import fit_familiar
from earmark.model.network.predictor import NetworkPredictor
from earmark.model.predictor import Predictor
from earmark.model.trees.forest import fit_forest, fit_tag_forest
from earmark.model.trees.predictor import ForestPredictor
from earmark.params import Forest
from model_tools import COMMON, FOREST, NETWORK, made_network

TAGS = ("appeal---like", "category---sea", "feeling---calmness")
KINDS = ("network", "ensemble", "listeners", "forest", "boosting", "blend")


def made_predictor(kind: str, *, tags: tuple[str, ...] = TAGS) -> Predictor:
    """One of `KINDS`."""
    common = COMMON | {"tags": tags}
    if kind == "blend":
        parts = {name: made_predictor(name, tags=tags) for name in ("network", "forest")}
        shares = np.full((2, len(tags)), 0.5)
        return BlendPredictor(**common, parts=parts, weights=Weights(np.array([0.7, 0.4]), shares))
    if kind in ("forest", "boosting"):
        how = replace(FOREST, trees=20, kind="gradient_boosting" if kind == "boosting" else "random_forest")
        return _forest(common, how)
    seeds = (1, 2) if kind == "ensemble" else (1,)
    how = replace(NETWORK, pooling="attention", embedding="listeners") if kind == "listeners" else NETWORK
    places = 4 if kind == "listeners" else 0
    networks = [made_network(seed=seed, tags=len(tags), places=places, pooling=how.pooling) for seed in seeds]
    return NetworkPredictor(**common, networks=tuple(networks), how=how)


def _forest(common: dict, how: Forest) -> ForestPredictor:
    rng = np.random.default_rng(0)
    table = rng.normal(size=(60, len(descriptor_names())))
    told = rng.random((60, 2, len(common["tags"]))).astype(np.float32)
    labels = np.arange(60) % len(common["labels"])
    return ForestPredictor(**common, forest=fit_forest(table, labels, how), tag_forest=fit_tag_forest(table, told, how))


def made_calibration(*, labels: int = 3, tags: int = len(TAGS), dims: int, least_accuracy: float = 0.0) -> Calibration:
    """Fitted to made-up answers to 200 songs, which are mostly right; familiar are embeddings about 0."""
    rng = np.random.default_rng(3)
    actual = rng.integers(0, labels, 200)
    odds = np.exp(2 * np.eye(labels)[actual] + rng.normal(size=(200, labels)))
    shares = rng.random((200, tags))
    told = np.stack([(shares + rng.normal(0, 0.1, shares.shape)).clip(0, 1), np.ones_like(shares)], axis=1)
    made = calibrate(
        probabilities=odds / odds.sum(axis=1, keepdims=True),
        actual=actual,
        shares=shares,
        known=told,
        coverage=0.8,
        by_class=False,
        least_accuracy=least_accuracy,
        seed=0,
    )
    return replace(made, familiar=fit_familiar(rng.normal(size=(50, dims)), rng.normal(size=(200, dims)), seed=0))
