"""Predictors of all kinds: what they answer, how sure they say they are, and how they are kept."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from predictor_tools import KINDS, TAGS, made_calibration, made_predictor

from earmark.audio.descriptors import describe, descriptor_names
from earmark.errors import AudioError, ModelError
from earmark.model.answers import Answers, Inputs
from earmark.model.calibration.abstention import NEVER
from earmark.model.predictor import load_predictor
from earmark.model.trees.predictor import columns
from model_tools import COMMON, FRONTEND, made_network, noise

LABELS = COMMON["labels"]


@pytest.fixture(scope="module")
def made():
    """One of each kind, made when it is first asked for."""
    known = {}

    def of(kind):
        if kind not in known:
            known[kind] = made_predictor(kind)
        return known[kind]

    return of


@pytest.fixture(params=KINDS)
def predictor(request, made):
    return made(request.param)


@pytest.fixture
def network(made):
    return made("network")


@pytest.fixture
def forest(made):
    return made("forest")


def excerpts_of(predictor, waveform: torch.Tensor) -> torch.Tensor:
    """The first, the middle and the last 32 frames, shape ``(3, mels, 32)``."""
    log_mel = torch.from_numpy(predictor.extractor.log_mel(waveform)).float()
    last = len(log_mel) - 32
    return torch.stack([log_mel[start : start + 32].T for start in (0, round(last / 2), last)])


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

    def test_several_at_once_are_answered_as_each_alone(self, predictor):
        waveforms = [noise(seconds, seed) for seed, seconds in enumerate((2, 3, 1.2))]
        together = predictor.answers([predictor.inputs(each) for each in waveforms])
        for row, waveform in enumerate(waveforms):
            alone = predictor.answers([predictor.inputs(waveform)])
            for name in ("genres", "shares", "embeddings"):
                np.testing.assert_allclose(getattr(together, name)[row], getattr(alone, name)[0], rtol=1e-6)


class TestNetworkPredictor:
    def test_it_is_the_geometric_mean_over_its_excerpts(self, network):
        with torch.inference_mode():
            each = network.networks[0](excerpts_of(network, noise(3)))[0].softmax(dim=1).numpy()
        product = each.prod(axis=0) ** (1 / 3)
        np.testing.assert_allclose(network.probabilities([noise(3)])[0], product / product.sum(), rtol=1e-4)

    def test_several_networks_are_the_geometric_mean_over_all_and_the_mean_of_their_shares(self, made):
        ensemble, waveform = made("ensemble"), noise(3)
        with torch.inference_mode():
            told = [network(excerpts_of(ensemble, waveform)) for network in ensemble.networks]
        each = np.concatenate([genres.softmax(dim=1).numpy() for genres, _, _ in told]).astype(np.float64)
        product = each.prod(axis=0) ** (1 / 6)
        answers = ensemble.answers([ensemble.inputs(waveform)])
        np.testing.assert_allclose(answers.genres[0], product / product.sum(), rtol=1e-4)
        shares = np.concatenate([tags.sigmoid().numpy() for _, tags, _ in told]).mean(axis=0)
        np.testing.assert_allclose(answers.shares[0], shares, rtol=1e-4)

    def test_the_embedding_is_the_first_networks_as_the_mean_over_excerpts(self, made):
        for kind, dims in (("ensemble", 16), ("listeners", 4)):
            predictor = made(kind)
            with torch.inference_mode():
                each = predictor.networks[0](excerpts_of(predictor, noise(3)))[2].numpy()
            found = predictor.answers([predictor.inputs(noise(3))]).embeddings
            assert found.shape == (1, dims)
            np.testing.assert_allclose(found[0], each.mean(axis=0), rtol=1e-4, atol=1e-6)

    def test_seconds_heard_twice_count_once(self, network):
        assert network.predict(noise(1.2)).heard_seconds == pytest.approx(1.2)
        assert network.predict(noise(30)).heard_seconds == pytest.approx(3 * 0.512)

    def test_it_needs_log_mels_and_says_so(self, network):
        inputs = network.inputs(noise(2))
        assert inputs.log_mel is not None and inputs.descriptors is None
        with pytest.raises(ModelError, match="log-mel"):
            network.raw([Inputs()])


class TestForestPredictor:
    def test_it_answers_by_the_descriptors(self, forest):
        expected = forest.forest.predict_proba(describe(noise(2), 8_000)[None])[0]
        np.testing.assert_array_equal(forest.probabilities([noise(2)])[0], expected)

    def test_fitted_to_chosen_descriptors_it_looks_at_those_alone(self, forest):
        names = tuple(descriptor_names()[i] for i in (5, 2, 9))
        table = np.random.default_rng(0).normal(size=(60, len(descriptor_names())))
        np.testing.assert_array_equal(columns(table, names), table[:, [5, 2, 9]])
        few = replace(forest, forest=forest.forest.__class__(9, random_state=0), tag_forest=None, tags=(), chosen=names)
        few.forest.fit(table[:, [5, 2, 9]], np.arange(60) % 3)
        other = table.copy()
        other[:, [0, 1, 3, 4]] = 99.0
        np.testing.assert_array_equal(few.of_descriptors(table).genres, few.of_descriptors(other).genres)

    def test_it_needs_descriptors_and_says_so(self, forest):
        with pytest.raises(ModelError, match="descriptors"):
            forest.raw([Inputs()])


class TestUncalibrated:
    def test_nothing_is_said_of_how_sure_it_is(self, predictor):
        answer = predictor.predict(noise(3))
        assert (answer.genre_set, answer.coverage, answer.abstains) == ((), None, False)
        assert (answer.unlike, answer.warnings) == (None, ())
        assert all((each.low, each.high) == (None, None) for each in (*answer.tags, answer.appeal))

    def test_appeal_is_the_share_that_likes_it_and_there_is_none_where_that_was_not_taught(self, predictor):
        answer = predictor.predict(noise(3))
        assert answer.appeal.share == next(each.share for each in answer.tags if each.tag == "appeal---like")
        assert made_predictor("network", tags=TAGS[1:]).predict(noise(3)).appeal is None


class TestCalibrated:
    @pytest.fixture
    def sure(self, predictor):
        dims = predictor.raw([predictor.inputs(noise(2))]).embeddings.shape[1]
        return replace(predictor, calibration=made_calibration(dims=dims))

    def test_probabilities_are_tempered_and_shares_straightened(self, sure, predictor):
        raw = predictor.answers([predictor.inputs(noise(3))])
        answers = sure.answers([sure.inputs(noise(3))])
        tempered = raw.genres ** (1 / sure.calibration.temperature)
        np.testing.assert_allclose(
            answers.genres, tempered / tempered.sum(axis=1, keepdims=True), rtol=1e-5, atol=1e-12
        )
        np.testing.assert_allclose(answers.shares, sure.calibration.lines.of(raw.shares))
        np.testing.assert_array_equal(answers.embeddings, raw.embeddings)
        assert sure.calibration.temperature != 1
        np.testing.assert_array_equal(sure.raw([sure.inputs(noise(3))]).genres, raw.genres)

    def test_an_answer_has_a_set_of_genres_and_intervals_with_their_coverage(self, sure, predictor):
        answer = sure.predict(noise(3))
        raw = predictor.answers([predictor.inputs(noise(3))])
        inside = sure.calibration.genre_sets(raw.genres)[0]
        assert set(answer.genre_set) == {label for label, is_in in zip(LABELS, inside, strict=True) if is_in}
        assert answer.genre_set[0] == answer.genre and answer.coverage == 0.8
        low, high = sure.calibration.share_intervals(raw.shares)
        for each in answer.tags:
            column = sure.tags.index(each.tag)
            assert (each.low, each.high) == pytest.approx((low[0, column], high[0, column]))
            assert 0 <= each.low <= each.high <= 1
        assert answer.appeal.low is not None

    def test_what_is_plain_json_holds_all_of_it(self, sure):
        answer = sure.predict(noise(3))
        told = json.loads(json.dumps(answer.to_dict()))
        assert told["genre_set"] == list(answer.genre_set) and told["appeal"]["share"] == answer.appeal.share
        assert told["tags"][0] == {
            "share": answer.tags[0].share,
            "low": answer.tags[0].low,
            "high": answer.tags[0].high,
            "tag": answer.tags[0].tag,
        }


class TestWarnings:
    @staticmethod
    def told(predictor, *, embeddings: np.ndarray, genres: np.ndarray):
        answers = Answers(genres, np.full((len(genres), len(TAGS)), 0.5), embeddings)
        return predictor.predictions(answers, [1.0] * len(genres))

    @pytest.fixture
    def sure(self, network):
        return replace(network, calibration=made_calibration(dims=2))

    def test_of_a_song_unlike_all_that_was_heard_one_is_warned_and_of_the_others_not(self, sure):
        near, far = self.told(sure, embeddings=np.array([[0.1, 0.2], [40.0, -9.0]]), genres=np.eye(3)[:2])
        assert near.unlike > 0.05 and near.warnings == ()
        assert far.unlike < 0.01 and len(far.warnings) == 1 and "unlike anything" in far.warnings[0]

    def test_where_it_is_less_sure_than_was_demanded_it_abstains_and_says_so(self, sure):
        sure = replace(sure, calibration=replace(sure.calibration, threshold=0.6))
        genres = np.array([[0.7, 0.2, 0.1], [0.5, 0.3, 0.2]])
        certain, doubtful = self.told(sure, embeddings=np.zeros((2, 2)), genres=genres)
        assert not certain.abstains and certain.warnings == ()
        assert doubtful.abstains and "50%" in doubtful.warnings[0]
        assert doubtful.genre == LABELS[0]  # its best guess is told all the same

    def test_where_no_accuracy_can_be_promised_it_abstains_always(self, sure):
        sure = replace(sure, calibration=replace(sure.calibration, threshold=NEVER))
        (answer,) = self.told(sure, embeddings=np.zeros((1, 2)), genres=np.array([[1.0, 0.0, 0.0]]))
        assert answer.abstains

    def test_without_embeddings_nothing_is_said_of_how_unlike_it_is(self, sure):
        sure = replace(sure, calibration=replace(sure.calibration, familiar=None))
        (answer,) = self.told(sure, embeddings=np.full((1, 2), 99.0), genres=np.eye(3)[:1])
        assert answer.unlike is None and answer.warnings == ()


class TestFolder:
    @pytest.mark.parametrize("calibrated", [False, True])
    def test_what_is_loaded_answers_to_the_bit_as_what_was_saved(self, predictor, tmp_path, calibrated):
        if calibrated:
            dims = predictor.raw([predictor.inputs(noise(2))]).embeddings.shape[1]
            predictor = replace(predictor, calibration=made_calibration(dims=dims))
        predictor.save(tmp_path / "model")
        loaded = load_predictor(tmp_path / "model")
        waveforms = [noise(2, seed) for seed in range(3)]
        np.testing.assert_array_equal(loaded.probabilities(waveforms), predictor.probabilities(waveforms))
        assert [loaded.predict(each) for each in waveforms] == [predictor.predict(each) for each in waveforms]
        assert (loaded.kind, loaded.labels, loaded.frontend) == (predictor.kind, LABELS, FRONTEND)
        assert (loaded.trained_on, loaded.data_hash, loaded.tags) == (predictor.trained_on, "d", TAGS)
        assert (loaded.calibration is not None) == calibrated

    def test_saving_twice_gives_the_same_bytes(self, predictor, tmp_path):
        for name in ("one", "two"):
            predictor.save(tmp_path / name)
        files = [path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*") if path.is_file()]
        assert files
        for file in files:
            assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()

    def test_a_missing_folder_names_the_remedy(self, tmp_path):
        with pytest.raises(ModelError, match="dvc repro"):
            load_predictor(tmp_path / "none")

    def test_missing_weights_are_noticed(self, network, tmp_path):
        network.save(tmp_path)
        (tmp_path / "network.pt").unlink()
        with pytest.raises(ModelError, match="weights"):
            load_predictor(tmp_path)

    def test_a_part_that_is_missing_from_a_blend_is_noticed(self, made, tmp_path):
        made("blend").save(tmp_path)
        (tmp_path / "forest" / "forest.joblib").unlink()
        with pytest.raises(ModelError, match="forest cannot be read"):
            load_predictor(tmp_path)

    @staticmethod
    def changed(folder, **about) -> None:
        told = json.loads((folder / "predictor.json").read_text()) | about
        (folder / "predictor.json").write_text(json.dumps(told))

    def test_weights_of_another_size_are_noticed(self, network, tmp_path):
        network.save(tmp_path)
        told = json.loads((tmp_path / "predictor.json").read_text())["network"]
        self.changed(tmp_path, network=told | {"size": "small"})
        with pytest.raises(ModelError, match="weights"):
            load_predictor(tmp_path)

    @pytest.mark.parametrize("number", [1, 99])
    def test_another_format_is_refused_with_the_remedy(self, network, tmp_path, number):
        network.save(tmp_path)
        self.changed(tmp_path, format=number)
        with pytest.raises(ModelError, match=f"format {number}; .*Train it again"):
            load_predictor(tmp_path)

    def test_another_kind_is_named_with_those_that_are_known(self, network, tmp_path):
        network.save(tmp_path)
        self.changed(tmp_path, kind="oracle")
        with pytest.raises(ModelError, match=r"kind 'oracle'; known here: network, forest,.*blend"):
            load_predictor(tmp_path)

    def test_auto_is_a_gpu_where_there_is_one(self, network, tmp_path, monkeypatch):
        network.save(tmp_path)
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
        assert load_predictor(tmp_path, device="auto").device == "cpu"
        moved = []
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        monkeypatch.setattr(torch.nn.Module, "to", lambda module, device: [module, moved.append(device)][0])
        assert load_predictor(tmp_path, device="auto").device == "cuda" and moved == ["cuda"]


def test_a_network_that_lies_in_another_memory_format_is_kept_with_the_same_bytes(tmp_path, network):
    network.save(tmp_path / "one")
    other = made_network(tags=len(TAGS)).to(memory_format=torch.channels_last)
    replace(network, networks=(other,)).save(tmp_path / "two")
    assert (tmp_path / "one/network.pt").read_bytes() == (tmp_path / "two/network.pt").read_bytes()
