"""The stage `train`: what songs without a genre teach, whom they must be no kin of, and which fits are kept."""

import dataclasses
import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from earmark.audio.features import FeatureCache
from earmark.catalogue.track import Track, write_tracks
from earmark.errors import CatalogueError
from earmark.model.material import load_material
from earmark.model.network.examples import UNLABELLED, Examples
from earmark.model.network.predictor import NetworkPredictor
from earmark.model.predictor import load_predictor
from earmark.params import Augmentation, Frontend, Network, Params, load_params
from earmark.stages import train
from earmark.workspace import (
    CHECKPOINTS,
    COLLECTIONS,
    DESCRIPTORS,
    DUPLICATES,
    EVIDENCE,
    FEATURE_CACHE,
    FEATURES,
    LEARNING_CURVE,
    NETWORK,
    QUARANTINE,
    SPLITS,
    TAGS,
    TRACKS,
)
from made_audio import encode_tone
from scratch import CHECKOUT

FRONTEND = Frontend(sample_rate_hz=8_000, n_fft=256, hop=128, mels=16, f_min_hz=30.0, f_max_hz=4000.0)
HOW = Network("tiny", pooling="mean_max", dropout=0.0, embedding="none", excerpt_seconds=0.512, excerpts=2)
SIDES = ("train", "train", "train", "validation", "test")
TAG = "feeling---calmness"


def params(*, folds: int = 0, embedding: str = "none", **changed) -> Params:
    found = load_params(CHECKOUT / "params.yaml")
    few = {"epochs": 1, "batch_size": 4, "precision": "32", "start_from": "", "tag_share": 0.5, "embedding_share": 0.3}
    return dataclasses.replace(
        found,
        catalogue=dataclasses.replace(found.catalogue, collection="made"),
        frontend=FRONTEND,
        network=dataclasses.replace(HOW, embedding=embedding),
        training=dataclasses.replace(found.training, devices=1, **few | changed),
        augmentation=Augmentation(),
        calibration=dataclasses.replace(found.calibration, folds=folds, repeats=1),
    )


