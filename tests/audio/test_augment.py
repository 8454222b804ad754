import pytest
import torch

from earmark.audio.augment import augment, equaliser, gain, mask, mixup
from earmark.params import Augmentation

OFF = Augmentation(mixup_alpha=0.0, frequency_mask=0, time_mask=0, gain_db=0.0, equaliser=0.0)


def chance(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def excerpts() -> torch.Tensor:
    return torch.rand(6, 20, 50, generator=chance(9)) + 0.5


class TestAugment:
    def test_with_everything_off_nothing_changes(self, excerpts):
        assert augment(excerpts, OFF, chance()) is excerpts

    def test_the_same_seed_gives_the_same_change(self, excerpts):
        how = Augmentation(0.3, 5, 10, 6.0, 0.2)
        assert torch.equal(augment(excerpts, how, chance(1)), augment(excerpts, how, chance(1)))
        assert not torch.equal(augment(excerpts, how, chance(1)), augment(excerpts, how, chance(2)))


class TestGain:
    def test_it_scales_the_power_of_a_whole_excerpt_by_one_factor(self, excerpts):
        power = (10 ** gain(excerpts, 6.0, chance()) - 1) / (10**excerpts - 1)
        assert torch.allclose(power, power[:, :1, :1].expand_as(power), rtol=1e-3)
        decibels = 10 * power[:, 0, 0].log10()
        assert (decibels.abs() <= 6.001).all() and decibels.std() > 0.5

    def test_silence_stays_silent(self):
        assert torch.equal(gain(torch.zeros(2, 4, 5), 6.0, chance()), torch.zeros(2, 4, 5))


class TestEqualiser:
    def test_a_band_changes_alike_at_every_moment(self, excerpts):
        ratio = equaliser(excerpts, 0.2, chance()) / excerpts
        assert torch.allclose(ratio, ratio[:, :, :1].expand_as(ratio), rtol=1e-4)
        assert ratio[:, :, 0].std(dim=1).min() > 0


class TestMask:
    @pytest.mark.parametrize(("dim", "most"), [(1, 5), (2, 12)])
    def test_what_is_masked_is_at_most_two_stretches_and_takes_the_mean(self, excerpts, dim, most):
        masked = mask(excerpts, most, chance(), dim=dim)
        for before, after in zip(excerpts, masked, strict=True):
            changed = (before != after).any(dim=2 - dim)
            assert int(changed.sum()) <= 2 * most
            assert torch.allclose(after[before != after], before.mean())

    def test_something_is_masked_sooner_or_later(self, excerpts):
        assert not torch.equal(mask(excerpts, 5, chance(), dim=1), excerpts)


class TestMixup:
    def test_targets_are_mixed_in_the_proportion_of_the_excerpts(self):
        constant = torch.arange(4.0)[:, None, None].expand(4, 3, 5)
        mixed, targets = mixup(constant, torch.eye(4), 0.5, chance(1))
        torch.testing.assert_close(mixed[:, 0, 0], targets @ torch.arange(4.0))
        torch.testing.assert_close(targets.sum(dim=1), torch.ones(4))
        assert not torch.equal(targets, torch.eye(4))

    def test_alpha_zero_changes_nothing(self, excerpts):
        targets = torch.eye(6)
        mixed = mixup(excerpts, targets, 0.0, chance())
        assert mixed[0] is excerpts and mixed[1] is targets
