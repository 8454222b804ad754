import numpy as np
import pytest
import torch
from model_tools import COMMON, FRAMES, FRONTEND, NETWORK, made_network, noise
from sklearn.ensemble import RandomForestClassifier
from torch import nn

from earmark.audio.descriptors import descriptor_names
from earmark.errors import AudioError, ModelError
from earmark.model.answers import Inputs
from earmark.model.blend import BlendPredictor, Weights
from earmark.model.network.predictor import NetworkPredictor
from earmark.model.reasons.attribution import gain_of
from earmark.model.reasons.explaining import Odds, Probabilities, chosen_baseline, explain_class, explain_song
from earmark.model.trees.predictor import ForestPredictor
from earmark.params import Evaluation, Explanation

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


def forest():
    table = np.random.default_rng(0).normal(size=(30, len(descriptor_names())))
    return ForestPredictor(**COMMON, forest=RandomForestClassifier(5, random_state=0).fit(table, np.arange(30) % 3))


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
        excerpt = several.excerpts(log_mel(0, frames=FRAMES))[:1]
        told = several.raw([Inputs(log_mel=log_mel(0, frames=FRAMES))]).genres[0]
        probabilities = Probabilities(several)(excerpt)[0].detach().numpy()
        np.testing.assert_allclose(probabilities, told, rtol=1e-5)
        odds = Odds(several)(excerpt)[0].detach().numpy()
        np.testing.assert_allclose(odds, np.log(told / (1 - told)), rtol=1e-4, atol=1e-5)

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
        heard, silence = several.excerpts(song), torch.zeros(1, MELS, FRAMES)
        with torch.no_grad():
            expected = (Odds(several)(heard)[:, 2] - Odds(several)(silence)[:, 2]).mean()
        assert found.difference == pytest.approx(float(expected), rel=1e-4)
        assert found.bands.sum() == pytest.approx(found.difference, abs=found.gap + 1e-6)
        assert found.gap < 0.05 * (1 + abs(found.difference))

    def test_unless_told_which_the_likeliest_label_is_explained(self, several):
        song = log_mel(0, seed=4)
        likeliest = several.raw([Inputs(log_mel=song)]).genres.argmax()
        assert explain_song(several, song).label == LABELS[likeliest]

    def test_of_a_blend_the_network_is_explained(self, several):
        weights = Weights(np.array([0.5, 0.5]), np.zeros((2, 0)))
        blend = BlendPredictor(**COMMON, parts={"forest": forest(), "network": several}, weights=weights)
        ours, theirs = explain_song(blend, log_mel(0), "calm"), explain_song(several, log_mel(0), "calm")
        assert ours.to_dict() == theirs.to_dict()

    def test_samples_are_as_good_as_the_log_mel_that_is_made_of_them(self, several):
        sound = noise(3.0)
        by_samples = explain_song(several, sound, "calm")
        by_log_mel = explain_song(several, several.extractor.log_mel(sound), "calm")
        assert by_samples.to_dict() == by_log_mel.to_dict()

    def test_too_few_samples_are_refused(self, several):
        with pytest.raises(AudioError, match=r"needs at least 1\.00 s"):
            explain_song(several, noise(0.5))

    def test_a_forest_has_no_moments_to_point_at(self):
        with pytest.raises(ModelError, match=r"importance\.csv"):
            explain_song(forest(), log_mel(0))

    def test_an_unknown_label_is_named_with_those_that_are_known(self, several):
        with pytest.raises(ModelError, match="'jazz'; it knows calm, loud, odd"):
            explain_song(several, log_mel(0), "jazz")


class TestExplainClass:
    def test_bands_are_the_mean_of_the_songs_own_and_pass_the_deletion_test(self):
        predictor = network(Hears())
        songs = [log_mel(1, seed, frames=frames) for seed, frames in enumerate((30, 200, 400, 90))]
        groups = np.array(["x", "x", "y", "z"], dtype=object)
        baseline = torch.full((MELS, 1), 0.5)
        found = explain_class(predictor, songs, groups, "loud", HOW, EVALUATION, baseline=baseline)
        each = [explain_song(predictor, song, "loud", excerpts=2, steps=16, baseline=baseline) for song in songs]
        np.testing.assert_allclose(found.bands, np.mean([one.bands for one in each], axis=0), atol=1e-6)
        assert found.songs == 4 and found.gap == pytest.approx(0, abs=0.01)
        assert (found.bands_low <= found.bands + 1e-9).all() and (found.bands <= found.bands_high + 1e-9).all()
        assert found.groups.tolist() == ["x", "x", "x", "y", "y", "z", "z"]  # a short song is heard once
        assert found.gains.shape == (6, 7)
        assert gain_of(found.gains, found.groups, EVALUATION).low > 0

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
