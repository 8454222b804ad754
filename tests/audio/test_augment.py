"""All changes of training excerpts together: what params.yaml turns on, and nothing else; and what hides stretches."""

import time
from dataclasses import replace

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from earmark.audio.augmentation import mixing
from earmark.audio.augmentation.augmenting import augment
from earmark.audio.augmentation.masking import mask
from earmark.audio.augmentation.mixing import mixup
from earmark.audio.augmentation.noise import noise_like
from earmark.audio.augmentation.polarity import polarity
from earmark.audio.spectrogram import LogMel
from earmark.errors import ParamsError
from earmark.params import Augmentation, Frontend

FRONTEND = Frontend(sample_rate_hz=16_000, n_fft=512, hop=256, mels=20, f_min_hz=30.0, f_max_hz=8000.0)
OFF = Augmentation()
ON = {
    "frequency_mask": 5,
    "time_mask": 10,
    "gain_db": 6.0,
    "equaliser_db": 6.0,
    "noise_share": 0.8,
    "pitch_semitones": 2.0,
    "tempo_share": 0.1,
    "rotation": True,
    "segment_mixing": 0.8,
}
ALL = Augmentation(mixup_alpha=0.3, **ON)
LABELS = torch.tensor([0, 1, 0, 1, 1, 0])


