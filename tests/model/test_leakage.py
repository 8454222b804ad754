"""The leakage report: a random split flatters where artists can be recognised, and nowhere else."""

import numpy as np
import pytest

from earmark.model.evaluation import leakage as module
from earmark.model.evaluation.leakage import leakage
from earmark.params import load_params
from scratch import CHECKOUT

PARAMS = load_params(CHECKOUT / "params.yaml")


def songs(*, recognisable: bool, artists: int = 40, each: int = 6) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Songs whose descriptors say a little of the genre and, if wanted, much of the artist."""
    rng = np.random.default_rng(7)
    artist = np.repeat(np.arange(artists), each)
    label = artist % 2
    voice = rng.normal(0, 3, (artists, 8))[artist] if recognisable else 0
    descriptors = rng.normal(0, 1, (len(artist), 8)) + voice
    descriptors[:, 0] += 1.0 * label
    return descriptors, label, np.array([f"artist {number}" for number in artist], dtype=object)


def report(*args) -> dict[str, float]:
    return leakage(*args, PARAMS.forest, PARAMS.evaluation)


class TestLeakage:
    def test_is_large_where_the_artist_can_be_recognised(self):
        found = report(*songs(recognisable=True))
        assert found["random_minus_honest_low"] > 0.1
        assert found["random_accuracy"] - found["honest_accuracy"] == pytest.approx(found["random_minus_honest"])

    def test_is_within_chance_where_he_cannot(self):
        found = report(*songs(recognisable=False))
        assert found["random_minus_honest_low"] < 0 < found["random_minus_honest_high"] + 0.02
        assert abs(found["random_minus_honest"]) < 0.1

    def test_takes_fewer_folds_where_a_genre_has_few_groups_and_none_where_it_has_one(self):
        descriptors, label, groups = songs(recognisable=False, artists=6)
        assert report(descriptors, label, groups)["folds"] == 3
        groups[label == 0] = "all of them"
        assert report(descriptors, label, groups) == {}

    def test_of_a_large_catalogue_draws_whole_groups(self, monkeypatch):
        monkeypatch.setattr(module, "MOST_TRACKS", 100)
        monkeypatch.setattr(module, "TREES", 5)
        found = report(*songs(recognisable=False))
        assert 100 <= found["tracks"] < 106
        assert found["tracks"] % 6 == 0
