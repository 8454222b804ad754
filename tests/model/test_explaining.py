import numpy as np
import pytest
import torch
from torch import nn

from earmark.errors import ModelError
from earmark.model.answers import Inputs
from earmark.model.network.predictor import NetworkPredictor
from earmark.model.reasons.attribution import gain_of
from earmark.model.reasons.explaining import (
    PARTS,
    Odds,
    Probabilities,
    chosen_baseline,
    explain_class,
    explain_song,
)
from earmark.params import Evaluation, Explanation
from model_tools import COMMON, FRAMES, FRONTEND, NETWORK, made_network

MELS = FRONTEND.mels
LABELS = COMMON["labels"]
HOW = Explanation(seed=1, songs_per_class=4, excerpts=2, steps=16, randoms=6)
EVALUATION = Evaluation(seed=1, resamples=200, confidence=0.95)
OWN_BAND = (2, 7, 12)  # of each label


class Hears(nn.Module):
    """A network that answers by the level of one band for each label, and by nothing else."""

    def forward(self, excerpts):
        logits = 4 * torch.stack([excerpts[:, band].mean(dim=1) for band in OWN_BAND], dim=1)
        return logits, logits[:, :0], logits


def network(*networks):
    return NetworkPredictor(**COMMON, networks=tuple(networks), how=NETWORK)


def log_mel(label, seed=0, frames=200):
    """Noise, louder in the band of ``label``."""
    values = np.random.default_rng(seed).random((frames, MELS))
    values[:, OWN_BAND[label]] += 1.0
    return values.astype(np.float16)


@pytest.fixture
def several():
    return network(made_network(seed=1), made_network(seed=2))


class TestWhatIsExplained:
    def test_it_is_the_answer_that_the_networks_give_together(self, several):
        excerpt = torch.from_numpy(several.excerpts(log_mel(0, frames=FRAMES)))[:1]
        told = several.raw([Inputs(log_mel=log_mel(0, frames=FRAMES))]).genres[0]
        probabilities = Probabilities(several)(excerpt)[0].detach().numpy()
        np.testing.assert_allclose(probabilities, told, rtol=1e-5)
        odds = Odds(several)(excerpt)[0].detach().numpy()
        np.testing.assert_allclose(odds, np.log(told / (1 - told)), rtol=1e-4, atol=1e-5)

    def test_the_quick_copies_have_the_networks_own_gradients_and_leave_them_as_they_are(self, several):
        excerpt = torch.from_numpy(several.excerpts(log_mel(0, frames=FRAMES)))[:1]
        before = [name for one in several.networks for name, _ in one.named_parameters()]
        odds = Odds(several, against=1)
        gradients = []
        for function in (odds, lambda x: sum(one(x)[0] for one in several.networks) / 2):
            there = excerpt.clone().requires_grad_()
            answer = function(there)
            (gradient,) = torch.autograd.grad((answer[:, 0] - answer[:, 1]).sum(), there)
            gradients.append(gradient)
        torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-3, atol=1e-6)
        assert [name for one in several.networks for name, _ in one.named_parameters()] == before
        assert all(each.requires_grad for one in several.networks for each in one.parameters())

    def test_of_a_network_that_is_as_sure_as_can_be_it_is_still_finite(self):
        loud = torch.full((1, MELS, FRAMES), 0.0)
        loud[:, OWN_BAND[1]] = 1_000.0
        assert torch.isfinite(Odds(network(Hears()))(loud)).all()


class TestExplainSong:
    def test_the_bands_that_the_network_hears_are_named(self):
        found = explain_song(network(Hears()), log_mel(1), "loud")
        assert found.label == "loud" and found.bands.argmax() == OWN_BAND[1]
        silent = np.delete(found.bands, OWN_BAND)
        np.testing.assert_allclose(silent, 0.0, atol=1e-9)
        assert found.bands[OWN_BAND[0]] < 0  # it speaks for another label

    def test_they_add_up_to_what_the_answer_differs_from_that_to_silence(self, several):
        song = log_mel(2)
        found = explain_song(several, song, "odd", steps=256)
        heard, silence = torch.from_numpy(several.excerpts(song)), torch.zeros(1, MELS, FRAMES)
        with torch.no_grad():
            expected = (Odds(several)(heard)[:, 2] - Odds(several)(silence)[:, 2]).mean()
        assert found.difference == pytest.approx(float(expected), rel=1e-4)
        assert found.bands.sum() == pytest.approx(found.difference, abs=found.gap + 1e-6)
        assert found.gap < 0.05 * (1 + abs(found.difference))

    def test_against_one_label_it_adds_up_to_the_odds_against_that_one(self, several):
        song = log_mel(2)
        found = explain_song(several, song, "odd", rather_than="calm", steps=256)
        heard, silence = torch.from_numpy(several.excerpts(song)), torch.zeros(1, MELS, FRAMES)

        def rather(excerpts):
            with torch.no_grad():
                logits = torch.stack([one(excerpts)[0] for one in several.networks]).mean(dim=0)
            return logits[:, 2] - logits[:, 0]

        assert found.difference == pytest.approx(float((rather(heard) - rather(silence)).mean()), rel=1e-3, abs=1e-5)
        assert found.bands.sum() == pytest.approx(found.difference, abs=found.gap + 1e-6)

    def test_as_many_excerpts_are_heard_as_for_an_answer_unless_given(self, several):
        song = log_mel(0, frames=4_000)
        whole, part = (explain_song(several, song, "calm", excerpts=count).heard for count in (None, 1))
        assert whole.sum() > part.sum() > 0

    def test_an_unknown_label_is_named_with_those_that_are_known(self, several):
        for asked in ({"label": "jazz"}, {"label": "calm", "rather_than": "jazz"}):
            with pytest.raises(ModelError, match="'jazz'; it knows calm, loud, odd"):
                explain_song(several, log_mel(0), **asked)


