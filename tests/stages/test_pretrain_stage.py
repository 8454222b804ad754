"""The stage `pretrain`: what it leaves, and that a kill costs no more than an epoch."""

import dataclasses
import hashlib
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.io import wavfile

from earmark.catalogue.track import write_tracks
from earmark.errors import CatalogueError
from earmark.model.encoders.loading import load_encoder
from earmark.model.network.starting import read_start
from earmark.params import Frontend, Network, Params, load_params
from earmark.stages.pretrain import run
from earmark.workspace import CHECKPOINTS, COLLECTIONS, DUPLICATES, PRETRAINED, QUARANTINE, SPLITS, TRACKS
from made_tracks import track
from scratch import CHECKOUT

RATE_HZ = 8_000


def params(**changed) -> Params:
    whole = load_params(CHECKOUT / "params.yaml")
    return dataclasses.replace(
        whole,
        catalogue=dataclasses.replace(whole.catalogue, collection="made"),
        frontend=Frontend(sample_rate_hz=RATE_HZ, n_fft=256, hop=128, mels=16, f_min_hz=30.0, f_max_hz=4000.0),
        network=Network("tiny", "mean_max", dropout=0.0, embedding="none", excerpt_seconds=0.512, excerpts=2),
        pretraining=dataclasses.replace(
            whole.pretraining, **{"epochs": 3, "batch_size": 4, "projection": 8, **changed}
        ),
    )


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Ten recordings of noise in its own band each; the last two are tested, every other one has a genre."""
    random = np.random.default_rng(0)
    tracks = []
    for index in range(10):
        time_s = np.arange(2 * RATE_HZ) / RATE_HZ
        sound = np.sin(2 * np.pi * 300 * (1 + index) * time_s) + random.normal(0, 0.1, len(time_s))
        path = Path("data") / f"{index}.wav"
        (tmp_path / path).parent.mkdir(exist_ok=True)
        wavfile.write(tmp_path / path, RATE_HZ, (8_000 * sound).astype(np.int16))
        content = hashlib.sha256((tmp_path / path).read_bytes()).hexdigest()
        genre = None if index % 2 and index < 8 else "noise"
        tracks.append(track(str(index), path=path.as_posix(), content_hash=content, genre=genre))
    collection = tmp_path / COLLECTIONS / "made"
    collection.mkdir(parents=True)
    write_tracks(tracks, collection / TRACKS)
    labelled = [each.track_id for each in tracks if each.genre]
    sides = ["test" if name in ("8", "9") else "train" for name in labelled]
    pd.DataFrame({"track_id": labelled, "split": sides, "group": labelled, "genre": "noise"}).to_parquet(
        tmp_path / SPLITS
    )
    names = [each.track_id for each in tracks]
    pd.DataFrame({"track_id": names, "duplicate_group": None, "unreadable": None}, dtype="string").to_parquet(
        tmp_path / DUPLICATES
    )
    refused = [(name, "genre_present", "critical", "it has no genre") for name in names if name not in labelled]
    pd.DataFrame(refused, columns=["track_id", "rule", "severity", "reason"]).to_csv(tmp_path / QUARANTINE, index=False)
    return tmp_path


class TestRun:
    def test_its_folder_is_where_training_and_the_kernel_machines_can_start(self, root):
        run(params(), root)
        heard_by = pd.read_parquet(root / COLLECTIONS / "made" / TRACKS).set_index("track_id")["content_hash"]
        start, encoder = read_start(root / PRETRAINED), load_encoder(root / PRETRAINED)
        assert start.frontend == params().frontend and encoder.dims == 2 * 16
        assert start.trained_on == encoder.trained_on == frozenset(heard_by.drop(["8", "9"]))
        assert not start.labelled and not encoder.labelled  # so songs for calibration may be among them

    def test_killed_at_any_moment_it_ends_at_the_same_bits(self, root, tmp_path_factory):
        how = params(epochs=60)
        run(how, root)
        whole = (root / PRETRAINED / "weights.pt").read_bytes()
        (root / PRETRAINED / "weights.pt").unlink()
        (root / "how.pickle").write_bytes(pickle.dumps(how))
        code = (
            "import pickle, sys; from pathlib import Path; from earmark.stages.pretrain import run\n"
            "root = Path(sys.argv[1]); run(pickle.loads((root / 'how.pickle').read_bytes()), root)"
        )
        process = subprocess.Popen([sys.executable, "-c", code, str(root)], stderr=subprocess.PIPE, text=True)
        for line in process.stderr:
            if line.startswith("epoch   2"):
                break
        time.sleep(0.1)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        process.stderr.close()
        assert any((root / CHECKPOINTS).iterdir()) and not (root / PRETRAINED / "weights.pt").exists()
        run(how, root)
        assert (root / PRETRAINED / "weights.pt").read_bytes() == whole
        assert not any((root / CHECKPOINTS).iterdir())

    def test_with_nothing_to_hear_the_remedy_is_named(self, root):
        splits = pd.read_parquet(root / SPLITS)
        splits.assign(split="test").to_parquet(root / SPLITS)
        table = pd.read_parquet(root / COLLECTIONS / "made" / TRACKS)
        refused = [(name, "not_silent") for name in table["track_id"]]
        pd.DataFrame(refused, columns=["track_id", "rule"]).to_csv(root / QUARANTINE, index=False)
        with pytest.raises(CatalogueError, match=r"0 recordings.*Import more music"):
            run(params(), root)
