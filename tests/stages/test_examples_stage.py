"""The stage `examples` on tones that the test made, of licences that allow copies and that do not."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from earmark.audio.decode import decode
from earmark.catalogue.track import write_tracks
from earmark.params import load_params
from earmark.stages import examples
from earmark.workspace import CATALOGUE, EXAMPLES, SPLITS
from made_audio import encode_samples
from made_tracks import track
from scratch import CHECKOUT

PARAMS = load_params(CHECKOUT / "params.yaml")
GENRES = ("ambient", "blues", "choral", "dance", "electro", "folk", "grunge")


def tone(hertz: float, seconds: float, *, channels: int = 1, rate_hz: int = 16_000) -> np.ndarray:
    times = np.arange(round(seconds * rate_hz)) / rate_hz
    return np.repeat(0.5 * np.sin(2 * np.pi * hertz * times)[None], channels, axis=0).astype(np.float32)


class Project:
    """Three songs of each genre: for training, for validation, for testing."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.known: dict[str, dict[str, Any]] = {}
        for number, genre in enumerate(GENRES):
            for split in ("test", "train", "validation"):
                self.add(f"{genre}/{split}", tone(300.0 + 10 * number, 1.0), genre=genre, split=split)

    def add(self, name: str, samples: np.ndarray, *, genre: str | None, split: str, **known: Any) -> None:
        sound = encode_samples(samples, "wav", 16_000)
        path = f"audio/{name.replace('/', '-')}.wav"
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_bytes(sound)
        content_hash = hashlib.sha256(sound).hexdigest()
        how = {
            "licence": "CC BY 4.0",
            "title": f"Song {name}",
            "artist": "Ann",
            "duration_s": samples.shape[1] / 16_000,
        }
        self.known[name] = {**how, "genre": genre, "split": split, "path": path, "content_hash": content_hash, **known}

    def change(self, **known: Any) -> None:
        for each in self.known.values():
            each.update(known)

    def run(self) -> list[dict[str, Any]]:
        tracks = [
            track(name, **{key: value for key, value in known.items() if key != "split"})
            for name, known in self.known.items()
        ]
        write_tracks(tracks, self.root / CATALOGUE)
        table = pd.DataFrame([{"track_id": name, **known} for name, known in self.known.items()])
        table.assign(group="g")[["track_id", "split", "group", "genre"]].to_parquet(self.root / SPLITS)
        examples.run(PARAMS, self.root)
        return json.loads((self.root / EXAMPLES / "examples.json").read_text())

    def heard(self, example: dict[str, Any]) -> Any:
        return decode(self.root / EXAMPLES / f"{example['name']}.opus")


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


class TestWhichSongs:
    def test_four_of_the_test_part_are_chosen_of_four_genres(self, project):
        found = project.run()
        assert [each["name"] for each in found] == [f"example-{n}" for n in (1, 2, 3, 4)]
        assert len({each["genre"] for each in found}) == 4
        assert all(each["track_id"].endswith("/test") for each in found)

    def test_each_says_what_it_is_and_under_which_licence_it_is_given(self, project):
        for each in project.run():
            assert each == {
                "name": each["name"],
                "title": f"Song {each['genre']}/test",
                "artist": "Ann",
                "genre": each["genre"],
                "licence": "CC BY 4.0",
                "seconds": 1.0,
                "track_id": f"{each['genre']}/test",
            }

    def test_only_what_may_be_copied_is(self, project):
        project.change(licence="CC BY-NC 4.0")
        project.known["folk/test"]["licence"] = "CC0"
        project.known["dance/train"]["licence"] = "CC0"
        assert [each["track_id"] for each in project.run()] == ["folk/test"]

    @pytest.mark.parametrize("licence", [None, "All rights reserved"])
    def test_where_nothing_may_be_there_is_an_empty_list_and_no_sound(self, project, licence):
        project.run()
        project.change(licence=licence)
        assert project.run() == []
        assert [path.name for path in (project.root / EXAMPLES).iterdir()] == ["examples.json"]

    def test_of_one_genre_there_is_one(self, project):
        project.change(genre="folk")
        assert len(project.run()) == 1

    def test_a_song_without_a_title_or_a_genre_is_told_as_what_it_is(self, project):
        for name in ("folk/test", "dance/test"):
            project.known[name]["title"] = None
        project.known["dance/test"]["genre"] = None
        for name in set(project.known) - {"folk/test", "dance/test"}:
            project.known[name]["licence"] = None
        (found,) = project.run()
        assert (found["genre"], found["title"]) == ("folk", None)

    def test_the_choice_does_not_hang_on_names(self, project):
        before = project.run()
        project.known = {name.replace("/", "_"): known for name, known in reversed(project.known.items())}
        assert [each["title"] for each in project.run()] == [each["title"] for each in before]


class TestSound:
    def only(self, project: Project, samples: np.ndarray) -> dict[str, Any]:
        project.known.clear()
        project.add("a", samples, genre="folk", split="test")
        (found,) = project.run()
        return found

    def test_it_is_opus_and_sounds_like_the_song(self, project):
        heard = project.heard(self.only(project, tone(440.0, 3.0)))
        assert heard.codec == "opus" and heard.waveform.shape == (1, 3 * 48_000)
        spectrum = np.abs(np.fft.rfft(heard.waveform[0].numpy()))
        assert abs(spectrum.argmax() / 3.0 - 440.0) < 1.0

    def test_it_begins_and_ends_softly(self, project):
        samples = np.abs(project.heard(self.only(project, tone(440.0, 3.0))).waveform[0].numpy())
        assert samples[:240].max() < 0.1 and samples[-240:].max() < 0.1 < samples[10_000:20_000].max()

    def test_of_a_long_song_it_is_the_middle(self, project):
        parts = [tone(200.0, 15.0), tone(600.0, 20.0), tone(1000.0, 15.0)]
        found = self.only(project, np.concatenate(parts, axis=1))
        samples = project.heard(found).waveform[0].numpy()
        assert found["seconds"] == 20.0 and len(samples) == 20 * 48_000
        for piece in (samples[4800:48_000], samples[-48_000:-4800]):
            assert abs(np.abs(np.fft.rfft(piece)).argmax() * 48_000 / len(piece) - 600.0) < 3.0

    def test_two_channels_stay_two(self, project):
        both = np.concatenate([tone(300.0, 2.0), tone(900.0, 2.0)])
        heard = project.heard(self.only(project, both)).waveform.numpy()
        assert [round(np.abs(np.fft.rfft(channel)).argmax() / 2.0, -1) for channel in heard] == [300.0, 900.0]

    def test_the_same_again_is_the_same_bytes(self, project):
        project.run()
        before = {path.name: path.read_bytes() for path in (project.root / EXAMPLES).iterdir()}
        project.run()
        assert {path.name: path.read_bytes() for path in (project.root / EXAMPLES).iterdir()} == before
