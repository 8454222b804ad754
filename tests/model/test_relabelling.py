import numpy as np
import pytest

from earmark.errors import ModelError
from earmark.model.network.relabelling import relabelled

LABELS = np.eye(3)[[0, 2, 1]]
TOLD = np.array([[0.9, 0.1, 0.0], [0.7, 0.1, 0.2], [0.0, 1.0, 0.0]])


class TestRelabelled:
    def test_a_label_is_mixed_with_what_was_told_of_it(self):
        targets = relabelled(LABELS, TOLD, 0.4)
        np.testing.assert_allclose(targets, [[0.96, 0.04, 0.0], [0.28, 0.04, 0.68], [0.0, 1.0, 0.0]])

    def test_the_loss_is_the_mixture_of_the_losses(self):
        """Cross-entropy is linear in its target: β says how far to listen to the model instead of the label."""
        logs = np.log(np.random.default_rng(0).dirichlet(np.ones(3), 3))
        mixed = -(relabelled(LABELS, TOLD, 0.3) * logs).sum()
        assert mixed == pytest.approx(-0.7 * logs[[0, 1, 2], [0, 2, 1]].sum() - 0.3 * (TOLD * logs).sum())

    def test_0_keeps_the_labels_and_1_takes_what_was_told(self):
        np.testing.assert_array_equal(relabelled(LABELS, TOLD, 0.0), LABELS)
        np.testing.assert_array_equal(relabelled(LABELS, TOLD, 1.0), TOLD)

    def test_targets_are_distributions_of_a_kind(self):
        targets = relabelled(LABELS, TOLD.astype(np.float32), 0.5)
        np.testing.assert_allclose(targets.sum(axis=1), 1, atol=1e-6)
        assert targets.min() >= 0 and targets.dtype == np.float64

    def test_a_doubt_of_less_than_half_weight_never_turns_a_label_over(self):
        told = np.random.default_rng(1).dirichlet(np.ones(3), 300)
        labels = np.arange(300) % 3
        assert (relabelled(np.eye(3)[labels], told, 0.49).argmax(axis=1) == labels).all()

    def test_a_track_of_which_nothing_was_told_keeps_its_label(self):
        told = TOLD.copy()
        told[1] = np.nan
        np.testing.assert_array_equal(relabelled(LABELS, told, 0.5)[1], LABELS[1])

    def test_other_tracks_or_genres_are_refused(self):
        with pytest.raises(ModelError, match=r"\(3, 3\).*\(2, 3\)"):
            relabelled(LABELS, TOLD[:2], 0.5)

    @pytest.mark.parametrize("told", [[0.5, 0.1, 0.1], [-0.5, 0.5, 1.0]])
    def test_what_is_no_probability_is_refused(self, told):
        with pytest.raises(ModelError, match="negative somewhere or does not sum to 1"):
            relabelled(LABELS, np.array([*TOLD[:2], told]), 0.5)
