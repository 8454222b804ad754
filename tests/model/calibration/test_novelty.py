"""Unheard-of songs: p-values are even for familiar ones, small for others, and nothing odd makes a NaN."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import cKDTree
from scipy.stats import kstest

from earmark.errors import ModelError
from earmark.model.calibration import novelty
from earmark.model.calibration.novelty import Familiar, fit_familiar

SCALES = np.array([1.0, 10.0, 0.1, 3.0])


def songs(seed, tracks, shift=0.0):
    return (np.random.default_rng(seed).normal(size=(tracks, 4)) + shift) * SCALES


class TestDistance:
    def test_it_is_that_to_the_tenth_nearest_of_standardised_songs(self):
        training, new = songs(1, 300), songs(2, 600)  # more than are measured at once
        familiar = fit_familiar(training, songs(3, 50), seed=1)
        mean, scale = training.mean(axis=0), training.std(axis=0)
        expected = cKDTree((training - mean) / scale).query((new - mean) / scale, k=10)[0][:, -1]
        np.testing.assert_allclose(familiar.distance(new), expected, rtol=1e-5)

    def test_of_many_training_songs_some_are_drawn_by_the_seed(self, monkeypatch):
        monkeypatch.setattr(novelty, "MOST_REFERENCES", 40)
        one, same, other = (fit_familiar(songs(1, 100), songs(2, 20), seed=seed) for seed in (1, 1, 2))
        assert len(one.reference) == 40 and len(np.unique(one.reference, axis=0)) == 40
        np.testing.assert_array_equal(one.reference, same.reference)
        assert not np.array_equal(one.reference, other.reference)


class TestPValue:
    def test_familiar_songs_have_even_p_values(self):
        pooled = np.concatenate(
            [fit_familiar(songs(s, 200), songs(s + 100, 199), seed=1).p_value(songs(s + 200, 5)) for s in range(80)]
        )
        assert kstest(pooled, "uniform").pvalue > 0.01

    def test_it_counts_the_held_out_songs_that_lie_as_far_off(self):
        familiar = fit_familiar(songs(1, 200), songs(2, 99), seed=1)
        away, new = familiar.distance(songs(2, 99)), songs(3, 40, shift=0.8)
        expected = [(1 + (away >= distance).sum()) / 100 for distance in familiar.distance(new)]
        np.testing.assert_allclose(familiar.p_value(new), expected)

    def test_shifted_songs_have_small_ones(self):
        familiar = fit_familiar(songs(1, 300), songs(2, 300), seed=1)
        assert np.median(familiar.p_value(songs(3, 200, shift=3))) < 0.01
        assert familiar.unlike(songs(3, 200, shift=5)).all()

    def test_few_familiar_songs_are_warned_of(self):
        rates = [
            fit_familiar(songs(s, 200), songs(s + 100, 199), seed=1).unlike(songs(s + 200, 200), 0.05).mean()
            for s in range(40)
        ]
        assert np.mean(rates) == pytest.approx(0.05, abs=0.01)

    def test_an_artist_with_many_songs_weighs_as_much_as_one_with_one(self):
        held_out = np.concatenate([songs(2, 3), np.repeat(songs(4, 1, shift=2), 30, axis=0)])
        groups = np.array(["a", "b", "c", *["far off"] * 30], dtype=object)
        familiar = fit_familiar(songs(1, 200), held_out, seed=1, groups=groups)
        assert familiar.p_value(songs(4, 1, shift=2)) == pytest.approx(2 / 5)

    def test_it_warns_of_what_is_far_off_however_few_songs_were_held_out(self):
        far = songs(3, 5, shift=50)
        for held_out in (20, 98, 99, 200):
            assert fit_familiar(songs(1, 50), songs(2, held_out), seed=1).unlike(far, 0.01).all()

    def test_a_broken_embedding_is_unlike_any(self):
        familiar = fit_familiar(songs(1, 50), songs(2, 99), seed=1)
        assert familiar.p_value(np.array([[np.nan, 0, 0, 0], [np.inf, 0, 0, 0]])) == pytest.approx(0.01)

    @given(
        training=st.integers(1, 15), held_out=st.integers(0, 5), dims=st.integers(1, 3), constant=st.floats(-1e6, 1e6)
    )
    @settings(deadline=None)
    def test_songs_that_are_all_alike_are_familiar(self, training, held_out, dims, constant):
        alike = np.full((training + held_out, dims), constant)
        familiar = fit_familiar(alike[:training], alike[training:], seed=1)
        assert familiar.p_value(alike) == pytest.approx(1.0)
        assert familiar.p_value(alike + 1) == pytest.approx(1 / (held_out + 1))


class TestArrays:
    def test_what_is_read_back_answers_to_the_bit(self):
        familiar, file = fit_familiar(songs(1, 60), songs(2, 30), seed=1), io.BytesIO()
        np.savez(file, **familiar.arrays())
        file.seek(0)
        with np.load(file) as arrays:
            again = Familiar.from_arrays(dict(arrays))
        np.testing.assert_array_equal(again.p_value(songs(3, 50)), familiar.p_value(songs(3, 50)))


class TestWhatIsRefused:
    @pytest.mark.parametrize("training", [np.zeros((0, 4)), np.full((3, 4), np.nan), np.zeros(4)])
    def test_nothing_to_compare_with(self, training):
        with pytest.raises(ModelError, match="at least one training track"):
            fit_familiar(training, songs(1, 3), seed=1)

    def test_embeddings_of_another_width(self):
        with pytest.raises(ModelError, match=r"\(tracks, 4\).*\(2, 3\)"):
            fit_familiar(songs(1, 3), songs(2, 3), seed=1).p_value(np.zeros((2, 3)))
