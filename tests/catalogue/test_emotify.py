"""Emotify: genres by folder, artists by tag, every file accounted for. The data set here is synthetic."""

from pathlib import Path

import pytest

from earmark.catalogue.imports.importing import import_collection
from earmark.catalogue.sources.emotify import EmotifySource
from earmark.catalogue.track import read_tracks
from earmark.errors import CatalogueError
from earmark.params import load_params
from made_audio import encode_tone
from scratch import CHECKOUT

PARAMS = load_params(CHECKOUT / "params.yaml")


@pytest.fixture(scope="module")
def songs() -> dict[str, bytes]:
    return {
        artist: encode_tone("mp3", 3.5, rate_hz=22_050, channels=1, tone_hz=300 + number, tags={"artist": artist})
        for number, artist in enumerate(["Anna", "Bob", "Compilation"])
    }


@pytest.fixture
def dataset(tmp_path, songs) -> Path:
    """Two genres, files numbered within each."""
    folder = tmp_path / "emotify"
    for path, artist in {
        "classical/1": "Anna", "classical/2": "Compilation", "classical/100": "Bob",
        "rock/1": "Bob", "rock/2": "Compilation",
    }.items():  # fmt: skip
        file = folder / "emotifymusic" / f"{path}.mp3"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(songs[artist])
    (folder / "data.csv").write_text("track id, genre\n", encoding="utf-8")
    (folder / "description.pdf").write_bytes(b"%PDF-1.4")
    return folder


def imported(dataset: Path, root: Path):
    return import_collection(EmotifySource(dataset), root, PARAMS, processes=1)


class TestTracks:
    def test_genre_is_the_folder_and_group_the_artist(self, dataset, tmp_path):
        result = imported(dataset, tmp_path)
        tracks = read_tracks(result.folder / "tracks.parquet").set_index("track_id")
        assert tracks["genre"].to_dict() == {
            "classical/1.mp3": "classical",
            "classical/100.mp3": "classical",
            "classical/2.mp3": "classical",
            "rock/1.mp3": "rock",
            "rock/2.mp3": "rock",
        }
        assert tracks.loc["classical/2.mp3", "group"] == tracks.loc["rock/2.mp3", "group"] == "artist:compilation"
        assert tracks["source"].eq("emotify").all()
        assert tracks["licence"].str.contains("non-commercial").all()
        assert tracks["sample_rate_hz"].eq(22_050).all() and tracks["channels"].eq(1).all()

    def test_the_summary_names_licence_and_citation(self, dataset, tmp_path):
        summary = imported(dataset, tmp_path).summary()
        assert "non-commercial" in summary and "Aljanaki" in summary

    def test_the_answers_need_not_be_there(self, dataset, tmp_path):
        (dataset / "data.csv").unlink()
        assert len(imported(dataset, tmp_path).taken) == 5

    def test_every_file_is_taken_or_refused_and_the_answers_are_left_to_feedback(self, dataset, tmp_path):
        broken = dataset / "emotifymusic/rock/2.mp3"
        broken.write_bytes(broken.read_bytes()[:9_000])
        result = imported(dataset, tmp_path)
        assert len(result.taken) == 4
        assert {(refusal.path, refusal.kind) for refusal in result.refused} == {
            ("rock/2.mp3", "refused"), ("../description.pdf", "ignored"),
        }  # fmt: skip


class TestErrors:
    def test_another_folder_is_named_for_what_it_holds(self, write, tmp_path):
        write("music/jazz/a.mp3", b"")
        with pytest.raises(CatalogueError, match=r"not what `earmark import emotify` needs.*Found: jazz/"):
            imported(tmp_path / "music", tmp_path)
