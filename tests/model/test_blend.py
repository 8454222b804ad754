"""Several predictors as one: how their answers are put together, and by what weights."""

import numpy as np
import pytest

from earmark.audio.descriptors import descriptor_names
from earmark.errors import ModelError
from earmark.model.answers import Answers
from earmark.model.blend import BlendPredictor, Weights, blended, fit_weights
from earmark.model.network.predictor import NetworkPredictor
from earmark.model.trees.forest import fit_forest, fit_tag_forest
from earmark.model.trees.predictor import ForestPredictor
from model_tools import COMMON, FOREST, NETWORK, made_network, noise

TAGS = ("feeling---calmness", "word---study")
SONGS = 300
RNG = np.random.default_rng(0)
ACTUAL = RNG.integers(0, 3, SONGS)
SHARE = RNG.random((SONGS, 2))
KNOWN = np.stack([SHARE, np.ones_like(SHARE)], axis=1).astype(np.float32)


def part(seed: int, *, genres: float, first_tag: float, second_tag: float) -> Answers:
    """Answers that are right, but for noise of this size."""
    rng = np.random.default_rng(seed)
    logits = 1.5 * np.eye(3)[ACTUAL] + genres * rng.normal(size=(SONGS, 3))
    odds = np.exp(logits)
    shares = SHARE + rng.normal(size=SHARE.shape) * [first_tag, second_tag]
    return Answers(odds / odds.sum(axis=1, keepdims=True), shares.clip(0, 1), rng.random((SONGS, 4 + seed)))


GOOD = part(1, genres=0.7, first_tag=0.05, second_tag=0.5)
POOR = part(2, genres=3.0, first_tag=0.5, second_tag=0.05)


def doubted(genres: np.ndarray) -> np.ndarray:
    """Probabilities of which a fiftieth goes to all genres alike."""
    return 0.98 * genres + 0.02 * np.full_like(genres, 1 / 3)


def log_loss(answers: Answers) -> float:
    return float(-np.log(answers.genres[np.arange(SONGS), ACTUAL]).mean())


class TestFitWeights:
    def test_the_better_part_counts_more_for_genres_and_for_each_tag_the_one_that_is_better_at_it(self):
        weights = fit_weights([GOOD, POOR], ACTUAL, KNOWN)
        assert weights.genres[0] > 5 * weights.genres[1] >= 0
        assert weights.tags[0, 0] > 0.7 and weights.tags[1, 1] > 0.7
        np.testing.assert_allclose(weights.tags.sum(axis=0), 1)

    def test_in_whatever_order_the_parts_come(self):
        one, other = fit_weights([GOOD, POOR], ACTUAL, KNOWN), fit_weights([POOR, GOOD], ACTUAL, KNOWN)
        np.testing.assert_allclose(one.genres, other.genres[::-1], atol=1e-3)
        np.testing.assert_allclose(one.tags, other.tags[::-1], atol=1e-3)

    def test_together_they_answer_new_songs_no_worse_than_the_better_one(self):
        weights = fit_weights([GOOD, POOR], ACTUAL, KNOWN)
        fresh = part(11, genres=0.7, first_tag=0.05, second_tag=0.5), part(12, genres=3, first_tag=0.5, second_tag=0.05)
        assert log_loss(blended(fresh, weights)) < min(map(log_loss, fresh)) + 0.01

    def test_equal_parts_have_equal_weights(self):
        weights = fit_weights([GOOD, GOOD, GOOD], ACTUAL, KNOWN)
        np.testing.assert_allclose(weights.genres, weights.genres.mean(), atol=1e-3)
        np.testing.assert_allclose(weights.tags, 1 / 3, atol=1e-3)

    def test_with_few_songs_weights_stay_near_equal(self):
        few = np.arange(4)
        weights = fit_weights([GOOD[few], POOR[few]], ACTUAL[few], KNOWN[few])
        many = fit_weights([GOOD, POOR], ACTUAL, KNOWN)
        assert abs(weights.genres[0] - weights.genres[1]) < abs(many.genres[0] - many.genres[1]) / 2
        assert abs(weights.tags[0] - 0.5).max() < 0.3

    def test_a_tag_that_is_known_of_no_song_counts_all_parts_alike(self):
        known = KNOWN.copy()
        known[:, 1, 1] = 0.0
        np.testing.assert_allclose(fit_weights([GOOD, POOR], ACTUAL, known).tags[:, 1], 0.5)

    def test_a_song_without_weight_makes_no_difference(self):
        known = KNOWN.copy()
        known[::2, 1] = 0.0
        other = known.copy()
        other[::2, 0] = 1 - other[::2, 0]
        one, same = (fit_weights([GOOD, POOR], ACTUAL, each).tags for each in (known, other))
        np.testing.assert_array_equal(one, same)

    @pytest.mark.parametrize("parts", [[GOOD[np.arange(0)], POOR[np.arange(0)]], [GOOD, POOR[np.arange(7)]]])
    def test_without_songs_or_with_others_there_are_none(self, parts):
        few = np.arange(len(parts[0]))
        with pytest.raises(ModelError, match="same held-out songs"):
            fit_weights(parts, ACTUAL[few], KNOWN[few])


