"""Emotify: the join trap, the answers, every row accounted for. The data set here is synthetic, of the same layout."""

import csv
from pathlib import Path

import pandas as pd
import pytest

from earmark.catalogue.imports.importing import import_collection
from earmark.catalogue.sources.emotify import EMOTIONS, EmotifySource
from earmark.catalogue.track import read_tracks
from earmark.errors import CatalogueError
from earmark.params import load_params
from made_audio import encode_tone
from scratch import CHECKOUT

PARAMS = load_params(CHECKOUT / "params.yaml")
HEADER = "track id, genre, " + ", ".join(EMOTIONS) + ", mood, liked, disliked, age, gender, mother tongue"


def line(track_id: object, genre: str, felt: tuple[str, ...] = (), *, mood: object = 3, liked: object = 0) -> str:
    emotions = ",".join(str(int(emotion in felt)) for emotion in EMOTIONS)
    return f"{track_id},{genre},{emotions},{mood},{liked},0,31,1,Dutch"


@pytest.fixture(scope="module")
def songs() -> dict[str, bytes]:
    return {
        artist: encode_tone("mp3", 3.5, rate_hz=22_050, channels=1, tone_hz=300 + number, tags={"artist": artist})
        for number, artist in enumerate(["Anna", "Bob", "Compilation"])
    }


@pytest.fixture
def dataset(tmp_path, songs) -> Path:
    """Two genres, files numbered within each; rock's ids begin at 101."""
    folder = tmp_path / "emotify"
    for path, artist in {
        "classical/1": "Anna", "classical/2": "Compilation", "classical/100": "Bob",
        "rock/1": "Bob", "rock/2": "Compilation",
    }.items():  # fmt: skip
        file = folder / "emotifymusic" / f"{path}.mp3"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(songs[artist])
    rows = [
        line(1, "classical", ("calmness",), liked=1),
        line(100, "classical", ("power",)),
        line(101, "rock", ("tension", "power"), mood=5),
        line(102, "rock"),
        line(102, "rock", ("sadness",)),
    ]
    (folder / "data.csv").write_text("\n".join([HEADER, *rows]) + "\n", encoding="utf-8")
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


class TestAnswers:
    def test_are_joined_by_genre_and_number_within_it(self, dataset, tmp_path):
        answers = pd.read_parquet(imported(dataset, tmp_path).folder / "answers/emotify.parquet")
        assert answers["track_id"].tolist() == [
            "classical/1.mp3", "classical/100.mp3", "rock/1.mp3", "rock/2.mp3", "rock/2.mp3",
        ]  # fmt: skip
        felt = [tuple(emotion for emotion in EMOTIONS if row[emotion]) for _, row in answers.iterrows()]
        assert felt == [("calmness",), ("power",), ("power", "tension"), (), ("sadness",)]
        assert answers["mood"].tolist() == [3, 3, 5, 3, 3]
        assert answers["liked"].tolist() == [1, 0, 0, 0, 0]
        assert answers["mother_tongue"].unique().tolist() == ["Dutch"]
        assert answers["age"].unique().tolist() == [31]

    def test_every_line_is_taken_or_refused_with_its_number_and_reason(self, dataset, tmp_path):
        bad = [
            line(3, "classical"),  # no such excerpt
            line("x", "rock"),
            line(101, "rock", mood=9),
            line(101, "rock", liked="yes"),
            "101,rock,1",
            line(205, "electronic"),  # no such genre
        ]
        with (dataset / "data.csv").open("a", encoding="utf-8") as file:
            file.write("\n".join(bad) + "\n")
        result = imported(dataset, tmp_path)
        reasons = {refusal.path: refusal.reason for refusal in result.refused if refusal.kind == "answer"}
        needles = ["classical/3", "'x'", "mood is 9", "liked is 'yes'", "3 fields", "electronic/5"]
        assert list(reasons) == [f"data.csv:{number}" for number in (10, 11, 12, 7, 8, 9)]  # sorted as text
        for number, needle in zip((7, 8, 9, 10, 11, 12), needles, strict=True):
            assert needle in reasons[f"data.csv:{number}"]
        assert len(pd.read_parquet(result.folder / "answers/emotify.parquet")) == 5

    def test_whose_genre_contradicts_the_hundred_of_their_track_id_are_refused(self, dataset, tmp_path):
        bad = [line(1, "rock"), line(101, "classical"), line(401, "classical"), line(999, "rock"), line(0, "pop")]
        with (dataset / "data.csv").open("a", encoding="utf-8") as file:
            file.write("\n".join(bad) + "\n")
        result = imported(dataset, tmp_path)
        reasons = [refusal.reason for refusal in sorted(result.refused, key=lambda each: len(each.path))]
        assert [reason for reason in reasons if "track id" in reason] == [
            "its genre is 'rock', and track id 1 is one of classical",
            "its genre is 'classical', and track id 101 is one of rock",
            *(f"track id is {number}, not within 1 and 400" for number in (401, 999, 0)),
        ]
        assert len(pd.read_parquet(result.folder / "answers/emotify.parquet")) == 5

    def test_to_a_track_that_was_refused_are_refused(self, dataset, tmp_path):
        broken = dataset / "emotifymusic/rock/2.mp3"
        broken.write_bytes(broken.read_bytes()[:9_000])
        result = imported(dataset, tmp_path)
        with (result.folder / "refused.csv").open(encoding="utf-8", newline="") as file:
            refused = {(row["path"], row["kind"]) for row in csv.DictReader(file)}
        assert refused == {
            ("rock/2.mp3", "refused"), ("data.csv:5", "answer"), ("data.csv:6", "answer"),
            ("../description.pdf", "ignored"),
        }  # fmt: skip

    def test_mended_they_are_refused_no_longer(self, dataset, tmp_path, songs):
        whole = (dataset / "emotifymusic/rock/2.mp3").read_bytes()
        (dataset / "emotifymusic/rock/2.mp3").write_bytes(whole[:9_000])
        imported(dataset, tmp_path)
        (dataset / "emotifymusic/rock/2.mp3").write_bytes(whole)
        result = imported(dataset, tmp_path)
        assert (result.folder / "refused.csv").read_text(encoding="utf-8").count("\n") == 2  # header, description.pdf
        assert len(pd.read_parquet(result.folder / "answers/emotify.parquet")) == 5


class TestErrors:
    def test_another_folder_is_named_for_what_it_holds(self, write, tmp_path):
        write("music/jazz/a.mp3", b"")
        with pytest.raises(CatalogueError, match=r"not what `earmark import emotify` needs.*Found: jazz/"):
            imported(tmp_path / "music", tmp_path)

    def test_other_columns_are_named(self, dataset, tmp_path):
        (dataset / "data.csv").write_text("id,genre\n1,rock\n", encoding="utf-8")
        with pytest.raises(CatalogueError, match=r"lacks the columns track id, amazement.*it has id, genre"):
            imported(dataset, tmp_path)
