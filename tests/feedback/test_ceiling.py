"""The noise ceiling: what listeners who differ leave to be predicted."""

import numpy as np
import pytest

from earmark.feedback.estimates import ceiling


def noise_ceiling(song, values, listener=None, **other) -> float:
    """Each value is another listener's unless said otherwise."""
    listener = np.arange(len(song)) if listener is None else listener
    return ceiling.noise_ceiling(song, listener, values, **other)


def said(of_songs: float, listeners, songs: int = 500, seed: int = 1) -> tuple:
    """Songs whose averages have this variance, said by so many listeners each, who differ with variance 1."""
    random = np.random.default_rng(seed)
    song = np.repeat(np.arange(songs), listeners)
    means = np.sqrt(of_songs) * random.standard_normal(songs)
    return song, means[song] + random.standard_normal(len(song)), means


class TestTheNoiseCeiling:
    @pytest.mark.parametrize("listeners", [4, 15, 60])
    @pytest.mark.parametrize("of_songs", [0.1, 0.5, 2.0])
    def test_is_the_root_of_the_part_of_the_variance_that_is_the_songs(self, of_songs, listeners):
        song, values, _ = said(of_songs, listeners)
        reliability = of_songs / (of_songs + 1 / listeners)
        assert noise_ceiling(song, values) == pytest.approx(np.sqrt(reliability), abs=0.06)

    @pytest.mark.parametrize("of_songs", [0.1, 0.5])
    def test_is_how_well_the_true_averages_themselves_predict_what_is_said(self, of_songs):
        song, values, means = said(of_songs, 10, songs=2_000)
        averages = np.bincount(song, values) / 10
        assert noise_ceiling(song, values) == pytest.approx(np.corrcoef(means, averages)[0, 1], abs=0.03)

    def test_holds_for_yes_and_no_too(self):
        random = np.random.default_rng(7)
        share = random.beta(2, 3, 1_500)
        song = np.repeat(np.arange(1_500), 20)
        yes = (random.random(len(song)) < share[song]).astype(np.float64)
        assert noise_ceiling(song, yes) == pytest.approx(
            np.corrcoef(share, np.bincount(song, yes) / 20)[0, 1], abs=0.02
        )  # fmt: skip

    def test_is_low_where_songs_have_nothing_of_their_own(self):
        song, values, _ = said(0.0, 10, songs=3_000)
        assert noise_ceiling(song, values) < 0.2

    def test_is_nothing_where_halves_contradict_each_other(self):
        # Two listeners of each song, at opposite ends of the same two values: halves agree less than chance would.
        assert noise_ceiling(np.repeat(np.arange(50), 2), np.tile([0.0, 1.0], 50)) == 0.0

    def test_is_one_where_all_listeners_agree(self):
        song = np.repeat(np.arange(20), 6)
        assert noise_ceiling(song, song / 20) == pytest.approx(1.0)

    def test_is_nothing_where_all_songs_are_alike(self):
        assert noise_ceiling(np.repeat(np.arange(20), 6), np.ones(120)) == 0.0

    @pytest.mark.parametrize("value", [0.1, 0.3, 0.7])
    def test_is_nothing_where_all_say_the_same_whatever_the_rounding(self, value):
        # Averages of so many equal values differ in their last digit, by how many there are: halves would agree in it.
        song = np.repeat(np.arange(200), np.random.default_rng(0).integers(2, 60, 200))
        assert noise_ceiling(song, np.full(len(song), value)) == 0.0

    def test_lenient_and_strict_listeners_take_nothing_from_it_where_all_hear_the_same(self):
        song, values, means = said(0.2, 12)
        listener = np.tile(np.arange(12), 500)
        leniency = 1.5 * np.random.default_rng(11).standard_normal(12)
        reached = np.corrcoef(means, np.bincount(song, values) / 12)[0, 1]
        found = noise_ceiling(song, values + leniency[listener], listener)
        assert found == pytest.approx(noise_ceiling(song, values, listener)) == pytest.approx(reached, abs=0.05)

    def test_does_not_depend_on_the_order_of_the_rows(self):
        song, values, _ = said(0.2, np.random.default_rng(2).integers(1, 9, 200), songs=200)
        for seed in range(3):
            order = np.random.default_rng(seed).permutation(len(song))
            assert noise_ceiling(song[order], values[order], order) == noise_ceiling(song, values)

    def test_depends_on_its_seed_a_little_and_on_nothing_else(self):
        song, values, _ = said(0.3, 7, songs=150)
        assert noise_ceiling(song, values, seed=3) == noise_ceiling(song, values, seed=3)
        assert noise_ceiling(song, values, seed=3) != noise_ceiling(song, values, seed=4)
        assert noise_ceiling(song, values, seed=3) == pytest.approx(noise_ceiling(song, values, seed=4), abs=0.03)

    def test_songs_with_one_listener_have_no_part_in_it(self):
        song, values, _ = said(0.5, 6, songs=40)
        alone = np.append(song, 1_000 + np.arange(30)), np.append(values, np.linspace(-9, 9, 30))
        assert noise_ceiling(*alone) == pytest.approx(noise_ceiling(song, values), abs=0.03)

    def test_numbers_of_songs_mean_nothing(self):
        song, values, _ = said(0.5, 6, songs=40)
        assert noise_ceiling(song * 1_000_003 + 5, values) == noise_ceiling(song, values)

    @pytest.mark.parametrize("song", [[], [1], [1, 1, 2, 2], [1, 1, 2, 2, 3], [1, 2, 3, 4, 5]])
    def test_is_not_known_where_fewer_than_three_songs_have_two_listeners(self, song):
        assert np.isnan(noise_ceiling(np.array(song, dtype=np.int64), np.arange(len(song), dtype=np.float64)))
