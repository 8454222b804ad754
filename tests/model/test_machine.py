import dataclasses

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from earmark.audio.descriptors import descriptor_names
from earmark.errors import ModelError
from earmark.model.answers import Inputs
from earmark.model.blend import BlendPredictor, Weights, blended
from earmark.model.encoders.network_encoder import NetworkEncoder
from earmark.model.machine.machine import fit_machine
from earmark.model.machine.predictor import MachinePredictor
from earmark.model.network.network import MusicNetwork
from earmark.model.predictor import load_predictor
from earmark.model.scoring import answers_of
from earmark.model.trees.predictor import ForestPredictor
from earmark.params import Frontend, Machine, Network

HOW = Machine(seed=1, encoder="", max_songs=1000)
FRONTEND = Frontend(sample_rate_hz=8_000, n_fft=256, hop=128, mels=16, f_min_hz=30.0, f_max_hz=4000.0)
NETWORK = Network("tiny", pooling="mean_max", dropout=0.0, embedding="none", excerpt_seconds=0.512, excerpts=2)
COMMON = {"labels": ("a", "b", "c"), "frontend": FRONTEND, "trained_on": frozenset({"x"}), "data_hash": "d"}


def songs(count: int = 90, *, classes: int = 3, columns: int = 12, apart: float = 1.5, seed: int = 0):
    """Descriptions, labels, groups of three songs, and tags that follow the first column."""
    random = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    table = random.normal(size=(count, columns)) * np.arange(1, columns + 1)
    table[:, :classes] += apart * np.eye(classes)[labels] * np.arange(1, classes + 1)
    groups = np.array([f"artist {label} {number // (3 * classes)}" for number, label in enumerate(labels)], object)
    shares = 1 / (1 + np.exp(-table[:, [0]]))
    tags = np.stack([np.hstack([shares, 1 - shares]), np.ones((count, 2))], axis=1).astype(np.float32)
    return table, labels, groups, tags


