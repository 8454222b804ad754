import pytest
import torch

from earmark.model.network.network import SIZES, Attention, MeanMax, MusicNetwork
from earmark.params import Network
from model_tools import made_network

EXCERPTS = torch.rand(8, 16, 64, generator=torch.Generator().manual_seed(0))


def parameters(size: str, *, mels: int = 64, classes: int = 10) -> int:
    how = Network(size=size, pooling="mean_max", dropout=0.0, embedding="none", excerpt_seconds=1.0, excerpts=1)
    return sum(each.numel() for each in MusicNetwork(how, mels=mels, classes=classes).parameters())


@pytest.fixture(params=["mean_max", "attention"])
def network(request) -> MusicNetwork:
    return made_network(tags=5, places=7, pooling=request.param, dropout=0.5)


class TestMusicNetwork:
    def test_each_excerpt_gets_a_logit_a_class_and_a_tag_and_a_place(self, network):
        assert [each.shape for each in network(EXCERPTS)] == [(8, 3), (8, 5), (8, 7)]

    def test_excerpts_of_another_length_are_heard_too(self, network):
        assert network(torch.rand(2, 16, 200))[0].shape == (2, 3)

    def test_in_evaluation_an_answer_does_not_depend_on_its_neighbours(self, network):
        for whole, alone in zip(network(EXCERPTS), network(EXCERPTS[1:2]), strict=True):
            torch.testing.assert_close(whole[1:2], alone, rtol=1e-4, atol=1e-4)

    def test_every_parameter_learns(self, network):
        genres, tags, places = network.train()(EXCERPTS)
        (genres.logsumexp(dim=1).sum() + tags.exp().sum() + places.sin().sum()).backward()
        still = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
        # What is added to every moment's weight alike is lost in the softmax over time.
        assert [name for name in still if name != "pooling.weigh.2.bias"] == []

    def test_without_tags_and_places_there_is_none_of_them(self):
        bare = made_network()
        assert not [name for name in bare.state_dict() if name.startswith(("tags", "place"))]
        _, tags, embeddings = bare(EXCERPTS)
        assert tags.shape == (8, 0)
        torch.testing.assert_close(embeddings, bare.heard(EXCERPTS))


class TestSizes:
    def test_small_has_about_three_hundred_thousand_parameters_and_the_others_are_far_from_it(self):
        counts = {size: parameters(size) for size in SIZES}
        assert counts["small"] == pytest.approx(300_000, rel=0.1)
        assert counts["tiny"] < 5_000 and counts["large"] > 10 * counts["small"]

    def test_widths_double_up_to_eight_times(self):
        for name, size in SIZES.items():
            how = Network(
                size=name, pooling="attention", dropout=0.0, embedding="none", excerpt_seconds=1.0, excerpts=1
            )
            network = MusicNetwork(how, mels=64, classes=2)
            widths = [size.channels, *(size.channels * min(2**block, 8) for block in range(1, size.blocks))]
            assert [block.body[0].out_channels for block in network.trunk] == widths
            assert network.genre.in_features == network.width == 2 * widths[-1]


class TestPooling:
    MOMENTS = torch.rand(4, 6, 10, generator=torch.Generator().manual_seed(1))

    def test_mean_and_maximum_are_over_time(self):
        pooled = MeanMax()(self.MOMENTS)
        assert pooled.shape == (4, 12)
        assert float(pooled[2, 3]) == pytest.approx(float(self.MOMENTS[2, 3].mean()))
        assert float(pooled[2, 6 + 3]) == pytest.approx(float(self.MOMENTS[2, 3].max()))

    def test_where_all_moments_weigh_the_same_attention_is_mean_and_deviation(self):
        attention = Attention(6)
        torch.nn.init.zeros_(attention.weigh[2].weight)
        pooled = attention(self.MOMENTS)
        torch.testing.assert_close(pooled[:, :6], self.MOMENTS.mean(dim=2))
        torch.testing.assert_close(pooled[:, 6:], self.MOMENTS.std(dim=2, unbiased=False))

    def test_attention_to_one_moment_is_that_moment(self):
        attention = Attention(6)
        with torch.no_grad():  # weighs each moment by its own first value, steeply
            for layer, weight in ((attention.weigh[0], 1e-3), (attention.weigh[2], 1e7)):
                layer.weight.zero_()
                layer.bias.zero_()
                layer.weight[:, 0] = weight
        pooled = attention(self.MOMENTS)
        loudest = self.MOMENTS[:, 0].argmax(dim=1)
        torch.testing.assert_close(pooled[:, :6], self.MOMENTS[torch.arange(4), :, loudest], rtol=1e-3, atol=1e-3)

    def test_a_constant_has_no_deviation_and_a_finite_gradient(self):
        constant = torch.ones(2, 6, 10, requires_grad=True)
        pooled = Attention(6)(constant)
        pooled.sum().backward()
        assert float(pooled[:, 6:].detach().max()) < 0.01 and constant.grad.isfinite().all()
