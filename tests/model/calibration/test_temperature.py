"""Temperature: a distortion that is known comes back, and few tracks move little."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulated_answers import answers
from sklearn.metrics import log_loss

from earmark.errors import ModelError
from earmark.model.calibration.temperature import FLOOR, fit_temperature, tempered

ROWS = st.lists(st.lists(st.floats(0, 1), min_size=3, max_size=3).filter(lambda row: sum(row) > 0.01), min_size=1)


class TestTempered:
    def test_it_is_the_power_one_over_t_made_to_sum_to_1(self):
        found = tempered(np.array([[0.64, 0.27, 0.09]]), 2.0)
        roots = np.array([0.8, 0.27**0.5, 0.3])
        np.testing.assert_allclose(found, [roots / roots.sum()])

    def test_a_temperature_of_1_changes_nothing(self):
        probabilities, _ = answers(1, spread=1)
        np.testing.assert_allclose(tempered(probabilities, 1.0), probabilities, rtol=1e-9)

    @given(rows=ROWS, temperature=st.floats(0.25, 4))
    @settings(deadline=None)
    def test_rows_sum_to_1_and_keep_their_order(self, rows, temperature):
        probabilities = np.array(rows) / np.sum(rows, axis=1, keepdims=True)
        found = tempered(probabilities, temperature)
        np.testing.assert_allclose(found.sum(axis=1), 1)
        for before, after in zip(probabilities, found, strict=True):
            for one in range(3):
                for other in range(3):
                    assert after[one] >= after[other] or before[one] < before[other]

    def test_certainty_becomes_doubt_and_no_nan(self):
        found = tempered(np.array([[1.0, 0.0]]), 4.0)
        assert found[0, 1] == pytest.approx(FLOOR**0.25 / (1 + FLOOR**0.25))

    def test_no_track_is_no_answer(self):
        assert tempered(np.zeros((0, 3)), 2.0).shape == (0, 3)


class TestFitTemperature:
    @pytest.mark.parametrize("distortion", [0.5, 1.0, 2.0, 3.0])
    def test_a_known_distortion_comes_back(self, distortion):
        probabilities, actual = answers(2, 4_000, spread=1.5, distortion=distortion)
        assert fit_temperature(probabilities, actual) == pytest.approx(distortion, rel=0.1)

    def test_no_temperature_near_it_has_a_smaller_loss(self):
        probabilities, actual = answers(3, 4_000, spread=1.5, distortion=2.0)
        best = fit_temperature(probabilities, actual)
        losses = [log_loss(actual, tempered(probabilities, best * factor)) for factor in (0.9, 1, 1.1)]
        assert losses[1] == min(losses)

    def test_new_tracks_are_told_better(self):
        probabilities, actual = answers(4, 300, distortion=2.5)
        new, truth = answers(5, 3_000, distortion=2.5)
        assert log_loss(truth, tempered(new, fit_temperature(probabilities, actual))) < 0.9 * log_loss(truth, new)

    @pytest.mark.parametrize("right", [True, False])
    def test_one_track_moves_it_little(self, right):
        found = fit_temperature(np.array([[0.8, 0.2]]), np.array([0 if right else 1]))
        assert 0.8 < found < 1 if right else 1 < found < 1.25

    def test_more_tracks_move_it_further(self):
        few, many = (fit_temperature(np.tile([[0.8, 0.2]], (n, 1)), np.zeros(n, dtype=int)) for n in (3, 300))
        assert many < 0.5 < few

    def test_it_stays_within_its_bounds(self):
        probabilities = np.tile([[0.999, 0.001]], (2_000, 1))
        assert fit_temperature(probabilities, np.ones(2_000, dtype=int)) == pytest.approx(4.0, abs=0.01)
        assert fit_temperature(np.tile([[0.6, 0.4]], (2_000, 1)), np.zeros(2_000, dtype=int)) == pytest.approx(
            0.25, abs=0.01
        )

    def test_nothing_to_learn_from_leaves_it_at_1(self):
        assert fit_temperature(np.zeros((0, 3)), np.zeros(0, dtype=int)) == 1
        assert fit_temperature(np.ones((5, 1)), np.zeros(5, dtype=int)) == 1


class TestWhatIsHeldOut:
    @pytest.mark.parametrize(
        ("probabilities", "actual", "said"),
        [
            ([0.5, 0.5], [0], r"\(tracks, labels\)"),
            ([[0.5, 0.5]], [0, 1], "one each a track"),
            ([[0.5, 0.5]], [2], "0 … 1"),
            ([[0.5, 0.5]], [-1], "0 … 1"),
            ([[np.nan, 0.5]], [0], "no number"),
            ([[1.5, -0.5]], [0], "negative"),
        ],
    )
    def test_what_does_not_fit_together_is_refused(self, probabilities, actual, said):
        with pytest.raises(ModelError, match=said):
            fit_temperature(np.array(probabilities), np.array(actual))