class TestFitMachine:
    def test_it_tells_songs_apart_that_it_has_not_heard(self):
        table, labels, groups, tags = songs(apart=4.0)
        machine = fit_machine([table[:60]], labels[:60], groups[:60], tags[:60], HOW)
        answers = machine([table[60:]])
        assert np.mean(answers.genres.argmax(axis=1) == labels[60:]) > 0.85
        np.testing.assert_allclose(answers.genres.sum(axis=1), 1)
        assert np.corrcoef(answers.shares[:, 0], tags[60:, 0, 0])[0, 1] > 0.6
        assert answers.shares.min() >= 0 and answers.shares.max() <= 1

    @pytest.mark.parametrize("classes", [2, 3])
    def test_it_is_the_geometric_mean_of_two_plain_models_and_a_ridge(self, classes):
        table, labels, groups, tags = songs(classes=classes)
        machine = fit_machine([table], labels, groups, tags, HOW)
        scaled, width = StandardScaler().fit_transform(table), table.shape[1]
        chosen = machine.settings["svm"]
        svm = SVC(C=chosen["C"], gamma=chosen["gamma"] / width, decision_function_shape="ovo").fit(scaled, labels)
        margins, pairs = np.zeros((len(table), classes)), svm.decision_function(scaled).reshape(len(table), -1)
        for pair, (one, other) in enumerate([(0, 1)] if classes == 2 else [(0, 1), (0, 2), (1, 2)]):
            margin = -pairs[:, pair] if classes == 2 else pairs[:, pair]
            margins[:, one] += margin
            margins[:, other] -= margin
        first = np.exp(machine.slope * margins)
        penalty = machine.settings["logistic"]["C"]
        logistic = LogisticRegression(C=penalty, max_iter=1000).fit(scaled / width**0.5, labels)
        product = np.sqrt(first / first.sum(axis=1, keepdims=True) * logistic.predict_proba(scaled / width**0.5))
        answers = machine([table])
        np.testing.assert_allclose(answers.genres, product / product.sum(axis=1, keepdims=True), atol=2e-3)
        assert np.mean(answers.genres.argmax(axis=1) == labels) > 0.5  # so that no sign is turned
        chosen = machine.settings["ridge"]
        ridge = KernelRidge(alpha=chosen["alpha"], kernel="rbf", gamma=chosen["gamma"] / width)
        mean = tags[:, 0].mean(axis=0)
        told = mean + ridge.fit(scaled, tags[:, 0] - mean).predict(scaled)
        np.testing.assert_allclose(answers.shares, told.clip(0, 1), atol=1e-3)

    def test_units_and_columns_that_never_differ_change_nothing(self):
        table, labels, groups, tags = songs()
        other = np.hstack([table * 1000 + 5, np.full((len(table), 3), 7.3)])
        first = fit_machine([table], labels, groups, tags, HOW)([table])
        second = fit_machine([other], labels, groups, tags, HOW)([other + np.r_[np.zeros(12), np.ones(3)]])
        np.testing.assert_allclose(second.genres, first.genres, atol=1e-6)
        assert second.embeddings.shape == table.shape

    def test_twice_is_the_same_to_the_bit(self):
        table, labels, groups, tags = songs()
        one, two = (fit_machine([table], labels, groups, tags, HOW)([table]) for _ in range(2))
        np.testing.assert_array_equal(one.genres, two.genres)
        np.testing.assert_array_equal(one.shares, two.shares)

    def test_what_is_not_known_of_a_song_counts_for_nothing(self):
        table, labels, groups, tags = songs()
        tags[::4, 1] = 0
        wild = tags.copy()
        wild[::4, 0] = 0.99
        one, two = (fit_machine([table], labels, groups, each, HOW)([table]).shares for each in (tags, wild))
        np.testing.assert_allclose(one, two, atol=1e-6)

    def test_no_tags_are_no_shares(self):
        table, labels, groups, tags = songs()
        assert fit_machine([table], labels, groups, tags[:, :, :0], HOW)([table]).shares.shape == (90, 0)

    @pytest.mark.parametrize("useful", [0, 1])
    def test_of_two_descriptions_the_useful_one_counts(self, useful):
        table, labels, groups, tags = songs(apart=4.0)
        noise = np.random.default_rng(5).normal(size=(90, 40))
        blocks = [noise, table] if useful else [table, noise]
        machine = fit_machine(blocks, labels, groups, tags, HOW)
        weight = machine.settings["svm"]["shares"][1]
        assert weight == 1.0 if useful else weight == 0.5  # the least that an encoding may count
        np.testing.assert_allclose(machine(blocks).embeddings, StandardScaler().fit_transform(blocks[1]))

    def test_nothing_is_chosen_by_songs_of_an_artist_that_it_is_fitted_to(self):
        """Each artist has a style of its own and its songs any genre: only a leak could find a use for the style."""
        random = np.random.default_rng(1)
        groups = np.repeat([f"artist {i}" for i in range(30)], 4).astype(object)
        labels = np.repeat(np.arange(30) % 2, 4)
        table = np.repeat(random.normal(size=(30, 20)), 4, axis=0) + 0.01 * random.normal(size=(120, 20))
        tags = np.zeros((120, 2, 0), np.float32)
        honest = fit_machine([table], labels, groups, tags, HOW).losses["svm"]
        leaking = fit_machine([table], labels, np.arange(120).astype(str).astype(object), tags, HOW).losses["svm"]
        assert leaking < 0.4 < 0.6 < honest

    def test_a_genre_of_a_single_artist_is_learnt_without_a_choice(self):
        table, labels, groups, tags = songs(apart=6.0)
        groups[labels == 2] = "the only one"
        machine = fit_machine([table], labels, groups, tags, HOW)
        assert machine.losses == {} and np.mean(machine([table]).genres.argmax(axis=1) == labels) > 0.9

    def test_of_too_many_songs_some_are_drawn_and_no_genre_is_lost(self):
        table, labels, groups, tags = songs()
        labels = np.where(np.arange(90) < 88, 0, np.arange(90) - 87)
        machine = fit_machine([table], labels, groups, tags, dataclasses.replace(HOW, max_songs=20))
        assert len(machine.songs[0]) == 20 and machine([table]).genres.shape == (90, 3)


