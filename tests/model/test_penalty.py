"""What keeps the network from going too far: the penalty on large weights, and labels that are not quite certain."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from earmark.errors import ParamsError
from earmark.model.network.penalty import POWERS, lp_penalty


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


class TestLabelSmoothing:
    """Training hands ``label_smoothing`` to torch; this is what is meant by it (Szegedy et al., CVPR 2016)."""

    @pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.5])
    def test_each_label_gives_its_share_to_all_genres_alike(self, smoothing):
        rng = np.random.default_rng(1)
        logits, labels = rng.normal(0, 2, (7, 4)), rng.dirichlet(np.ones(4), 7)  # mixed labels, as after mixup
        probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        target = (1 - smoothing) * labels + smoothing / 4
        loss = F.cross_entropy(torch.from_numpy(logits), torch.from_numpy(labels), label_smoothing=smoothing)
        assert loss.item() == pytest.approx(-(target * np.log(probabilities)).sum(axis=1).mean())

    def test_the_best_answer_is_then_no_longer_certain(self):
        logits = torch.zeros(1, 3, dtype=torch.float64, requires_grad=True)
        optimizer = torch.optim.LBFGS([logits], max_iter=200, tolerance_grad=1e-12, tolerance_change=1e-14)

        def loss() -> torch.Tensor:
            optimizer.zero_grad()
            value = F.cross_entropy(logits, torch.tensor([2]), label_smoothing=0.3)
            value.backward()
            return value

        optimizer.step(loss)
        torch.testing.assert_close(
            logits.softmax(dim=1)[0].detach(), torch.tensor([0.1, 0.1, 0.8], dtype=torch.float64)
        )
