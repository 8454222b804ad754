import dataclasses
import json

import librosa
import numpy as np
import pytest
import torch
from sklearn.ensemble import RandomForestClassifier

from earmark.audio.descriptors import descriptor_names
from earmark.errors import ModelError
from earmark.model.blend import BlendPredictor, Weights
from earmark.model.encoders.loading import encoder_at, load_encoder
from earmark.model.encoders.musicnn import Frontend as MusicnnFrontend
from earmark.model.encoders.musicnn import Musicnn, MusicnnEncoder
from earmark.model.encoders.network_encoder import NetworkEncoder
from earmark.model.network.network import MusicNetwork
from earmark.model.network.predictor import NetworkPredictor
from earmark.model.trees.predictor import ForestPredictor
from earmark.params import Frontend, Network
from scratch import CHECKOUT

FRONTEND = Frontend(sample_rate_hz=8_000, n_fft=256, hop=128, mels=16, f_min_hz=30.0, f_max_hz=4000.0)
HOW = Network("tiny", pooling="mean_max", dropout=0.3, embedding="none", excerpt_seconds=0.512, excerpts=3)
COMMON = {"labels": ("a", "b"), "frontend": FRONTEND, "trained_on": frozenset({"x"}), "data_hash": "d"}


def noise(seconds: float, rate_hz: int = 8_000, seed: int = 0) -> torch.Tensor:
    return 0.1 * torch.randn(int(seconds * rate_hz), generator=torch.Generator().manual_seed(seed))


def network(seed: int = 1, **heads: int) -> MusicNetwork:
    torch.manual_seed(seed)
    made = MusicNetwork(HOW, mels=16, classes=2, **heads).eval()
    made.level.running_mean.fill_(0.5)
    return made


@pytest.fixture(scope="module")
def predictor() -> NetworkPredictor:
    return NetworkPredictor(**COMMON, networks=(network(1, tags=2), network(2, tags=2)), how=HOW, tags=("t", "u"))


@pytest.fixture(scope="module")
def forest() -> ForestPredictor:
    table = np.random.default_rng(0).normal(size=(20, len(descriptor_names())))
    return ForestPredictor(**COMMON, forest=RandomForestClassifier(5, random_state=0).fit(table, np.arange(20) % 2))


@pytest.fixture(scope="module")
def musicnn() -> MusicnnEncoder:
    torch.manual_seed(3)
    return MusicnnEncoder(frozenset(), Musicnn().eval())


class TestNetworkEncoder:
    def test_it_is_mean_and_deviation_of_what_the_first_network_hears(self, predictor):
        waveform = noise(3)
        log_mel = torch.from_numpy(predictor.extractor.log_mel(waveform)).float()
        last = len(log_mel) - 32
        excerpts = torch.stack([log_mel[start : start + 32].T for start in (0, round(last / 2), last)])
        with torch.inference_mode():
            heard = predictor.networks[0].heard(excerpts).numpy()
        found = NetworkEncoder.of(predictor).encode(waveform)
        np.testing.assert_allclose(found, np.concatenate([heard.mean(0), heard.std(0)]), rtol=1e-4, atol=1e-6)

    def test_the_predictor_stays_as_it_was(self, predictor):
        before = predictor.probabilities([noise(2)])
        NetworkEncoder.of(predictor).encode(noise(2))
        np.testing.assert_array_equal(predictor.probabilities([noise(2)]), before)

    def test_it_remembers_what_its_network_was_trained_on(self, predictor):
        assert NetworkEncoder.of(predictor).trained_on == {"x"}


class TestMusicnn:
    def test_its_spectrogram_is_librosas(self):
        waveform = noise(2.0, 16_000)
        mel = librosa.feature.melspectrogram(y=waveform.numpy(), sr=16_000, n_fft=512, hop_length=256, n_mels=96)
        np.testing.assert_allclose(MusicnnFrontend()(waveform).numpy().T, np.log10(10_000 * mel + 1), atol=1e-4)

    def test_it_is_the_mean_over_ten_excerpts_and_a_deviation(self, musicnn):
        waveform = noise(8.0, 16_000)
        log_mel = MusicnnFrontend()(waveform)
        places = np.linspace(0, len(log_mel) - 187, 10).round().astype(int)
        with torch.inference_mode():
            mean, most, last = musicnn.network.heard(torch.stack([log_mel[at : at + 187] for at in places]))
        expected = np.concatenate([mean.mean(0), most.mean(0), last.mean(0), np.std(last.numpy(), axis=0, ddof=1)])
        np.testing.assert_allclose(musicnn.encode(waveform), expected, rtol=1e-4, atol=1e-5)

    def test_less_than_an_excerpt_is_repeated(self, musicnn):
        short = musicnn.encode(noise(1.0, 16_000))
        assert np.isfinite(short).all() and not short[-200:].any()  # one excerpt deviates from nothing


