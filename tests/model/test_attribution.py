import numpy as np
import pytest
import torch
from torch import nn
from torchaudio.functional import melscale_fbanks

from earmark.errors import ModelError
from earmark.model.reasons.attribution import (
    area_under_deletion,
    band_centres_hz,
    by_band,
    by_moment,
    completeness_gap,
    deletion_curve,
    deletion_gains,
    ends_of,
    gain_of,
    integrated_gradients,
    lay_back,
    mean_spectrum,
    random_attributions,
    why,
)
from earmark.params import Evaluation, Frontend

HOW = Evaluation(seed=1, resamples=500, confidence=0.95)
FRONTEND = Frontend(sample_rate_hz=8_000, n_fft=256, hop=128, mels=16, f_min_hz=30.0, f_max_hz=4000.0)
MELS, FRAMES = 16, 64
OWN_BAND = {0: 11, 1: 4}  # which band sounds in a class's songs, for eight frames


def deletion_gain(function, excerpts, attributions, label, how, *, groups=None, seed=1, **test):
    """The mean gain over random attributions, drawn over groups; each excerpt is its own unless given."""
    groups = np.arange(len(excerpts)).astype(object) if groups is None else groups
    return gain_of(deletion_gains(function, excerpts, attributions, label, seed=seed, **test), groups, how, seed=seed)


def made(number, seed, *, frames=FRAMES):
    """Log-mels ``(number, mels, frames)`` of noise with a burst in the class's band, their classes, and its start."""
    chance = torch.Generator().manual_seed(seed)
    excerpts = 0.3 * torch.rand(number, MELS, frames, generator=chance)
    labels = torch.arange(number) % 2
    at = torch.randint(0, frames // 8, (number,), generator=chance) * 8
    elsewhere = torch.randint(0, frames // 8, (number,), generator=chance) * 8
    for excerpt, label, start, other in zip(excerpts, labels.tolist(), at.tolist(), elsewhere.tolist(), strict=True):
        excerpt[OWN_BAND[label], start : start + 8] += 1.5
        excerpt[8, other : other + 8] += 1.5  # in every song, so that it tells nothing
    return excerpts, labels, at


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Unflatten(1, (1, MELS)),
        nn.Conv2d(1, 8, (MELS, 5), padding=(0, 2)),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 8, (1, 3), padding=(0, 1)),
        nn.ReLU(),
        nn.AdaptiveMaxPool2d(1),
        nn.Flatten(),
        nn.Linear(8, 2),
    )
    excerpts, labels, _ = made(256, 1)
    optimizer = torch.optim.AdamW(net.parameters(), lr=0.01)
    for _ in range(60):
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(excerpts), labels).backward()
        optimizer.step()
    net.eval()
    new, answers, _ = made(100, 2)
    assert (net(new).argmax(dim=1) == answers).float().mean() > 0.97
    return net


@pytest.fixture
def ours():
    """Excerpts of class 1 that the network has not learnt from, and where their burst is."""
    excerpts, labels, at = made(60, 3)
    return excerpts[labels == 1], at[labels == 1]


@pytest.fixture
def probability(network):
    return lambda excerpts: network(excerpts).softmax(dim=1)


