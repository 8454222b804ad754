"""What keeps the network from going too far: the penalty on large weights, and labels that are not quite certain."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from earmark.errors import ParamsError
from earmark.model.network.examples import UNLABELLED, ExcerptDataset
from earmark.model.network.learning import Heads, Learning
from earmark.model.network.losses import genre_loss
from earmark.model.network.penalty import POWERS, lp_penalty
from earmark.params import Augmentation
from model_tools import FRAMES, SETTINGS, made_network, songs, training


def network() -> nn.Module:
    torch.manual_seed(3)
    layers = nn.Sequential(nn.Conv1d(2, 3, 3), nn.BatchNorm1d(3), nn.Flatten(), nn.Linear(6, 4))
    with torch.no_grad():
        layers[3].weight[0, 0] = 0.0
    return layers


class TestLpPenalty:
    @pytest.mark.parametrize("p", POWERS)
    def test_it_is_the_sum_of_the_powers_of_all_weights(self, p):
        layers = network()
        weights = np.concatenate([layers[0].weight.detach().numpy().ravel(), layers[3].weight.detach().numpy().ravel()])
        penalty = lp_penalty(layers.named_parameters(), p)
        assert penalty.shape == ()
        assert penalty.item() == pytest.approx(sum(abs(float(weight)) ** p for weight in weights), rel=1e-5)

    @pytest.mark.parametrize("p", POWERS)
    def test_it_pulls_each_weight_by_p_times_its_power_less_one(self, p):
        layers = network()
        lp_penalty(layers.named_parameters(), p).backward()
        for layer in (layers[0], layers[3]):
            weight = layer.weight.detach().double().numpy()
            expected = p * np.abs(weight) ** (p - 1) * np.sign(weight)
            np.testing.assert_allclose(layer.weight.grad.numpy(), expected, rtol=1e-4, atol=1e-7)

    @pytest.mark.parametrize("p", POWERS)
    def test_biases_and_norms_are_left_alone(self, p):
        layers = network()
        lp_penalty(layers.named_parameters(), p).backward()
        assert all(parameter.grad is None for parameter in layers.parameters() if parameter.ndim <= 1)

    def test_the_pull_on_a_weight_does_not_depend_on_how_many_there_are(self):
        small, large = torch.full((2, 2), 0.3, requires_grad=True), torch.full((50, 50), 0.3, requires_grad=True)
        for weight in (small, large):
            lp_penalty([("weight", weight)], 3).backward()
        assert small.grad[0, 0] == large.grad[0, 0]

    def test_of_no_weights_it_is_0(self):
        assert lp_penalty(nn.BatchNorm1d(3).named_parameters(), 2).item() == 0

    @pytest.mark.parametrize("p", [0, 5, -1, 2.5])
    def test_another_p_is_refused_with_those_there_are(self, p):
        with pytest.raises(ParamsError, match=rf"penalty_p is {p}.*1, 2, 3 and 4"):
            lp_penalty(network().named_parameters(), p)


def taught(smoothing: float, *, all_known: bool, turned: int = 0) -> float:
    """The loss of one step on nine songs; ``turned``: by how many genres each label is moved on."""
    examples = songs(1, tracks=9)
    labels, genres = (examples.labels + turned) % 3, np.roll(examples.genres, turned, axis=1)
    if not all_known:
        labels[:2], genres[:2] = UNLABELLED, 0.0
    examples = replace(examples, labels=labels, genres=genres)
    assert examples.all_labelled == all_known  # torch's own loss, else `genre_loss`
    settings = training(replace(SETTINGS, augmentation=Augmentation()), label_smoothing=smoothing)
    network = made_network(dropout=0.0).train()
    module = Learning(network, settings, Heads(3, 0, 0, all_known), steps=1, on_epoch=None)
    kept, *known = ExcerptDataset(examples, frames=FRAMES).__getitems__([(i, 0.5) for i in range(9)])
    return module.training_step((kept.transpose(1, 2).float(), *known), 0).item()


class TestLabelSmoothing:
    """A share of each label goes to all genres alike (Szegedy et al., CVPR 2016)."""

    @pytest.mark.parametrize("weight", [1.0, 0.4])
    def test_the_best_answer_is_then_no_longer_certain_however_much_of_the_genre_is_known(self, weight):
        logits = torch.zeros(2, 3, dtype=torch.float64, requires_grad=True)
        genres = torch.tensor([[0.0, 0.0, weight], [0.0, 0.0, 0.0]], dtype=torch.float64)
        optimizer = torch.optim.LBFGS([logits], max_iter=200, tolerance_grad=1e-12, tolerance_change=1e-14)

        def loss() -> torch.Tensor:
            optimizer.zero_grad()
            value = genre_loss(logits, genres, 0.3)
            value.backward()
            return value

        optimizer.step(loss)
        torch.testing.assert_close(
            logits[0].detach().softmax(dim=0), torch.tensor([0.1, 0.1, 0.8], dtype=torch.float64)
        )
        assert torch.equal(logits[1].detach(), torch.zeros(3, dtype=torch.float64))  # nothing known, nothing taught

    @pytest.mark.parametrize("all_known", [True, False])
    @pytest.mark.parametrize("smoothing", [0.1, 0.5])
    def test_a_step_weighs_labels_against_all_genres_alike_by_the_share_of_the_settings(self, smoothing, all_known):
        certain, alike = (taught(share, all_known=all_known) for share in (0.0, 1.0))
        assert abs(certain - alike) > 0.1
        expected = (1 - smoothing) * certain + smoothing * alike
        assert taught(smoothing, all_known=all_known) == pytest.approx(expected, rel=1e-5)

    @pytest.mark.parametrize("all_known", [True, False])
    def test_smoothed_wholly_a_step_does_not_depend_on_the_labels(self, all_known):
        whole, turned = (taught(1.0, all_known=all_known, turned=by) for by in (0, 1))
        assert whole == pytest.approx(turned, rel=1e-6)
        assert taught(0.0, all_known=all_known) != pytest.approx(taught(0.0, all_known=all_known, turned=1), rel=0.01)
