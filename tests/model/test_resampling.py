import numpy as np
import pytest

from earmark.model.network.resampling import balanced_counts, drawn

LABELS = np.repeat([0, 1, 2], [60, 12, 3])[np.random.default_rng(0).permutation(75)]
SIZES = np.array([60, 12, 3])


def of_genres(counts: np.ndarray) -> np.ndarray:
    return np.array([counts[genre == LABELS].sum() for genre in range(3)])


def numbers(balance: float, seed: object = 0, per_epoch: int = 2) -> np.ndarray:
    """How often each track is drawn."""
    tracks = drawn(LABELS, per_epoch=per_epoch, balance=balance, rng=np.random.default_rng(seed))
    return np.bincount(tracks, minlength=len(LABELS))


class TestBalancedCounts:
    def test_unbalanced_each_track_is_drawn_alike(self):
        assert balanced_counts(LABELS, 3, 0.0).tolist() == [3.0] * 75

    def test_wholly_balanced_each_genre_is_drawn_alike(self):
        np.testing.assert_allclose(of_genres(balanced_counts(LABELS, 2, 1.0)), [50, 50, 50])

    def test_half_balanced_genres_are_drawn_by_the_root_of_their_size(self):
        genres = of_genres(balanced_counts(LABELS, 2, 0.5))
        np.testing.assert_allclose(genres / genres[2], np.sqrt(SIZES / 3))

    @pytest.mark.parametrize("balance", [0.0, 0.3, 0.5, 1.0])
    def test_their_sum_is_the_same_however_balanced_and_no_track_is_left_out(self, balance):
        counts = balanced_counts(LABELS, 2, balance)
        assert counts.sum() == pytest.approx(150) and counts.min() > 0

    def test_a_genre_that_no_track_has_changes_nothing(self):
        with_gap = np.where(LABELS == 2, 7, LABELS)
        np.testing.assert_array_equal(balanced_counts(with_gap, 2, 0.5), balanced_counts(LABELS, 2, 0.5))


class TestWithoutGenre:
    """Some tracks have none; the others are the genres of before."""

    SOME = np.concatenate([LABELS, np.full(25, -1)])[np.random.default_rng(1).permutation(100)]

    @pytest.mark.parametrize("balance", [0.0, 0.5, 1.0])
    def test_they_are_drawn_as_often_as_asked_and_the_others_as_if_they_were_alone(self, balance):
        counts = balanced_counts(self.SOME, 2, balance)
        known = self.SOME >= 0
        assert (counts[~known] == 2).all()
        np.testing.assert_array_equal(counts[known], balanced_counts(self.SOME[known], 2, balance))

    @pytest.mark.parametrize("balance", [0.0, 0.5, 1.0])
    @pytest.mark.parametrize("seed", range(5))
    def test_so_it_comes_out_in_every_epoch(self, balance, seed):
        tracks = drawn(self.SOME, per_epoch=2, balance=balance, rng=np.random.default_rng(seed))
        came = np.bincount(tracks, minlength=100)
        assert came.sum() == 200 and (came[self.SOME < 0] == 2).all()
        assert (np.abs(came - balanced_counts(self.SOME, 2, balance)) < 1).all()

    def test_where_nothing_has_a_genre_all_are_drawn_alike(self):
        assert balanced_counts(np.full(4, -1), 3, 1.0).tolist() == [3.0] * 4


class TestDrawn:
    @pytest.mark.parametrize("per_epoch", [1, 2, 5])
    def test_unbalanced_every_track_comes_exactly_so_often(self, per_epoch):
        assert (numbers(0.0, per_epoch=per_epoch) == per_epoch).all()

    def test_unbalanced_the_order_is_a_permutation_and_costs_no_other_draw(self):
        """So that a training without balance is the same to the bit as one that knows of none."""
        rng, other = np.random.default_rng(4), np.random.default_rng(4)
        order = drawn(LABELS, per_epoch=2, balance=0.0, rng=rng)
        assert order.tolist() == other.permutation(np.repeat(np.arange(75), 2)).tolist()
        assert rng.random() == other.random()

    @pytest.mark.parametrize("balance", [0.2, 0.5, 1.0])
    @pytest.mark.parametrize("seed", range(5))
    def test_each_track_and_each_genre_comes_as_often_as_it_should_but_for_rounding(self, balance, seed):
        counts = balanced_counts(LABELS, 2, balance)
        came = numbers(balance, seed)
        assert came.sum() == 150
        assert (np.abs(came - counts) < 1).all()
        assert (np.abs(of_genres(came) - of_genres(counts)) < 1 + 1e-9).all()

    @pytest.mark.parametrize("balance", [0.5, 1.0])
    def test_over_many_epochs_each_track_comes_as_often_as_it_should(self, balance):
        came = np.mean([numbers(balance, [1, epoch]) for epoch in range(2000)], axis=0)
        counts = balanced_counts(LABELS, 2, balance)
        np.testing.assert_allclose(came, counts, atol=4 * 0.5 / np.sqrt(2000))
        assert came.min() > 0

    def test_tracks_come_in_random_order(self):
        labels = LABELS[drawn(LABELS, per_epoch=2, balance=1.0, rng=np.random.default_rng(0))]
        assert 85 < (np.diff(labels) != 0).sum() < 115  # 2/3 of 149, were they independent

    def test_seed_and_epoch_decide_and_nothing_else(self):
        def order(seed, epoch):
            return drawn(LABELS, per_epoch=2, balance=0.5, rng=np.random.default_rng([seed, epoch])).tolist()

        assert order(1, 4) == order(1, 4)
        assert order(1, 4) != order(1, 5) and order(1, 4) != order(2, 4)

    def test_in_a_large_catalogue_rounding_loses_no_draw(self):
        labels = np.random.default_rng(0).geometric(0.01, 50_001)
        tracks = drawn(labels, per_epoch=3, balance=0.7, rng=np.random.default_rng(1))
        assert len(tracks) == 150_003 and tracks.min() >= 0 and tracks.max() <= 50_000
        counts = balanced_counts(labels, 3, 0.7)
        assert (np.abs(np.bincount(tracks, minlength=50_001) - counts) < 1 + 1e-6).all()