@pytest.fixture(params=["network", "musicnn"])
def encoder(request, predictor, musicnn):
    return NetworkEncoder.of(predictor) if request.param == "network" else musicnn


class TestEncoder:
    def test_a_vector_has_the_length_that_it_says(self, encoder):
        vector = encoder.encode(noise(2, encoder.sample_rate_hz))
        assert vector.shape == (encoder.dims,) and vector.dtype == np.float32

    def test_what_is_loaded_hears_to_the_bit_what_was_saved(self, encoder, tmp_path):
        encoder.save(tmp_path)
        loaded = load_encoder(tmp_path)
        waveform = noise(2, encoder.sample_rate_hz)
        np.testing.assert_array_equal(loaded.encode(waveform), encoder.encode(waveform))
        assert (loaded.kind, loaded.digest, loaded.trained_on) == (encoder.kind, encoder.digest, encoder.trained_on)

    def test_saving_what_was_loaded_gives_the_same_bytes(self, encoder, tmp_path):
        encoder.save(tmp_path / "one")
        load_encoder(tmp_path / "one").save(tmp_path / "two")
        for file in (tmp_path / "one").iterdir():
            assert file.read_bytes() == (tmp_path / "two" / file.name).read_bytes()

    def test_other_weights_have_another_digest(self, encoder):
        other = dataclasses.replace(encoder)
        before = encoder.digest
        weight = next(encoder.network.parameters())
        weight.data.view(-1)[0] += 1
        assert other.digest != before
        weight.data.view(-1)[0] -= 1

    def test_a_waveform_of_another_rate_is_resampled(self, encoder):
        rate_hz = encoder.sample_rate_hz
        time_s = torch.arange(4 * rate_hz) / (2 * rate_hz)
        twice = 0.3 * torch.sin(2 * torch.pi * 440 * time_s)
        vector = encoder.encoding(2 * rate_hz).encode(twice)
        expected, other = encoder.encode(twice[::2].contiguous()), encoder.encode(twice[: 2 * rate_hz])
        assert np.abs(vector - expected).max() < 0.1 * np.abs(vector - other).max()

    def test_other_weights_in_the_folder_are_noticed(self, encoder, tmp_path):
        encoder.save(tmp_path)
        weights = torch.load(tmp_path / "weights.pt", weights_only=True)
        weights[sorted(weights)[0]] += 1
        torch.save(weights, tmp_path / "weights.pt")
        with pytest.raises(ModelError, match="not those that were written"):
            load_encoder(tmp_path)

    def test_weights_that_lack_a_part_are_noticed(self, encoder, tmp_path):
        encoder.save(tmp_path)
        weights = torch.load(tmp_path / "weights.pt", weights_only=True)
        weights.pop("level.weight")
        torch.save(weights, tmp_path / "weights.pt")
        with pytest.raises(ModelError, match=r"level\.weight"):
            load_encoder(tmp_path)


class TestLoadEncoder:
    @pytest.mark.parametrize("blended", [False, True])
    def test_a_predictors_network_is_an_encoder(self, predictor, forest, blended, tmp_path):
        parts = {"forest": forest, "network": predictor}
        weights = Weights(np.array([0.5, 0.5]), np.full((2, 2), 0.5))
        blend = BlendPredictor(**COMMON, parts=parts, weights=weights, tags=("t", "u"))
        (blend if blended else predictor).save(tmp_path)
        assert load_encoder(tmp_path).digest == NetworkEncoder.of(predictor).digest

    def test_a_forest_is_none(self, forest, tmp_path):
        forest.save(tmp_path)
        with pytest.raises(ModelError, match="'forest', in which there is nothing that encodes"):
            load_encoder(tmp_path)

    def test_an_empty_folder_names_the_remedy(self, tmp_path):
        with pytest.raises(ModelError, match="earmark weights import"):
            load_encoder(tmp_path)

    def test_missing_weights_are_noticed(self, musicnn, tmp_path):
        musicnn.save(tmp_path)
        (tmp_path / "weights.pt").unlink()
        with pytest.raises(ModelError, match="cannot be read"):
            load_encoder(tmp_path)

    def test_another_kind_or_format_is_refused(self, musicnn, tmp_path):
        musicnn.save(tmp_path)
        about = json.loads((tmp_path / "encoder.json").read_text())
        for change in ({"format": 99}, {"kind": "unheard"}):
            (tmp_path / "encoder.json").write_text(json.dumps(about | change))
            with pytest.raises(ModelError, match="reads format 1 of musicnn, network"):
                load_encoder(tmp_path)

    def test_the_projects_own_folder_stands_for_no_encoder(self, musicnn, tmp_path):
        assert encoder_at(CHECKOUT, "weights/none") is None and encoder_at(tmp_path, "") is None
        musicnn.save(tmp_path / "weights" / "musicnn")
        assert encoder_at(tmp_path, "weights/musicnn").digest == musicnn.digest