class TestIntegratedGradients:
    def test_a_linear_answer_is_divided_as_its_weights_say(self):
        weights = torch.randn(2, MELS * FRAMES, generator=torch.Generator().manual_seed(0))
        excerpts, _, _ = made(3, 0)
        found = integrated_gradients(lambda x: x.flatten(1) @ weights.T, excerpts, 1, steps=1)
        torch.testing.assert_close(found, excerpts * weights[1].view(MELS, FRAMES))

    def test_of_a_square_it_is_the_integral_and_not_the_gradient(self):
        excerpts, _, _ = made(2, 0)
        found = integrated_gradients(lambda x: x.square().sum(dim=(1, 2))[:, None], excerpts, 0, steps=4)
        torch.testing.assert_close(found, excerpts.square())  # gradient times input would be twice as much

    @pytest.mark.parametrize("baseline", [None, torch.full((MELS, 1), 0.15)], ids=["silence", "mean"])
    def test_it_is_complete(self, network, ours, baseline):
        excerpts, _ = ours
        found = integrated_gradients(network, excerpts, 1, baseline=baseline)
        start = torch.zeros_like(excerpts) if baseline is None else baseline.expand_as(excerpts)
        with torch.no_grad():
            difference = network(excerpts)[:, 1] - network(start)[:, 1]
        torch.testing.assert_close(found.sum(dim=(1, 2)), difference, rtol=0.02, atol=0.02)
        gap = completeness_gap(network, excerpts, found, 1, baseline=baseline)
        assert float(gap.max()) < 0.02 * float(difference.abs().mean())

    def test_more_steps_come_nearer(self, network, ours):
        excerpts, _ = ours
        gaps = [
            float(completeness_gap(network, excerpts, integrated_gradients(network, excerpts, 1, steps=n), 1).mean())
            for n in (2, 16, 128)
        ]
        assert gaps[0] > gaps[1] > gaps[2]

    def test_it_points_to_the_band_and_the_moment_that_make_the_class(self, network, ours):
        excerpts, at = ours
        found = integrated_gradients(network, excerpts, 1)
        assert int(by_band(found).argmax()) == OWN_BAND[1]
        by_time = found.sum(dim=1).unflatten(1, (8, 8)).sum(dim=2)
        moments = by_time.argmax(dim=1)
        assert float((moments == at // 8).float().mean()) > 0.95
        # Against the class speaks the other band, and the band that all have says next to nothing.
        other, labels, _ = made(60, 3)
        against = by_band(integrated_gradients(network, other[labels == 0], 1))
        assert int(against.argmin()) == OWN_BAND[0]
        assert abs(float(by_band(found)[8])) < 0.2 * float(by_band(found)[OWN_BAND[1]])

    def test_many_excerpts_are_each_explained_as_alone(self, network):
        excerpts, _, _ = made(70, 5)  # more than go at once
        found = integrated_gradients(network, excerpts, 0, steps=8)
        torch.testing.assert_close(found[66], integrated_gradients(network, excerpts[66:67], 0, steps=8)[0])

    def test_it_works_where_gradients_are_off(self, network, ours):
        excerpts, _ = ours
        expected = integrated_gradients(network, excerpts, 1, steps=4)
        with torch.inference_mode():
            torch.testing.assert_close(integrated_gradients(network, excerpts.clone(), 1, steps=4), expected)
        assert all(parameter.grad is None or not parameter.grad.isnan().any() for parameter in network.parameters())

    def test_it_leaves_the_network_as_it_was(self, network, ours):
        network.zero_grad(set_to_none=True)
        integrated_gradients(network, ours[0], 1, steps=4)
        assert all(parameter.grad is None for parameter in network.parameters())

    def test_silence_before_silence_has_nothing_to_say(self, network):
        assert not integrated_gradients(network, torch.zeros(1, MELS, FRAMES), 1, steps=4).any()


class TestByMoment:
    def test_moments_add_up_to_the_whole_where_all_is_heard_once(self):
        attributions = np.random.default_rng(0).normal(size=(5, MELS, 50))
        adds, heard = by_moment(attributions, [0, 50, 100, 150, 200], 250, 10, frames_per_s=62.5)
        assert (heard == 1).all()
        assert (adds * 25 / 62.5).sum() == pytest.approx(attributions.sum())  # a moment has 25 frames

    def test_it_follows_the_frames_and_tells_a_rate_of_what_was_heard(self):
        attributions = np.zeros((1, MELS, 8))
        attributions[0, 3, 2:6] = 1.0  # frames 10 … 13 of the song, of which the excerpt covers 8 … 15
        adds, heard = by_moment(attributions, [8], 40, 4, frames_per_s=10.0)
        assert heard.tolist() == [0.2, 0.6, 0, 0]
        assert adds == pytest.approx([0, 4 / 0.6, 0, 0])  # four in six of the second's ten frames


class TestMeanSpectrum:
    def test_each_frame_counts_alike(self):
        log_mels = [np.random.default_rng(seed).random((length, 3)) for seed, length in enumerate((5, 20))]
        expected = np.concatenate(log_mels).mean(axis=0)
        np.testing.assert_allclose(mean_spectrum(log_mels)[:, 0].numpy(), expected, rtol=1e-5)

    def test_of_nothing_there_is_none(self):
        with pytest.raises(ModelError, match="no log-mel"):
            mean_spectrum([])


class TestBandCentres:
    def test_there_each_filter_of_the_bank_is_highest(self):
        bank = melscale_fbanks(40_001, 30.0, 4000.0, MELS, 8_000)  # bins of 0.1 Hz
        np.testing.assert_allclose(band_centres_hz(FRONTEND), bank.argmax(dim=0).numpy() * 0.1, atol=0.11)


class TestLayBack:
    def test_overlaps_are_averaged_and_the_unheard_is_nothing(self):
        song, times = lay_back(np.array([[1.0] * 4, [3.0] * 4]), [0, 2], 8)
        assert song.tolist() == [1, 1, 2, 2, 3, 3, 0, 0]
        assert times.tolist() == [1, 1, 2, 2, 1, 1, 0, 0]

    def test_a_song_shorter_than_an_excerpt_is_folded_up(self):
        song, times = lay_back(np.arange(5.0)[None], [0], 3)
        assert song.tolist() == [1.5, 2.5, 2] and times.tolist() == [2, 2, 1]


class TestWhy:
    def explain(self, network, log_mel, **how):
        settings = {"name": "polka", "frontend": FRONTEND, "frames": FRAMES, "excerpts": 8, "moments": 20} | how
        return why(network, log_mel, 1, **settings)

    def song(self, length=400, burst=200):
        rng = np.random.default_rng(0)
        log_mel = 0.3 * rng.random((length, MELS)).astype(np.float32)
        log_mel[burst : burst + 8, OWN_BAND[1]] += 1.5
        return log_mel

    def test_it_names_the_second_and_the_frequency(self, network):
        found = self.explain(network, self.song(), excerpts=12)
        assert found.bands.argmax() == OWN_BAND[1]
        burst_s = 204 * FRONTEND.hop / FRONTEND.sample_rate_hz
        assert found.moment_seconds[found.moments.argmax()] == pytest.approx(burst_s, abs=0.17)
        assert (found.heard == 1).all()

    def test_bands_add_up_to_the_difference(self, network):
        found = self.explain(network, self.song())
        assert abs(found.bands.sum() - found.difference) <= found.gap + 1e-6
        assert found.gap < 0.02 * abs(found.difference)

    def test_one_excerpt_of_the_whole_song_adds_up_over_its_seconds_too(self, network):
        found = self.explain(network, self.song(FRAMES, 24), excerpts=1, moments=8)
        seconds = FRAMES * FRONTEND.hop / FRONTEND.sample_rate_hz
        assert found.moments.sum() * seconds / 8 == pytest.approx(found.bands.sum(), rel=1e-5)

    def test_what_nobody_heard_says_nothing_and_shows_it(self, network):
        found = self.explain(network, self.song(2000), excerpts=2)
        assert found.heard[0] == found.heard[-1] == pytest.approx(0.64)
        assert not found.heard[3:17].any() and not found.moments[3:17].any()

    @pytest.mark.parametrize("length", [1, 20, 63])
    def test_a_short_song_is_explained(self, network, length):
        found = self.explain(network, self.song(length, 0))
        assert found.moment_seconds[-1] < length * FRONTEND.hop / FRONTEND.sample_rate_hz
        assert np.isfinite(found.moments).all() and found.bands.argmax() == OWN_BAND[1]

    def test_a_log_mel_of_other_bands_is_an_error(self, network):
        with pytest.raises(ModelError, match="front-end"):
            self.explain(network, self.song()[:, :8])


class TestDeletion:
    def test_a_linear_answer_falls_by_what_is_wiped_out(self):
        excerpts = torch.rand(2, 4, 8, generator=torch.Generator().manual_seed(0))
        curve = deletion_curve(lambda x: x.sum(dim=(1, 2))[:, None], excerpts, excerpts, 0, share_steps=4, patch=(1, 1))
        ordered = excerpts.flatten(1).sort(dim=1, descending=True).values
        for step in range(5):
            torch.testing.assert_close(curve[:, step], ordered[:, 8 * step :].sum(dim=1))

    def test_it_ends_where_all_is_filled(self, probability, ours):
        excerpts, _ = ours
        fill = torch.full((MELS, 1), 0.15)
        curve = deletion_curve(probability, excerpts, excerpts, 1, fill=fill, patch=(3, 7))
        with torch.no_grad():
            torch.testing.assert_close(curve[:, 0], probability(excerpts)[:, 1])
            torch.testing.assert_close(curve[:, -1], probability(fill.expand_as(excerpts))[:, 1])

    @pytest.mark.parametrize("fill", [None, torch.full((MELS, 1), 0.15), torch.rand(30, MELS, FRAMES)])
    def test_known_ends_change_nothing(self, probability, ours, fill):
        excerpts, _ = ours
        attributions = random_attributions(excerpts, 1)
        ends = ends_of(probability, excerpts, 1, fill=fill)
        known = deletion_curve(probability, excerpts, attributions, 1, fill=fill, ends=ends)
        torch.testing.assert_close(known, deletion_curve(probability, excerpts, attributions, 1, fill=fill))
        left = torch.zeros_like(excerpts) if fill is None else fill.expand_as(excerpts)
        with torch.no_grad():
            torch.testing.assert_close(ends[:, 0], probability(excerpts)[:, 1])
            torch.testing.assert_close(ends[:, 1], probability(left)[:, 1])

    def test_the_area_is_the_mean_height(self):
        assert area_under_deletion(torch.tensor([[1.0, 0.5, 0.0], [1.0, 0.0, 0.0]])).tolist() == [0.5, 0.25]

    @pytest.mark.parametrize("patch", [(1, 1), (4, 8)])
    def test_integrated_gradients_pass(self, network, probability, ours, patch):
        excerpts, _ = ours
        found = integrated_gradients(network, excerpts, 1)
        gain = deletion_gain(probability, excerpts, found, 1, HOW, patch=patch)
        assert gain.low > 0.1

    def test_attributions_turned_round_fail_by_far(self, network, probability, ours):
        excerpts, _ = ours
        found = -integrated_gradients(network, excerpts, 1)
        assert deletion_gain(probability, excerpts, found, 1, HOW).high < 0

    @pytest.mark.parametrize("number", [1, 5, 30])
    def test_random_attributions_fail(self, probability, ours, number):
        excerpts = ours[0][:number]
        passed = []
        for seed in range(1000, 1020):
            found = random_attributions(excerpts, seed)
            passed.append(deletion_gain(probability, excerpts, found, 1, HOW, share_steps=4).low > 0)
        assert sum(passed) <= 4  # of twenty; one of them would be expected
        assert not passed[0]

    def test_excerpts_of_one_song_stand_or_fall_together(self, network, probability, ours):
        excerpts = ours[0][:10].repeat_interleave(3, dim=0)
        found = random_attributions(excerpts[::3], 5).repeat_interleave(3, dim=0)
        alone = deletion_gain(probability, excerpts, found, 1, HOW)
        groups = np.repeat(np.arange(10), 3).astype(object)
        together = deletion_gain(probability, excerpts, found, 1, HOW, groups=groups)
        assert together.value == alone.value and together.high - together.low > alone.high - alone.low

    def test_a_seed_makes_it_the_same_again(self, probability, ours):
        excerpts, _ = ours
        first, again = (deletion_gain(probability, excerpts, excerpts, 1, HOW, randoms=3) for _ in range(2))
        assert first == again


class TestErrors:
    def test_a_network_in_training_mode(self, ours):
        with pytest.raises(ModelError, match="eval"):
            integrated_gradients(nn.Flatten().train(), ours[0], 1)

    def test_answers_without_a_gradient(self, network, ours):
        with pytest.raises(ModelError, match="no gradient"):
            integrated_gradients(lambda x: network(x).detach(), ours[0], 1)

    def test_a_label_that_is_not_there(self, network, ours):
        with pytest.raises(ModelError, match="label 2"):
            integrated_gradients(network, ours[0], 2)

    def test_a_baseline_of_another_shape(self, network, ours):
        with pytest.raises(ModelError, match=r"\(16, 1\)"):
            integrated_gradients(network, ours[0], 1, baseline=torch.zeros(5, 1))

    def test_no_excerpts(self, network):
        with pytest.raises(ModelError, match="batch, mels, frames"):
            integrated_gradients(network, torch.zeros(0, MELS, FRAMES), 1)

    def test_a_gradient_that_is_no_number(self, ours):
        with pytest.raises(ModelError, match="finite"):
            integrated_gradients(lambda x: (0 * x).sum(dim=(1, 2)).sqrt()[:, None], ours[0], 0)

    def test_attributions_of_another_shape(self, network, ours):
        with pytest.raises(ModelError, match="same"):
            deletion_curve(network, ours[0], ours[0][:1], 1)