def excerpts_of(frames):
    """A short song is heard once; others twice, or as often as it takes to hear all of it, or of every tenth."""
    return 1 if frames <= FRAMES else max(HOW.excerpts, min(PARTS, -(-frames // FRAMES)))


class TestExplainClass:
    LENGTHS = (30, 200, 400, 90)

    @pytest.fixture
    def heeded(self):
        songs = [log_mel(1, seed, frames=frames) for seed, frames in enumerate(self.LENGTHS)]
        groups = np.array(["x", "x", "y", "z"], dtype=object)
        baseline = torch.full((MELS, 1), 0.5)
        return (
            songs,
            baseline,
            explain_class(network(Hears()), songs, groups, "loud", HOW, EVALUATION, baseline=baseline),
        )

    def test_bands_and_moments_are_the_means_of_the_songs_own(self, heeded):
        songs, baseline, found = heeded
        how = {"moments": PARTS, "steps": 16, "baseline": baseline}
        each = [explain_song(network(Hears()), song, "loud", excerpts=excerpts_of(len(song)), **how) for song in songs]
        np.testing.assert_allclose(found.bands.value, np.mean([one.bands for one in each], axis=0), atol=1e-6)
        np.testing.assert_allclose(found.moments.value, np.mean([one.moments for one in each], axis=0), atol=1e-6)
        assert all((one.heard > 0).all() for one in each)  # of each song something of every tenth
        assert found.songs == 4 and found.gap == pytest.approx(0, abs=0.01)

    def test_their_intervals_are_over_artists(self, heeded):
        songs, baseline, found = heeded
        for mean in (found.bands, found.moments):
            assert (mean.low <= mean.value + 1e-9).all() and (mean.value <= mean.high + 1e-9).all()
        one = np.array(["x"] * 4, dtype=object)
        alone = explain_class(network(Hears()), songs, one, "loud", HOW, EVALUATION, baseline=baseline).moments
        np.testing.assert_allclose(alone.low, alone.high)

    def test_what_is_named_passes_the_deletion_test(self, heeded):
        _, _, found = heeded
        excerpts = [excerpts_of(frames) for frames in self.LENGTHS]
        assert found.groups.tolist() == np.repeat(["x", "x", "y", "z"], excerpts).tolist()
        assert found.gains.shape == (6, sum(excerpts))
        assert gain_of(found.gains, found.groups, EVALUATION).low > 0

    def test_of_a_long_song_something_of_every_tenth_is_heard_and_not_all(self):
        song = log_mel(1, frames=100 * FRAMES)
        quiet = torch.zeros(MELS, 1)
        found = explain_class(
            network(Hears()), [song], np.array(["x"], dtype=object), "loud", HOW, EVALUATION, baseline=quiet
        )
        assert len(found.groups) == PARTS
        assert (found.moments.value > 0).all()

    def test_where_in_the_song_the_evidence_comes_is_told(self):
        songs = [log_mel(1, seed, frames=8 * FRAMES) for seed in range(3)]
        for song in songs:
            song[: 4 * FRAMES, OWN_BAND[1]] -= 1.0  # nothing but noise until the middle
        groups = np.arange(3).astype(object)
        quiet = torch.full((MELS, 1), 0.5)
        found = explain_class(network(Hears()), songs, groups, "loud", HOW, EVALUATION, baseline=quiet).moments
        assert found.low[5:].min() > found.high[:5].max()

    def test_what_is_heard_nowhere_passes_no_test(self):
        class Deaf(nn.Module):
            def forward(self, excerpts):
                logits = 1e-12 * excerpts.mean(dim=(1, 2))[:, None].expand(-1, 3)
                return logits, logits[:, :0], logits

        songs = [log_mel(0, seed) for seed in range(3)]
        groups = np.arange(3).astype(object)
        found = explain_class(network(Deaf()), songs, groups, "calm", HOW, EVALUATION, baseline=torch.zeros(MELS, 1))
        assert gain_of(found.gains, found.groups, EVALUATION).low < 1e-6

    def test_without_a_song_there_is_nothing_to_explain(self):
        with pytest.raises(ModelError, match="no song of 'calm'"):
            explain_class(
                network(Hears()), [], np.array([], dtype=object), "calm", HOW, EVALUATION, baseline=torch.zeros(MELS, 1)
            )


class TestChosenBaseline:
    @pytest.mark.parametrize("turned", [False, True])
    def test_it_is_the_one_by_which_what_matters_is_found(self, turned):
        songs = {"calm": [log_mel(0, seed) for seed in range(3)]}
        # Where the bands that are heard are as loud as in the songs, nothing seems to be added to it.
        alike = torch.zeros(MELS, 1)
        alike[list(OWN_BAND), 0] = torch.tensor([1.5, 0.5, 0.5])
        baselines = {"silence": torch.zeros(MELS, 1), "alike": alike}
        baselines = dict(reversed(baselines.items())) if turned else baselines
        assert chosen_baseline(network(Hears()), songs, baselines, HOW) == "silence"

    def test_without_songs_none_can_be_chosen(self):
        with pytest.raises(ModelError, match="no song to choose a baseline by"):
            chosen_baseline(network(Hears()), {}, {"silence": torch.zeros(MELS, 1)}, HOW)
