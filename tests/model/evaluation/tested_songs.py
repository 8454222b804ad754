"""Songs of known answers for the tests of this folder: by artists with two songs each, in three genres."""

import numpy as np

from earmark.model.answers import Answers
from earmark.model.calibration.calibration import calibrate
from earmark.model.evaluation.tested import Tested
from earmark.params import Evaluation

HOW = Evaluation(seed=1, resamples=400, confidence=0.9)
LABELS = ("folk", "jazz", "rock")


def answers(genres, shares=None, embeddings=None) -> Answers:
    genres = np.asarray(genres, dtype=float)
    return Answers(
        genres,
        np.zeros((len(genres), 0)) if shares is None else shares,
        np.zeros((len(genres), 2)) if embeddings is None else embeddings,
    )


def said(labels, sure: float = 0.8) -> Answers:
    """Each song is said to be of this label, with this probability."""
    rest = (1 - sure) / (len(LABELS) - 1)
    return answers(np.where(np.eye(len(LABELS))[np.asarray(labels)] == 1, sure, rest))


def asked(actual, told, groups=None, **other) -> Tested:
    actual = np.asarray(actual)
    groups = np.arange(len(actual)) // 2 if groups is None else groups
    values = {"calibrations": dict.fromkeys(told), "training": np.array([10, 60, 30])} | other
    return Tested(LABELS, actual, np.asarray(groups).astype(object), told, **values)


def calibrated(seed: int = 0, songs: int = 400, tags: int = 0):
    """Answers that come true as often as they say, and a calibration from as many others of the same kind."""
    rng = np.random.default_rng(seed)

    def draw():
        genres = rng.dirichlet(np.full(len(LABELS), 0.6), songs)
        actual = np.array([rng.choice(len(LABELS), p=row) for row in genres])
        shares = rng.uniform(0.1, 0.9, (songs, tags))
        observed = np.clip(shares + rng.normal(0, 0.1, shares.shape), 0, 1)
        known = np.stack([observed, np.ones_like(shares)], axis=1).astype(np.float32)
        return answers(genres, shares, rng.normal(size=(songs, 2))), actual, known

    held, its, told = draw()
    calibration = calibrate(
        probabilities=held.genres,
        actual=its,
        shares=held.shares,
        known=told,
        embeddings=held.embeddings,
        training_embeddings=rng.normal(size=(songs, 2)),
        coverage=0.9,
        by_class=False,
        least_accuracy=0.0,
        seed=0,
    )
    return *draw(), calibration
