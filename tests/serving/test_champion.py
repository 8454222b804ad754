"""Where the champion comes from."""

import json
import shutil
import socket
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
from serving_tools import export, make_project, untrained

from earmark.errors import ModelError
from earmark.model.neighbours import SCHEMA, Neighbours
from earmark.params import load_params
from earmark.serving.champion import ChampionSource, FolderSource, registry_in_sight
from earmark.serving.follower import Follower


@pytest.fixture
def root(tmp_path):
    return make_project(tmp_path)


class TestFolderSource:
    def test_the_copy_of_the_champion_knows_its_version_and_run(self, root):
        export(root, untrained(seed=5), version="12", run_id="abc")
        source = FolderSource(root / "models/champion", name="earmark")
        champion = source.load()
        assert source.version() == champion.version == "12"
        assert champion.run_id == "abc"
        assert champion.predictor.labels == untrained().labels

    def test_no_folder_is_no_champion(self, root):
        assert FolderSource(root / "models/champion", name="earmark").version() is None

    def test_a_model_that_was_never_registered_says_so(self, root):
        untrained().save(root / "models/network")
        source = FolderSource(root / "models/network", name="earmark")
        assert source.version() == source.load().version == "unregistered"

    def test_a_damaged_note_is_an_error_that_names_it(self, root):
        export(root, untrained(), version="1")
        (root / "models/champion/champion.json").write_text("{")
        with pytest.raises(ModelError, match=r"champion\.json"):
            FolderSource(root / "models/champion", name="earmark").load()

    def test_a_folder_without_a_model_is_an_error_that_names_it(self, root):
        (root / "models/champion").mkdir(parents=True)
        with pytest.raises(ModelError, match="champion"):
            FolderSource(root / "models/champion", name="earmark").load()


class TestWhatLiesBesideThePredictor:
    EXAMPLE: ClassVar = {
        "name": "the-reel",
        "title": "The Reel",
        "artist": None,
        "genre": "reel",
        "seconds": 12.5,
        "licence": "CC0-1.0",
        "track_id": "songbook/reel",
    }

    def folder(self, root) -> Path:
        export(root, untrained(), version="1")
        return root / "models/champion"

    def test_without_neighbours_and_examples_it_works_without(self, root):
        champion = FolderSource(self.folder(root), name="earmark").load()
        assert (champion.neighbours, champion.examples) == (None, None)

    def test_neighbours_are_read_into_memory(self, root):
        folder = self.folder(root)
        places = np.array([[1.0, 0.0, 0.2], [0.0, 1.0, 0.1], [-1.0, -1.0, 0.3]])
        told = {each.name: [None] * 3 if each.nullable else ["a", "b", "c"] for each in SCHEMA}
        songs = pd.DataFrame(told, dtype=object)
        Neighbours.of(songs, places).save(folder / "neighbours")
        champion = FolderSource(folder, name="earmark").load()
        shutil.rmtree(folder)
        assert len(champion.neighbours) == 3
        assert champion.neighbours.nearest(places[1], 1)[0].track_id == "b"

    def test_examples_are_read_into_memory(self, root):
        folder = self.folder(root)
        (folder / "examples").mkdir()
        (folder / "examples/examples.json").write_text(json.dumps([self.EXAMPLE]))
        (folder / "examples/the-reel.opus").write_bytes(b"OggS and so on")
        champion = FolderSource(folder, name="earmark").load()
        shutil.rmtree(folder)
        (example,) = champion.examples
        assert (example.name, example.licence, example.audio) == ("the-reel", "CC0-1.0", b"OggS and so on")

    def test_damaged_examples_are_left_out_loudly_and_the_model_serves(self, root, caplog):
        folder = self.folder(root)
        (folder / "examples").mkdir()
        (folder / "examples/examples.json").write_text(json.dumps([self.EXAMPLE]))  # and no audio
        champion = FolderSource(folder, name="earmark").load()
        assert champion.examples is None and champion.predictor.labels == untrained().labels
        assert "examples cannot be read" in caplog.text

    def test_no_file_outside_the_folder_is_read(self, root):
        folder = self.folder(root)
        (folder / "examples").mkdir()
        (folder.parent / "secret.opus").write_bytes(b"secret")
        told = [{**self.EXAMPLE, "name": "../../secret"}]
        (folder / "examples/examples.json").write_text(json.dumps(told))
        assert FolderSource(folder, name="earmark").load().examples is None

    def test_the_copy_has_the_versions_tags(self, root):
        folder = self.folder(root)
        note = {"version": "1", "run_id": "abc", "tags": {"kind": "network"}}
        (folder / "champion.json").write_text(json.dumps(note))
        assert FolderSource(folder, name="earmark").load().tags == {"kind": "network"}


class TestRegistryInSight:
    def test_the_embedded_registry_is_the_file_beside_params(self, root, monkeypatch):
        monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
        assert not registry_in_sight(root)
        (root / "mlflow.db").touch()
        assert registry_in_sight(root)

    def test_a_named_registry_is_always_in_sight(self, root, monkeypatch):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
        assert registry_in_sight(root)

    def test_the_test_project_has_small_limits(self, root):
        assert load_params(root / "params.yaml").service.max_seconds == 20.0


class TestUnreachableRegistry:
    def test_the_exported_copy_serves_while_the_registry_does_not_answer(self, root, monkeypatch):
        with socket.socket() as nobody:  # bound and not listening: every call is turned away
            nobody.bind(("127.0.0.1", 0))
            monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{nobody.getsockname()[1]}")
            monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
            export(root, untrained(), version="3")
            params = load_params(root / "params.yaml")
            spare = FolderSource(root / "models/champion", name="earmark")
            follower = Follower(ChampionSource(params, root), every_s=60.0, spare=spare)
            follower.look()
        assert follower.champion.version == "3"
        assert "MLFLOW_TRACKING_URI" in follower.trouble