class TestBlended:
    def test_probabilities_are_a_weighted_geometric_mean_with_a_little_doubt_and_shares_a_weighted_mean(self):
        weights = Weights(np.array([0.9, 0.4]), np.array([[0.75, 0.2], [0.25, 0.8]]))
        together = blended([GOOD, POOR], weights)
        product = doubted(GOOD.genres) ** 0.9 * doubted(POOR.genres) ** 0.4
        np.testing.assert_allclose(together.genres, product / product.sum(axis=1, keepdims=True), rtol=1e-9)
        np.testing.assert_allclose(together.shares[:, 0], 0.75 * GOOD.shares[:, 0] + 0.25 * POOR.shares[:, 0])
        np.testing.assert_allclose(together.shares[:, 1], 0.2 * GOOD.shares[:, 1] + 0.8 * POOR.shares[:, 1])
        np.testing.assert_array_equal(together.embeddings, GOOD.embeddings)

    def test_no_part_can_veto_what_another_one_is_sure_of(self):
        none = np.zeros((1, 0)), np.zeros((1, 1))
        vetoing, sure = Answers(np.array([[0.0, 0.5, 0.5]]), *none), Answers(np.array([[1.0, 0.0, 0.0]]), *none)
        together = blended([vetoing, sure, sure], Weights(np.array([1.0, 1.0, 1.0]), np.zeros((3, 0))))
        assert together.genres[0].argmax() == 0


@pytest.fixture(scope="module")
def blend() -> BlendPredictor:
    table = np.random.default_rng(0).normal(size=(30, len(descriptor_names())))
    told = np.random.default_rng(1).random((30, 2, 2)).astype(np.float32)
    forest = fit_tag_forest(table, told, FOREST)
    common = COMMON | {"tags": TAGS}
    parts = {
        "network": NetworkPredictor(**common, networks=(made_network(tags=2),), how=NETWORK),
        "forest": ForestPredictor(**common, forest=fit_forest(table, np.arange(30) % 3, FOREST), tag_forest=forest),
    }
    return BlendPredictor(
        **common, parts=parts, weights=Weights(np.array([0.8, 0.3]), np.array([[0.6, 1.0], [0.4, 0.0]]))
    )


class TestBlendPredictor:
    def test_it_needs_and_hears_what_any_of_its_parts_does(self, blend):
        assert blend.needs_log_mel and blend.needs_descriptors
        inputs = blend.inputs(noise(30))
        assert inputs.log_mel is not None and inputs.descriptors is not None
        assert blend.predict(noise(30)).heard_seconds == 30

    def test_it_answers_by_what_its_parts_say(self, blend):
        waveforms = [noise(3, seed) for seed in range(3)]
        parts = [doubted(part.probabilities(waveforms)) for part in blend.parts.values()]
        product = parts[0] ** 0.8 * parts[1] ** 0.3
        np.testing.assert_allclose(blend.probabilities(waveforms), product / product.sum(axis=1, keepdims=True))
