"""The stage `neighbours` on noises that the test made, and on models that nobody trained."""

import hashlib
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from earmark.audio.descriptors import descriptor_names
from earmark.catalogue.track import write_tracks
from earmark.errors import ModelError
from earmark.model.blend import BlendPredictor, Weights
from earmark.model.calibration.calibration import calibrate
from earmark.model.neighbours import Neighbours
from earmark.model.network.predictor import NetworkPredictor
from earmark.model.prediction import Share, TagShare
from earmark.model.predictor import load_predictor
from earmark.model.scoring import answers_of
from earmark.model.trees.forest import fit_forest, fit_tag_forest
from earmark.model.trees.predictor import ForestPredictor
from earmark.params import load_params
from earmark.stages import neighbours
from earmark.workspace import BLEND, CATALOGUE, MODELS, NEIGHBOURS, SPLITS, TARGETS
from made_audio import encode_samples
from made_tracks import track
from model_tools import COMMON, FOREST, NETWORK, made_network
from scratch import CHECKOUT

PARAMS = load_params(CHECKOUT / "params.yaml")
PARAMS = replace(PARAMS, feedback=replace(PARAMS.feedback, min_listeners=5))
TAGS = ("appeal---like", "feeling---calmness")
SONGS = 9
PARTS = ("train", "validation", "test")

# track_id, segment, target, name, estimate, low, high, listeners
TOLD = [
    ("song 0", "all", "appeal", "", 0.7, 0.6, 0.8, 40),
    ("song 0", "all", "popularity", "", 0.9, np.nan, np.nan, 90_000),
    ("song 0", "all", "feeling", "calmness", 0.2, 0.1, 0.3, 6),
    ("song 0", "all", "word", "study", 0.4, 0.1, 0.9, 5),
    ("song 0", "all", "word", "dance", 0.9, 0.5, 1.0, 4),
    ("song 0", "age:20–29", "appeal", "", 0.1, 0.0, 0.2, 30),
    ("song 1", "all", "appeal", "", 0.3, 0.1, 0.8, 4),
    ("song 1", "all", "popularity", "", 0.1, np.nan, np.nan, 7),
]


def forest(seed: int) -> ForestPredictor:
    random = np.random.default_rng(seed)
    table, told = random.normal(size=(60, len(descriptor_names()))), random.random((60, 2, len(TAGS)))
    how = replace(FOREST, trees=10)
    fitted = fit_forest(table, np.arange(60) % 3, how), fit_tag_forest(table, told.astype(np.float32), how)
    return ForestPredictor(**COMMON, tags=TAGS, forest=fitted[0], tag_forest=fitted[1])


def calibration(*, dims: int):
    """One that straightens shares, so that it shows whether it was heeded."""
    random = np.random.default_rng(3)
    shares = random.random((60, len(TAGS)))
    told = np.stack([0.5 * shares + 0.2, np.ones_like(shares)], axis=1)
    return calibrate(
        probabilities=random.dirichlet(np.ones(3), 60), actual=np.arange(60) % 3, shares=shares, known=told,
        embeddings=random.normal(size=(60, dims)), training_embeddings=random.normal(size=(60, dims)),
        coverage=0.9, by_class=False, least_accuracy=0.0, seed=0,
    )  # fmt: skip


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root, random = tmp_path_factory.mktemp("project"), np.random.default_rng(0)
    tracks = []
    for number in range(SONGS):
        sound = encode_samples(random.normal(0, 0.02 * (number + 1), (1, 16_000)).astype(np.float32), "wav", 8_000)
        (root / f"{number}.wav").write_bytes(sound)
        known = {"path": f"{number}.wav", "content_hash": hashlib.sha256(sound).hexdigest(), "genre": "calm"}
        tracks.append(track(f"song {number}", **known, title=f"Title {number}", artist="Ann" if number else None))
    write_tracks(tracks, root / CATALOGUE)
    parts = [PARTS[number % 3] for number in range(1, SONGS)]
    splits = {"track_id": [each.track_id for each in tracks[1:]], "split": parts, "group": "g", "genre": "calm"}
    pd.DataFrame(splits).to_parquet(root / SPLITS)
    columns = ["track_id", "segment", "target", "name", "estimate", "low", "high", "listeners"]
    pd.DataFrame(TOLD, columns=columns).to_parquet(root / TARGETS)
    common = COMMON | {"tags": TAGS}
    parts = {
        "network": NetworkPredictor(**common, networks=(made_network(tags=2),), how=NETWORK),
        "forest": forest(1),
        "machine": replace(forest(2), calibration=calibration(dims=len(descriptor_names()))),
    }
    for kind, predictor in parts.items():
        predictor.save(root / MODELS[kind])
    weights = Weights(np.array([0.7, 0.4, 0.2]), np.full((3, 2), 1 / 3))
    dims = answers_of(parts["network"], pd.read_parquet(root / CATALOGUE)[:1], root).embeddings.shape[1]
    BlendPredictor(**common, parts=parts, weights=weights, calibration=calibration(dims=dims)).save(root / BLEND)
    for kind in parts:  # as the stage `blend` leaves them
        shutil.copytree(root / MODELS[kind], root / BLEND / kind, dirs_exist_ok=True)
    neighbours.run(PARAMS, root)
    return root