def chance(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def excerpts() -> torch.Tensor:
    return torch.rand(6, 20, 50, generator=chance(9)) + 0.5


class TestAugment:
    def test_with_everything_off_the_very_same_tensor_comes_back(self, excerpts):
        assert augment(excerpts, OFF, chance()) is excerpts
        assert augment(excerpts, replace(OFF, mixup_alpha=0.3), chance()) is excerpts
        halves = excerpts.half()
        assert augment(halves, OFF, chance()) is halves

    @pytest.mark.parametrize("name", ON)
    def test_each_change_can_be_turned_on_alone(self, excerpts, name):
        before = excerpts.clone()
        changed = augment(excerpts, Augmentation(**{name: ON[name]}), chance(), LABELS, FRONTEND)
        assert changed.shape == excerpts.shape and not torch.equal(changed, excerpts)
        assert torch.equal(excerpts, before)

    @pytest.mark.parametrize("how", [ALL, *(Augmentation(**{name: value}) for name, value in ON.items())])
    def test_the_same_seed_gives_the_same_change_and_another_seed_another(self, excerpts, how):
        one, again, other = (augment(excerpts, how, chance(seed), LABELS, FRONTEND) for seed in (1, 1, 2))
        assert torch.equal(one, again) and not torch.equal(one, other)

    @pytest.mark.parametrize("name", [name for name in ON if name != "segment_mixing"])
    def test_what_happens_to_an_excerpt_depends_on_no_other(self, excerpts, name):
        how = Augmentation(**{name: ON[name]})
        others = excerpts.clone()
        others[1:] += torch.rand(5, 20, 50, generator=chance(5))
        one, two = (augment(batch, how, chance(3), LABELS, FRONTEND) for batch in (excerpts, others))
        assert torch.equal(one[0], two[0])

    @pytest.mark.parametrize("name", [name for name in ON if name != "segment_mixing"])
    def test_each_excerpt_has_draws_of_its_own(self, excerpts, name):
        alike = excerpts[:1].expand(6, -1, -1)
        changed = augment(alike, Augmentation(**{name: ON[name]}), chance(4), LABELS, FRONTEND)
        assert len({tuple(each.flatten().tolist()) for each in changed}) >= 4

    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
    def test_shape_and_type_are_kept_and_every_value_is_one_the_front_end_could_give(self, excerpts, dtype):
        changed = augment(excerpts.to(dtype), ALL, chance(), LABELS, FRONTEND)
        assert changed.shape == excerpts.shape and changed.dtype == dtype
        assert (changed >= 0).all() and changed.isfinite().all()

    @pytest.mark.parametrize("how", [ALL, *(Augmentation(**{name: value}) for name, value in ON.items())])
    def test_silence_stays_silent(self, how):
        silence = torch.zeros(6, 20, 50)
        assert torch.equal(augment(silence, how, chance(), LABELS, FRONTEND), silence)

    @pytest.mark.parametrize("name", ["pitch_semitones", "noise_share"])
    def test_what_needs_the_front_end_says_so(self, excerpts, name):
        with pytest.raises(ParamsError, match=f"{name} is on and needs the front-end"):
            augment(excerpts, Augmentation(**{name: 1.0}), chance(), LABELS)

    def test_segment_mixing_without_labels_says_so(self, excerpts):
        with pytest.raises(ParamsError, match="segment_mixing is on and needs the labels"):
            augment(excerpts, Augmentation(segment_mixing=0.5), chance(), frontend=FRONTEND)

    def test_on_a_gpu_everything_lies_on_the_gpu_though_chance_is_drawn_elsewhere(self, monkeypatch):
        """Needs no GPU: of fake tensors only shape, type and device are reckoned, and devices must fit together."""
        noise_like(torch.ones(1, 20, 50), torch.tensor([False]), FRONTEND, chance())  # its constants are real ones
        # A fake draw has no value: neither to mix by, nor to choose by.
        monkeypatch.setattr(mixing, "_beta", lambda *_: 0.3)
        monkeypatch.setattr(torch.Tensor, "nonzero", lambda chosen: torch.arange(6, device=chosen.device)[:, None])
        with FakeTensorMode(allow_non_fake_inputs=True):
            excerpts = torch.rand(6, 20, 50, device="cuda")
            for name in ON:
                how = Augmentation(**{name: ON[name]})
                assert augment(excerpts, how, chance(), LABELS.cuda(), FRONTEND).device.type == "cuda"
            changed = mixup(excerpts, torch.rand(6, 3, device="cuda"), 0.3, chance())
            assert {each.device.type for each in changed} == {"cuda"}
            assert polarity(excerpts[0], 0.5, chance()).device.type == "cuda"

    @pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
    @pytest.mark.parametrize("where", ["cpu", "cuda"])
    def test_on_a_gpu_the_generator_may_live_on_either_side(self, excerpts, where):
        one, again = (
            augment(excerpts.cuda(), ALL, torch.Generator(where).manual_seed(1), LABELS.cuda(), FRONTEND)
            for _ in range(2)
        )
        assert one.device.type == "cuda" and torch.equal(one, again)
        if where == "cpu":
            torch.testing.assert_close(one.cpu(), augment(excerpts, ALL, chance(1), LABELS, FRONTEND))

    def test_all_of_it_costs_little(self):
        frontend, excerpts = replace(FRONTEND, mels=64), torch.rand(32, 64, 256, generator=chance())
        spent = []
        for _ in range(20):
            start = time.process_time()
            augment(excerpts, ALL, chance(), torch.arange(32) % 4, frontend)
            spent.append(time.process_time() - start)
        assert min(spent) < 0.05  # 7 ms on an idle core


class TestMask:
    @pytest.mark.parametrize(("dim", "most"), [(1, 5), (2, 12)])
    def test_what_is_masked_is_at_most_two_stretches_and_takes_the_mean(self, excerpts, dim, most):
        masked = mask(excerpts, most, chance(), dim=dim)
        for before, after in zip(excerpts, masked, strict=True):
            changed = (before != after).any(dim=2 - dim)
            assert int(changed.sum()) <= 2 * most
            assert int((changed[1:] & ~changed[:-1]).sum() + changed[0]) <= 2
            assert torch.allclose(after[before != after], before.mean())

    def test_more_than_there_is_can_be_asked_for(self, excerpts):
        assert mask(excerpts, 1000, chance(), dim=2).shape == excerpts.shape

    def test_something_is_masked_sooner_or_later(self, excerpts):
        assert not torch.equal(mask(excerpts, 5, chance(), dim=1), excerpts)


class TestPolarity:
    def test_twice_it_is_undone(self):
        waveforms = torch.randn(8, 100, generator=chance(1))
        once = polarity(waveforms, 0.5, chance(2))
        assert torch.equal(polarity(once, 0.5, chance(2)), waveforms)
        inverted = (once == -waveforms).all(dim=1)
        assert 0 < int(inverted.sum()) < 8 and torch.equal(once[~inverted], waveforms[~inverted])

    def test_the_front_end_gives_the_same_to_the_bit(self):
        waveforms = torch.randn(3, 4000, generator=chance(1))
        inverted = polarity(waveforms, 1.0, chance())
        assert torch.equal(inverted, -waveforms)
        assert torch.equal(LogMel(FRONTEND)(inverted), LogMel(FRONTEND)(waveforms))

    def test_a_share_of_0_changes_nothing(self):
        waveforms = torch.randn(3, 100)
        assert polarity(waveforms, 0.0, chance()) is waveforms
