import json

import numpy as np
import pytest
import torch
from sklearn.ensemble import RandomForestClassifier

from earmark.audio.descriptors import describe, descriptor_names
from earmark.errors import AudioError, ModelError
from earmark.model.network import GenreNetwork
from earmark.model.predictor import ForestPredictor, NetworkPredictor, load_predictor
from earmark.params import Frontend, Network

FRONTEND = Frontend(sample_rate_hz=8_000, n_fft=256, hop=128, mels=16, f_min_hz=30.0, f_max_hz=4000.0)
SIZE = Network(channels=4, blocks=2, dropout=0.3, excerpt_seconds=0.512, excerpts=3)
LABELS = ("calm", "loud", "odd")
COMMON = {"labels": LABELS, "frontend": FRONTEND, "trained_on": frozenset({"b", "a"}), "data_hash": "d"}


def noise(seconds: float, seed: int = 0) -> torch.Tensor:
    return 0.1 * torch.randn(int(seconds * 8_000), generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def network() -> NetworkPredictor:
    torch.manual_seed(1)
    net = GenreNetwork(SIZE, mels=16, classes=3)
    with torch.no_grad():
        net.genre.weight.mul_(20)  # so that answers differ
    return NetworkPredictor(**COMMON, network=net.eval(), size=SIZE)


@pytest.fixture(scope="module")
def forest() -> ForestPredictor:
    rng = np.random.default_rng(0)
    table = rng.normal(size=(30, len(descriptor_names())))
    return ForestPredictor(**COMMON, forest=RandomForestClassifier(20, random_state=0).fit(table, np.arange(30) % 3))


@pytest.fixture(params=["network", "forest"])
def predictor(request):
    return request.getfixturevalue(request.param)


class TestPredict:
    def test_it_names_every_genre_the_most_probable_first(self, predictor):
        answer = predictor.predict(noise(3))
        shares = [genre.probability for genre in answer.genres]
        assert {genre.genre for genre in answer.genres} == set(LABELS)
        assert shares == sorted(shares, reverse=True) and sum(shares) == pytest.approx(1)
        assert answer.genre == answer.genres[0].genre

    def test_what_is_too_short_is_refused_with_the_need(self, predictor):
        with pytest.raises(AudioError, match=r"0\.90 s.*1\.00 s"):
            predictor.predict(noise(0.9))

    def test_stereo_is_refused_with_its_shape(self, predictor):
        with pytest.raises(ModelError, match=r"\(2, 16000\)"):
            predictor.predict(torch.zeros(2, 16_000))

    def test_silence_has_an_answer(self, predictor):
        assert len(predictor.predict(torch.zeros(16_000)).genres) == 3


class TestNetworkPredictor:
    def test_it_is_the_geometric_mean_over_its_excerpts(self, network):
        waveform = noise(3)
        log_mel = torch.from_numpy(network.extractor.log_mel(waveform)).float()
        frames, last = 32, len(log_mel) - 32
        excerpts = torch.stack([log_mel[start : start + frames].T for start in (0, round(last / 2), last)])
        with torch.inference_mode():
            each = network.network(excerpts).softmax(dim=1).numpy()
        product = each.prod(axis=0) ** (1 / 3)
        np.testing.assert_allclose(network.probabilities([waveform])[0], product / product.sum(), rtol=1e-4)

    def test_seconds_heard_twice_count_once(self, network):
        assert network.predict(noise(1.2)).heard_seconds == pytest.approx(1.2)
        assert network.predict(noise(30)).heard_seconds == pytest.approx(3 * 0.512)


class TestForestPredictor:
    def test_it_answers_by_the_descriptors(self, forest):
        waveform = noise(2)
        expected = forest.forest.predict_proba(describe(waveform, 8_000)[None])[0]
        np.testing.assert_array_equal(forest.probabilities([waveform])[0], expected)


class TestFolder:
    def test_what_is_loaded_answers_to_the_bit_as_what_was_saved(self, predictor, tmp_path):
        predictor.save(tmp_path / "model")
        loaded = load_predictor(tmp_path / "model")
        waveforms = [noise(2, seed) for seed in range(3)]
        np.testing.assert_array_equal(loaded.probabilities(waveforms), predictor.probabilities(waveforms))
        assert (loaded.kind, loaded.labels, loaded.frontend) == (predictor.kind, LABELS, FRONTEND)
        assert (loaded.trained_on, loaded.data_hash) == (predictor.trained_on, "d")

    def test_saving_twice_gives_the_same_bytes(self, predictor, tmp_path):
        for name in ("one", "two"):
            predictor.save(tmp_path / name)
        for file in (tmp_path / "one").iterdir():
            assert file.read_bytes() == (tmp_path / "two" / file.name).read_bytes()

    def test_a_missing_folder_names_the_remedy(self, tmp_path):
        with pytest.raises(ModelError, match="dvc repro"):
            load_predictor(tmp_path / "none")

    def test_missing_weights_are_noticed(self, network, tmp_path):
        network.save(tmp_path)
        (tmp_path / "network.pt").unlink()
        with pytest.raises(ModelError, match="weights"):
            load_predictor(tmp_path)

    def test_weights_of_another_size_are_noticed(self, network, tmp_path):
        network.save(tmp_path)
        about = json.loads((tmp_path / "predictor.json").read_text())
        about["network"]["channels"] = 8
        (tmp_path / "predictor.json").write_text(json.dumps(about))
        with pytest.raises(ModelError, match="weights"):
            load_predictor(tmp_path)

    def test_another_format_is_refused(self, network, tmp_path):
        network.save(tmp_path)
        about = json.loads((tmp_path / "predictor.json").read_text()) | {"format": 99}
        (tmp_path / "predictor.json").write_text(json.dumps(about))
        with pytest.raises(ModelError, match="format 99"):
            load_predictor(tmp_path)
