import dataclasses

import pytest
import torch

from earmark.model.network import GenreNetwork
from earmark.params import Network

SIZE = Network(channels=4, blocks=4, dropout=0.5, excerpt_seconds=1.0, excerpts=3)


@pytest.fixture
def network() -> GenreNetwork:
    torch.manual_seed(0)
    return GenreNetwork(SIZE, mels=16, classes=3)


class TestGenreNetwork:
    def test_each_excerpt_gets_a_logit_a_class(self, network):
        assert network(torch.rand(5, 16, 64)).shape == (5, 3)

    def test_excerpts_of_another_length_are_heard_too(self, network):
        assert network(torch.rand(2, 16, 200)).shape == (2, 3)

    def test_in_evaluation_an_answer_does_not_depend_on_its_neighbours(self, network):
        network.eval()
        excerpts = torch.rand(4, 16, 64)
        torch.testing.assert_close(network(excerpts)[1:2], network(excerpts[1:2]), rtol=1e-4, atol=1e-5)

    def test_every_parameter_learns(self, network):
        network(torch.rand(8, 16, 64)).logsumexp(dim=1).sum().backward()
        assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())

    def test_widths_double_up_to_eight_times(self):
        wide = GenreNetwork(dataclasses.replace(SIZE, blocks=6), mels=64, classes=2)
        assert wide.genre.in_features == 2 * 8 * 4