@pytest.mark.parametrize("kind", MODELS)
class TestOfEachKind:
    def test_every_song_of_the_catalogue_finds_itself_first(self, project, kind):
        found, tracks = Neighbours.load(project / NEIGHBOURS / kind), pd.read_parquet(project / CATALOGUE)
        embeddings = answers_of(load_predictor(project / MODELS[kind]), tracks, project).embeddings
        assert len(found) == SONGS and found.dims == embeddings.shape[1]
        for name, embedding in zip(tracks["track_id"], embeddings, strict=True):
            first = found.nearest(embedding, 3)[0]
            assert (first.track_id, first.similarity) == (name, 1.0)

    def test_an_appeal_ranks_among_those_that_the_calibrated_model_tells(self, project, kind):
        found, tracks = Neighbours.load(project / NEIGHBOURS / kind), pd.read_parquet(project / CATALOGUE)
        appeals = answers_of(load_predictor(project / MODELS[kind]), tracks, project).shares[:, 0]
        for appeal in appeals:
            assert found.rank(appeal + 1e-6) == pytest.approx(
                ((appeals < appeal - 1e-6).sum() + (abs(appeals - appeal) < 1e-6).sum()) / SONGS
            )
        assert found.rank(2.0) == 1.0


class TestWhatIsTold:
    @pytest.fixture(scope="class")
    def told(self, project):
        found = Neighbours.load(project / NEIGHBOURS / "forest")
        embedding = np.zeros(found.dims)
        return {each.track_id: each for each in found.nearest(embedding, SONGS)}

    def test_the_catalogue_and_the_split_name_it(self, told):
        assert (told["song 3"].title, told["song 3"].artist, told["song 3"].genre) == ("Title 3", "Ann", "calm")
        assert told["song 0"].artist is None and told["song 0"].part is None
        assert [told[f"song {n}"].part for n in (1, 2, 3)] == ["validation", "test", "train"]

    def test_what_everybody_liked_and_said_is_there_the_largest_share_first(self, told):
        assert told["song 0"].liked == Share(0.7, 0.6, 0.8) and told["song 0"].listeners == 40
        assert told["song 0"].tags == (TagShare(0.4, tag="word---study"), TagShare(0.2, tag="feeling---calmness"))

    def test_of_too_few_listeners_nothing_is_told(self, told):
        assert (told["song 1"].liked, told["song 1"].listeners, told["song 1"].tags) == (None, None, ())

    def test_of_a_song_without_listeners_nothing_is_told(self, told):
        assert (told["song 5"].liked, told["song 5"].listeners, told["song 5"].tags) == (None, None, ())


class TestRun:
    def test_the_same_again_is_the_same_bytes_and_what_was_left_there_is_gone(self, project, tmp_path):
        root = Path(shutil.copytree(project, tmp_path / "project"))
        before = {path: path.read_bytes() for path in (root / NEIGHBOURS).rglob("*") if path.is_file()}
        (root / NEIGHBOURS / "of before").mkdir()
        neighbours.run(PARAMS, root)
        assert {path: path.read_bytes() for path in (root / NEIGHBOURS).rglob("*") if path.is_file()} == before
        assert {path.name for path in (root / NEIGHBOURS).iterdir()} == set(MODELS)

    def test_parts_of_a_blend_that_have_answered_are_not_asked_again(self, project, tmp_path, monkeypatch):
        root, asked = Path(shutil.copytree(project, tmp_path / "project")), []

        def asking(predictor, *arguments, **how):
            asked.append(predictor.kind)
            return answers_of(predictor, *arguments, **how)

        monkeypatch.setattr(neighbours, "answers_of", asking)
        neighbours.run(PARAMS, root)
        assert asked == ["network", "forest", "forest"]  # the machine of this test is a forest, too

    def test_parts_that_are_other_models_are(self, project, tmp_path):
        root = Path(shutil.copytree(project, tmp_path / "project"))
        forest(7).save(root / BLEND / "forest")
        neighbours.run(PARAMS, root)
        tracks = pd.read_parquet(root / CATALOGUE)
        appeals = answers_of(load_predictor(root / BLEND), tracks, root).shares[:, 0]
        np.testing.assert_allclose(Neighbours.load(root / NEIGHBOURS / "blend").appeals, np.sort(appeals), atol=1e-6)

    def test_without_any_feedback_songs_are_similar_all_the_same(self, project, tmp_path):
        root = Path(shutil.copytree(project, tmp_path / "project"))
        pd.read_parquet(root / TARGETS).iloc[:0].to_parquet(root / TARGETS)
        neighbours.run(PARAMS, root)
        found = Neighbours.load(root / NEIGHBOURS / "blend")
        assert all(each.liked is None for each in found.nearest(np.ones(found.dims), SONGS))

    def test_a_missing_model_is_named_with_the_remedy(self, project, tmp_path):
        root = Path(shutil.copytree(project, tmp_path / "project"))
        shutil.rmtree(root / MODELS["machine"])
        with pytest.raises(ModelError, match=r"models/machine holds no predictor.*dvc repro"):
            neighbours.run(PARAMS, root)
