"""Simulated songs whose true probabilities are known: the truth is drawn from what a perfect model would say."""

import numpy as np


def softmax(logits):
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def answers(seed, tracks=400, labels=5, *, spread=2.0, distortion=1.0):
    """``probabilities, actual``: logits by chance, multiplied by ``distortion`` after the truth was drawn."""
    rng = np.random.default_rng(seed)
    logits = spread * rng.normal(size=(tracks, labels))
    truth = softmax(logits)
    actual = (rng.random((tracks, 1)) > truth.cumsum(axis=1)[:, :-1]).sum(axis=1)
    return softmax(distortion * logits), actual


def artists_answers(seed, artists, songs, labels=5, *, spread=2.0):
    """``probabilities, actual, groups``: each artist's songs are the same song, over and over."""
    probabilities, actual = answers(seed, artists, labels, spread=spread)
    each = np.repeat(np.arange(artists), songs)
    return probabilities[each], actual[each], each.astype(str).astype(object)


def shares(seed, tracks=300, tags=2, *, listeners=30, over=1.0, error=0.1):
    """``predicted, observed, weight``; predictions lie ``over`` times as far apart as they should."""
    rng = np.random.default_rng(seed)
    true = rng.beta(2, 3, size=(tracks, tags))
    observed = rng.binomial(listeners, true) / listeners
    predicted = 0.4 + over * (0.5 * (true - 0.4) + error * rng.normal(size=true.shape))
    return np.clip(predicted, 0, 1), observed, np.ones_like(true)
