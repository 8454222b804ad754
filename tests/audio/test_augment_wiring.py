"""Each number of params.yaml's section `augmentation` reaches its own change, alone, with its limit and its axis."""

import dataclasses
import time
from dataclasses import replace

import pytest
import torch
from scipy.stats import beta, kstest

from earmark.audio.augmentation.augmenting import augment
from earmark.audio.augmentation.mixing import mixup, segment_mixing
from earmark.audio.augmentation.pitch import pitch
from earmark.audio.augmentation.timing import rotation, tempo
from earmark.errors import ParamsError
from earmark.params import Augmentation, Frontend, from_dict

FRONTEND = Frontend(sample_rate_hz=16_000, n_fft=512, hop=256, mels=20, f_min_hz=30.0, f_max_hz=8000.0)
LABELS = torch.arange(60) % 3


def chance(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def excerpts() -> torch.Tensor:
    """Log-mels ``(60, 20, 50)``, by double precision: so that what was added to a power can be told from rounding."""
    return torch.rand(60, 20, 50, generator=chance(9), dtype=torch.float64) + 0.5


def augmented(excerpts: torch.Tensor, seed: int = 0, **how: float) -> torch.Tensor:
    return augment(excerpts, Augmentation(**how), chance(seed), LABELS, FRONTEND)


def power(log_mels: torch.Tensor) -> torch.Tensor:
    return 10**log_mels - 1


def decibels(after: torch.Tensor, before: torch.Tensor) -> torch.Tensor:
    return 10 * (after / before).log10()


class TestMasks:
    @pytest.mark.parametrize(("name", "along"), [("frequency_mask", 2), ("time_mask", 1)])
    def test_a_mask_hides_whole_bands_or_whole_frames_and_nothing_else(self, excerpts, name, along):
        changed = augmented(excerpts, **{name: 4}) != excerpts
        hidden = changed.any(dim=along)
        assert torch.equal(hidden, changed.all(dim=along))
        assert hidden.any(dim=1).sum() > 50 and hidden.sum(dim=1).max() in (7, 8)  # two stretches of at most four

    def test_what_is_hidden_is_hidden_last(self, excerpts):
        """Of a masked band nothing is left, no noise either."""
        masked = augmented(excerpts, frequency_mask=8, noise_share=1.0)
        still = masked.std(dim=2) < 1e-9
        assert still.any(dim=1).sum() > 50 and not (augmented(excerpts, noise_share=1.0).std(dim=2) < 1e-9).any()


class TestLevel:
    def test_gain_alone_changes_all_bands_and_frames_of_an_excerpt_alike(self, excerpts):
        added = decibels(power(augmented(excerpts, gain_db=6.0)), power(excerpts))
        torch.testing.assert_close(added, added[:, :1, :1].expand_as(added))
        assert 5.5 < added.max() <= 6 + 1e-6 and -6 - 1e-6 <= added.min() < -5.5

    def test_an_equaliser_alone_changes_each_band_by_its_own_amount_and_all_frames_alike(self, excerpts):
        added = decibels(power(augmented(excerpts, equaliser_db=9.0)), power(excerpts))
        torch.testing.assert_close(added, added[:, :, :1].expand_as(added))
        assert (added[:, :, 0].std(dim=1) > 0.5).all()
        assert 8 < added.max() <= 9 + 1e-6 and -9 - 1e-6 <= added.min() < -8

    def test_both_together_reach_as_far_as_both(self, excerpts):
        added = decibels(power(augmented(excerpts, gain_db=6.0, equaliser_db=9.0)), power(excerpts)).abs()
        assert 12 < added.max() <= 15 + 1e-6


class TestNoise:
    @pytest.mark.parametrize("least_db", [-5.0, 10.0, 25.0])
    def test_the_signal_to_noise_ratio_is_between_the_least_that_is_told_and_20_db_more(self, excerpts, least_db):
        before = power(excerpts)
        added = power(augmented(excerpts, noise_share=1.0, noise_snr_db=least_db)) - before
        snr_db = decibels(before.mean(dim=(1, 2)), added.mean(dim=(1, 2)))
        assert least_db - 0.5 < snr_db.min() < least_db + 4 and least_db + 16 < snr_db.max() < least_db + 20.5

    @pytest.mark.parametrize("share", [0.2, 0.7])
    def test_so_many_excerpts_get_noise_as_are_told(self, share):
        many = torch.ones(1000, 20, 2)
        changed = (augmented(many, noise_share=share) != many).any(dim=2).any(dim=1)
        assert float(changed.float().mean()) == pytest.approx(share, abs=0.05)


class TestWhatIsPlayed:
    @pytest.mark.parametrize("amount", [0.1, 0.4])
    def test_each_amount_is_handed_to_its_own_change(self, excerpts, amount):
        alone = {
            "pitch_semitones": pitch(excerpts, amount, FRONTEND, chance()),
            "tempo_share": tempo(excerpts, amount, chance()),
            "segment_mixing": segment_mixing(excerpts, LABELS, amount, chance()),
        }
        for name, expected in alone.items():
            assert torch.equal(augmented(excerpts, **{name: amount}), expected), name
        assert torch.equal(augmented(excerpts, rotation=True), rotation(excerpts, chance()))


class TestMixup:
    @staticmethod
    def shares(alpha: float, number: int) -> list[float]:
        """A mixed excerpt's own part of it. Of eight that are exchanged by chance, some are given to another."""
        draw, zeros, eye = chance(1), torch.zeros(8, 1, 1), torch.eye(8, dtype=torch.float64)
        return [float(mixup(zeros, eye, alpha, draw)[1].diagonal().min()) for _ in range(number)]

    @pytest.mark.parametrize("alpha", [0.2, 1.0, 3.0])
    def test_shares_are_drawn_from_the_symmetric_beta_distribution(self, alpha):
        assert kstest(self.shares(alpha, 1000), beta(alpha, alpha).cdf).pvalue > 0.01

    def test_the_greatest_alpha_that_is_allowed_is_still_drawn_quickly(self):
        began = time.process_time()
        self.shares(4.0, 100)
        assert time.process_time() - began < 2  # 0.1 s on an idle core


class TestParams:
    GIVEN = dataclasses.asdict(Augmentation())

    @pytest.mark.parametrize("alpha", [-0.1, 4.01, 15.0])
    def test_an_alpha_that_would_take_for_ever_to_draw_by_is_refused(self, alpha):
        with pytest.raises(ParamsError, match="mixup_alpha should be from 0 to 4"):
            from_dict(Augmentation, self.GIVEN | {"mixup_alpha": alpha}, where="augmentation")
        for possible in (0.0, 4.0):
            assert from_dict(Augmentation, self.GIVEN | {"mixup_alpha": possible}, where="").mixup_alpha == possible

    @pytest.mark.parametrize("name", GIVEN)
    def test_in_params_each_change_is_named_and_in_code_what_is_not_named_is_off(self, name):
        with pytest.raises(ParamsError, match=f"missing key {name}"):
            from_dict(Augmentation, {key: self.GIVEN[key] for key in self.GIVEN if key != name}, where="augmentation")
        changes = replace(Augmentation(), noise_snr_db=0)  # which alone is no change
        assert not any(dataclasses.asdict(changes).values())