@pytest.fixture(scope="module")
def encoder() -> NetworkEncoder:
    torch.manual_seed(1)
    return NetworkEncoder(frozenset(), MusicNetwork(NETWORK, mels=16, classes=1).eval(), NETWORK, FRONTEND)


@pytest.fixture(params=["descriptors", "encoder"])
def predictor(request, encoder) -> MachinePredictor:
    table, labels, groups, tags = songs(columns=len(descriptor_names()))
    blocks, own = [table], None
    if request.param == "encoder":
        blocks, own = [table, songs(columns=encoder.dims, seed=1)[0]], encoder
    machine = fit_machine(blocks, labels, groups, tags, HOW)
    return MachinePredictor(**COMMON, tags=("t", "u"), machine=machine, encoder=own)


def noise(seconds: float = 2.0) -> torch.Tensor:
    return 0.1 * torch.randn(int(seconds * 8_000), generator=torch.Generator().manual_seed(0))


class TestMachinePredictor:
    def test_what_is_loaded_answers_to_the_bit_as_what_was_saved(self, predictor, tmp_path):
        predictor.save(tmp_path)
        loaded = load_predictor(tmp_path)
        np.testing.assert_array_equal(loaded.probabilities([noise()]), predictor.probabilities([noise()]))
        assert (loaded.kind, loaded.tags, loaded.needs_encoded) == ("machine", ("t", "u"), predictor.needs_encoded)

    def test_saving_twice_gives_the_same_bytes(self, predictor, tmp_path):
        for name in ("one", "two"):
            predictor.save(tmp_path / name)
        files = [path for path in (tmp_path / "one").rglob("*") if path.is_file()]
        assert files and all(
            path.read_bytes() == (tmp_path / "two" / path.relative_to(tmp_path / "one")).read_bytes() for path in files
        )

    def test_it_answers_of_the_catalogue_what_it_answers_of_a_waveform(self, predictor, write, encode, tmp_path):
        import hashlib

        from earmark.audio.accepted import waveform_of

        content = encode("wav", seconds=2.0)
        path = write("song.wav", content)
        tracks = pd.DataFrame([{"content_hash": hashlib.sha256(content).hexdigest(), "path": str(path)}])
        waveform = waveform_of(path, 8_000)
        for _ in range(2):  # the second time from the cache
            answers = answers_of(predictor, tracks, tmp_path)
            np.testing.assert_allclose(answers.genres, predictor.probabilities([waveform]), rtol=1e-6)
            path.unlink(missing_ok=True)

    def test_what_it_needs_and_does_not_get_is_named(self, predictor):
        given = Inputs(descriptors=np.zeros(len(descriptor_names()))) if predictor.needs_encoded else Inputs()
        with pytest.raises(
            ModelError, match="descriptors and an encoding" if predictor.needs_encoded else "descriptors"
        ):
            predictor.raw([given])


class TestInABlend:
    def test_the_encoder_is_carried_once_and_asked_once(self, predictor, tmp_path):
        from sklearn.ensemble import RandomForestClassifier

        table, labels, *_ = songs(columns=len(descriptor_names()))
        forest = ForestPredictor(**COMMON, forest=RandomForestClassifier(5, random_state=0).fit(table, labels))
        weights = Weights(np.array([0.5, 0.5]), np.zeros((2, 0)))
        machine = dataclasses.replace(predictor, tags=())
        machine = dataclasses.replace(machine, machine=dataclasses.replace(predictor.machine, ridge=None))
        blend = BlendPredictor(**COMMON, parts={"forest": forest, "machine": machine}, weights=weights)
        blend.save(tmp_path)
        assert len(list(tmp_path.rglob("encoder.json"))) == int(predictor.needs_encoded)
        loaded = load_predictor(tmp_path)
        assert loaded.needs_encoded == predictor.needs_encoded
        parts = [part.raw([part.inputs(noise())]) for part in (forest, machine)]
        np.testing.assert_allclose(loaded.probabilities([noise()]), blended(parts, weights).genres, rtol=1e-6)