def content_of(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


class Project:
    """Twenty songs of two genres by as many artists; log-mels are in the cache, audio is nowhere."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.tracks: list[Track] = []
        self.copies: dict[str, str] = {}
        self.refused: list[tuple[str, str]] = []
        self.told: list[str] = []
        self.sides: dict[str, str] = {}
        for number in range(20):
            self.add(f"{number:02d}", genre=("calm", "loud")[number % 2])
            self.sides[f"{number:02d}"] = SIDES[number // 2 % len(SIDES)]
        self.write()

    def add(self, name: str, *, refused: str = "", told: bool = True, copy_of: str = "", **known) -> None:
        """A song; ``refused`` by that rule; ``told``: listeners said how it feels."""
        cache = FeatureCache(self.folder / FEATURE_CACHE, FRONTEND)
        loud = known.get("genre") == "loud"
        random = np.random.default_rng(int(content_of(name)[:8], 16))
        cache.store(content_of(name), (random.random((40, 16)) + loud).astype(np.float16))
        sound = {"duration_s": 3.0, "sample_rate_hz": 8_000, "channels": 1, "codec": "flac", "source": "folder"}
        given = {"path": f"{name}.wav", "content_hash": content_of(name), "artist": f"Artist {name}"} | known
        self.tracks.append(Track(track_id=name, group=f"artist:{given['artist'].casefold()}", **sound, **given))
        if refused:
            self.refused.append((name, refused))
        if told:
            self.told.append(name)
        if copy_of:
            self.copies |= {name: copy_of, copy_of: copy_of}

    def write(self) -> None:
        """All as the stages before would have left it."""
        names = [track.track_id for track in self.tracks]
        collection = self.folder / COLLECTIONS / "made"
        collection.mkdir(parents=True, exist_ok=True)
        write_tracks(self.tracks, collection / TRACKS)
        found = {"duplicate_group": [self.copies.get(name) for name in names], "unreadable": None}
        pd.DataFrame({"track_id": names, **found}, dtype="str").to_parquet(self.folder / DUPLICATES)
        verdicts = pd.DataFrame(self.refused, columns=["track_id", "rule"]).assign(severity="critical", reason="")
        verdicts.to_csv(self.folder / QUARANTINE, index=False)
        labelled = pd.DataFrame([vars(track) for track in self.tracks if track.track_id in self.sides])
        labelled[["track_id", "content_hash", "path"]].to_parquet(self.folder / FEATURES, index=False)
        labelled = labelled.assign(split=labelled["track_id"].map(self.sides))
        labelled[["track_id", "split", "group", "genre"]].to_parquet(self.folder / SPLITS, index=False)
        numbers = np.arange(len(self.told))
        tags = pd.DataFrame({"track_id": self.told, "tag": TAG, "share": numbers % 2 * 0.8 + 0.1, "weight": 1.0})
        tags.assign(ceiling=0.9).to_parquet(self.folder / TAGS, index=False)

    def relabel(self, name: str, genre: str) -> None:
        """Somebody listened and said so."""
        self.tracks = [
            dataclasses.replace(track, genre=genre) if track.track_id == name else track for track in self.tracks
        ]
        self.write()

    def trained(self, how: Params | None = None) -> NetworkPredictor:
        train.run(how or params(), self.folder)
        found = load_predictor(self.folder / NETWORK)
        assert isinstance(found, NetworkPredictor)
        return found

    def hashes(self, *sides: str) -> frozenset[str]:
        return frozenset(content_of(name) for name, side in self.sides.items() if side in sides)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path / "project")


@pytest.fixture
def lessons(monkeypatch) -> list[Examples]:
    """What each network was fitted to."""
    handed, as_ever = [], train.fit

    def fit(examples: Examples, *given, **how):
        handed.append(examples)
        return as_ever(examples, *given, **how)

    monkeypatch.setattr(train, "fit", fit)
    return handed


def weights(predictor: NetworkPredictor) -> list[torch.Tensor]:
    return [value for network in predictor.networks for value in network.state_dict().values()]


def alike(one: NetworkPredictor, other: NetworkPredictor) -> bool:
    return all(torch.equal(*pair) for pair in zip(weights(one), weights(other), strict=True))


class TestSongsWithoutAGenre:
    def test_what_listeners_told_of_one_changes_the_tags(self, project, capsys, lessons):
        before = project.trained()
        project.add("new", refused="genre_present")
        project.write()
        after = project.trained()
        assert not torch.equal(before.networks[0].tags.weight, after.networks[0].tags.weight)
        assert after.trained_on == before.trained_on | {content_of("new")}
        assert after.labels == before.labels and after.data_hash != before.data_hash
        assert [len(examples) for examples in lessons] == [12, 13]
        assert lessons[1].labels.tolist() == [*lessons[0].labels.tolist(), UNLABELLED]
        assert capsys.readouterr().err.count("train: 1 song without a genre teaches what listeners told of it\n") == 1

    def test_several_are_counted(self, project, capsys):
        for name, rule in (("a", "genre_present"), ("b", "label_not_withdrawn"), ("c", "genre_has_tracks")):
            project.add(name, refused=rule)
        project.write()
        assert project.hashes("train", "validation") | set(map(content_of, "abc")) == project.trained().trained_on
        assert "train: 3 songs without a genre teach what listeners told of them\n" in capsys.readouterr().err

    @pytest.mark.parametrize(
        "song",
        [
            {"told": False},
            {"artist": "ARTIST 08"},  # who is tested
            {"artist": "artist  06"},  # who is held out
            {"copy_of": "09"},
            {"copy_of": "07"},
            {"refused": "not_silent"},
        ],
        ids=str,
    )
    def test_one_of_which_nothing_is_told_or_that_is_akin_to_a_held_out_one_is_not_heard(self, project, capsys, song):
        before = project.trained()
        project.add("new", **{"refused": "genre_present"} | song)
        project.write()
        after = project.trained()
        assert alike(before, after) and after.trained_on == before.trained_on and after.data_hash == before.data_hash
        assert "without a genre" not in capsys.readouterr().err

    def test_where_no_head_learns_of_tags_they_are_not_heard(self, project, lessons):
        project.add("new", refused="genre_present")
        project.write()
        project.trained(params(tag_share=0.0))
        assert len(lessons[0]) == 12

    def test_a_place_among_listeners_is_enough_where_an_embedding_is_trained(self, project, lessons):
        project.add("new", refused="genre_present", told=False)
        project.write()
        (project.folder / EVIDENCE).mkdir()
        placed = pd.DataFrame({"track_id": ["new", "00", "02"], "factors": [[1.0, 2.0], [0.5, 1.0], [1.0, -1.0]]})
        placed.to_parquet(project.folder / EVIDENCE / "song_factors.parquet")
        project.trained()
        project.trained(params(embedding="listeners"))
        assert [len(examples) for examples in lessons] == [12, 13]
        np.testing.assert_allclose(lessons[1].places[12], np.array([1, 2]) / np.sqrt(5), rtol=1e-6)

    def test_with_folds_each_network_hears_those_that_have_nothing_to_do_with_what_it_holds_out(self, project, lessons):
        labelled = [name for name, side in project.sides.items() if side != "test"]
        for name in labelled:
            project.add(f"by {name}", refused="genre_present", artist=f"Artist {name}")
        project.add("by nobody else", refused="genre_present")
        project.write()
        predictor = project.trained(params(folds=2))
        rows = {track.content_hash: track.artist for track in project.tracks}
        material = load_material(project.folder, FRONTEND)
        parts = train.parts_of(material, 2, params().training.seed)
        for part, examples in zip(parts, lessons, strict=True):
            artists = {rows[name] for name in part.fitted["content_hash"]} | {"Artist by nobody else"}
            assert (examples.labels == UNLABELLED).sum() == len(artists) == 9
            heard = examples.log_mels._content_hashes[len(part.fitted) :]
            assert {rows[name] for name in heard} == artists
        assert predictor.trained_on == frozenset(rows) - project.hashes("test")

    def test_their_sound_is_listened_to_where_the_cache_does_not_know_it(self, project, lessons):
        content = encode_tone("wav", 2.0, rate_hz=8_000, channels=1)
        (project.folder / "new.wav").write_bytes(content)
        project.add("new", refused="genre_present", content_hash=hashlib.sha256(content).hexdigest())
        project.write()
        project.trained()
        assert lessons[0].log_mels[12].shape == (126, 16)

    def test_one_whose_audio_is_gone_is_named(self, project):
        project.add("new", refused="genre_present", content_hash=content_of("gone"))
        project.write()
        with pytest.raises(CatalogueError, match=r"new\.wav"):
            project.trained()

    def test_doubt_about_labels_gives_them_none(self, project, lessons):
        project.add("new", refused="genre_present")
        project.write()
        heard = pd.DataFrame({"track_id": sorted(project.sides), "one": np.arange(20) % 2 * 1.0, "other": 0.0})
        heard.to_parquet(project.folder / DESCRIPTORS)
        project.trained(params(relabelling=0.5))
        assert lessons[0].genres.dtype == np.float32 and not lessons[0].genres[12].any()
        np.testing.assert_allclose(lessons[0].genres[:12].sum(axis=1), 1, rtol=1e-6)

    def test_a_project_without_quarantine_has_none(self, project):
        before = project.trained()
        for path in (QUARANTINE, DUPLICATES, COLLECTIONS / "made" / TRACKS):
            (project.folder / path).unlink()
        assert alike(project.trained(), before)


class Killed(Exception):
    pass


class TestKilledCorrectedAndRepeated:
    """Networks that were done when a run was killed are kept, but only for what they were fitted to and judged on."""

    SEEDS = (
        0,
        1,
    )  # by which 06 and 07, of the validation part, are fitted by the first of two networks, or kept from it

    @pytest.fixture
    def killed(self, project, monkeypatch, seed) -> Project:
        """While its second network was being trained."""
        done, as_ever = [], train.fit

        def fit(*given, **how):
            if len(done) == 1:
                raise Killed
            done.append(as_ever(*given, **how))
            return done[-1]

        with monkeypatch.context() as patch:
            patch.setattr(train, "fit", fit)
            with pytest.raises(Killed):
                project.trained(params(folds=2, seed=seed))
        assert len(list((project.folder / CHECKPOINTS / "finished").iterdir())) == 1
        return project

    @staticmethod
    def divided(project: Project, seed: int) -> list[tuple[str, ...]]:
        """Who is fitted by which network."""
        parts = train.parts_of(load_material(project.folder, FRONTEND), 2, seed)
        return [tuple(part.fitted["track_id"]) for part in parts]

    @staticmethod
    def as_if_never_killed(project: Project, other: Project, seed: int) -> bool:
        again, fresh = (each.trained(params(folds=2, seed=seed)) for each in (project, other))
        curves = [(each.folder / LEARNING_CURVE).read_text() for each in (project, other)]
        return alike(again, fresh) and curves[0] == curves[1] and again.data_hash == fresh.data_hash

    @pytest.mark.parametrize("seed", SEEDS)
    def test_what_was_done_is_not_done_again(self, killed, seed, lessons, tmp_path):
        killed.trained(params(folds=2, seed=seed))
        assert len(lessons) == 1

    @pytest.mark.parametrize("seed", SEEDS)
    def test_corrected_labels_of_the_validation_part_are_learnt_and_the_curve_is_theirs(self, killed, seed, tmp_path):
        other = Project(tmp_path / "other")
        before = self.divided(killed, seed)
        assert ("06" in before[0], "07" in before[0]) == ((True, True) if seed == 0 else (False, False))
        for each in (killed, other):
            each.relabel("06", "loud")
            each.relabel("07", "calm")
        assert self.divided(killed, seed) == before  # or it would be another training anyway
        assert self.as_if_never_killed(killed, other, seed)

    @pytest.mark.parametrize("seed", SEEDS)
    def test_so_is_what_listeners_have_told_of_them_since(self, killed, seed, tmp_path):
        other = Project(tmp_path / "other")
        for each in (killed, other):
            table = pd.read_parquet(each.folder / TAGS)
            table.loc[table["track_id"] == "06", "share"] = 0.99
            table.to_parquet(each.folder / TAGS, index=False)
        assert self.as_if_never_killed(killed, other, seed)

    @pytest.mark.parametrize("seed", [0])
    def test_a_song_without_a_genre_that_came_since_is_learnt(self, killed, seed, tmp_path):
        other = Project(tmp_path / "other")
        for each in (killed, other):
            each.add("new", refused="genre_present")
            each.write()
        assert self.as_if_never_killed(killed, other, seed)

    @pytest.mark.parametrize("seed", [0])
    def test_a_corrected_label_of_the_test_costs_nothing(self, killed, seed, lessons):
        killed.relabel("08", "loud")
        killed.trained(params(folds=2, seed=seed))
        assert len(lessons) == 1

    def test_the_datas_name_is_that_of_all_that_was_fitted(self, project):
        before = project.trained(params(folds=2)).data_hash
        assert before == load_material(project.folder, FRONTEND).data_hash
        project.relabel("07", "calm")  # of the validation part
        assert project.trained(params(folds=2)).data_hash != before
