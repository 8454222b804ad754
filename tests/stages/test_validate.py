"""The stage `validate`, with a judge that is plain code: what it reads, what it leaves behind, and when it fails."""

import json
import zipfile
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from earmark.catalogue.track import SCHEMA, Track, read_tracks, write_tracks
from earmark.errors import CatalogueError, ParamsError
from earmark.params import Params, load_params
from earmark.stages import validate
from earmark.stages.validate import Judge, Judgement, RuleOutcome
from earmark.workspace import CATALOGUE, DATA_DOCS, DUPLICATES, GENRE_NAMES, QUARANTINE, TAXONOMY, VALIDATION, WARNINGS
from scratch import CHECKOUT


def track(name: str) -> Track:
    path = f"data/collections/mine/audio/{name}"
    return Track(name, path, "0" * 64, 12.0, 22050, 1, "flac", "folder", group=f"artist of {name}", genre="reel")


def judging(refused: list[str], problems: tuple[str, ...] = (), *, warned: list[str | None] | None = None) -> Judge:
    """A judge that refuses by name, and builds a page."""

    def judge(tracks: pd.DataFrame, names: pd.DataFrame, docs: Path) -> Judgement:
        docs.mkdir(parents=True)
        (docs / "index.html").write_text("the docs")
        rows = [(name, "taste", "critical", "not to the judge's, ahem, taste") for name in refused]
        doubts = [(name, "doubt", "warning", "who knows") for name in warned or []]
        return Judgement(
            accepted=~tracks["track_id"].isin(refused),
            quarantine=pd.DataFrame(rows, columns=["track_id", "rule", "severity", "reason"]),
            warnings=pd.DataFrame(doubts, columns=["track_id", "rule", "severity", "reason"]),
            rules={"taste": RuleOutcome("tracks", "critical", "It pleases.", len(refused), not refused)},
            problems=problems,
        )

    return judge


@pytest.fixture
def params() -> Params:
    params = load_params(CHECKOUT / "params.yaml")
    return replace(params, catalogue=replace(params.catalogue, collection="mine"))


def found(root: Path, groups: dict[str, str | None], unreadable: str | None = None) -> None:
    """What the stage `duplicates` has written."""
    rows = [(name, group, None, unreadable) for name, group in groups.items()]
    columns = ["track_id", "duplicate_group", "kind", "unreadable"]
    pd.DataFrame(rows, columns=columns).to_parquet(root / DUPLICATES)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_tracks([track("a.flac"), track("b.flac"), track("c.flac")], tmp_path / "data/collections/mine/tracks.parquet")
    found(tmp_path, {})
    audio = tmp_path / "data/collections/mine/audio"
    audio.mkdir()
    (audio / "a.flac").write_bytes(b"12345")
    (audio / "b.flac").mkdir()
    return tmp_path


class TestWhatIsWritten:
    def test_the_accepted_tracks_are_the_catalogue(self, root: Path, params: Params) -> None:
        validate.run(params, root, judge=judging(["b.flac"]))
        catalogue = read_tracks(root / CATALOGUE)
        assert list(catalogue["track_id"]) == ["a.flac", "c.flac"]
        assert list(catalogue.columns) == SCHEMA.names

    def test_the_refused_tracks_are_in_quarantine_with_their_reasons(self, root: Path, params: Params) -> None:
        validate.run(params, root, judge=judging(["b.flac"]))
        (row,) = pd.read_csv(root / QUARANTINE).to_dict("records")
        assert row == {
            "track_id": "b.flac",
            "rule": "taste",
            "severity": "critical",
            "reason": "not to the judge's, ahem, taste",
        }

    def test_the_metrics_count_every_track(self, root: Path, params: Params) -> None:
        validate.run(params, root, judge=judging(["b.flac"], warned=["a.flac", "a.flac", "b.flac", None]))
        assert json.loads((root / VALIDATION).read_text()) == {
            "tracks_in": 3,
            "tracks_accepted": 2,
            "tracks_refused": 1,
            "tracks_warned": 2,
            "genre_names": 1,
            "genre_names_unmapped": 0,
            "corrections": {"corrected": 0, "confirmed": 0, "withdrawn": 0, "unknown_track": 0, "other_audio": 0},
            "rules": {"taste": {"severity": "critical", "unexpected": 1, "success": False}},
        }

    def test_without_a_refusal_the_quarantine_still_has_its_header(self, root: Path, params: Params) -> None:
        validate.run(params, root, judge=judging([]))
        assert (root / QUARANTINE).read_text() == "track_id,rule,severity,reason\n"

    def test_what_is_warned_of_is_kept_by_track(self, root: Path, params: Params) -> None:
        validate.run(params, root, judge=judging([], warned=["c.flac", None]))
        assert (root / WARNINGS).read_text().splitlines() == [
            "track_id,rule,severity,reason",
            "c.flac,doubt,warning,who knows",
            ",doubt,warning,who knows",
        ]


class TestTheTaxonomy:
    def test_the_catalogue_bears_the_teams_genres_and_the_report_says_what_became_of_each_name(
        self, root: Path, params: Params
    ) -> None:
        other = replace(track("d.flac"), genre="Polka", source="gtzan", tags=("genre---Polka", "genre---REEL", "calm"))
        write_tracks([replace(track("a.flac"), tags=("calm",)), other], root / "data/collections/mine/tracks.parquet")
        (root / TAXONOMY).write_text("genres: {dance: [Reel]}\n")
        validate.run(params, root, judge=judging([]))
        assert list(read_tracks(root / CATALOGUE)["genre"]) == ["dance", "Polka"]
        assert [list(tags) for tags in read_tracks(root / CATALOGUE)["tags"]] == [
            ["calm"], ["genre---Polka", "genre---dance", "calm"],
        ]  # fmt: skip
        assert (root / GENRE_NAMES).read_text().splitlines() == [
            "source,kind,name,tracks,mapped_to",
            "folder,genre,reel,1,dance",
            "gtzan,genre,Polka,1,",
            "gtzan,tag,Polka,1,",
            "gtzan,tag,REEL,1,dance",
        ]
        counts = json.loads((root / VALIDATION).read_text())
        assert (counts["genre_names"], counts["genre_names_unmapped"]) == (3, 1)  # Polka is one name, label and tag

    def test_without_a_taxonomy_every_genre_stands_for_itself(self, root: Path, params: Params) -> None:
        validate.run(params, root, judge=judging([]))
        assert set(read_tracks(root / CATALOGUE)["genre"]) == {"reel"}
        assert (root / GENRE_NAMES).read_text().splitlines()[1:] == ["folder,genre,reel,3,reel"]

    def test_a_taxonomy_that_is_not_in_order_stops_before_anything_is_judged(self, root: Path, params: Params) -> None:
        (root / TAXONOMY).write_text("genres: {dance: [reel], folk: [Reel]}\n")
        with pytest.raises(ParamsError, match="'Reel' stands below 'dance' and below 'folk'"):
            validate.run(params, root, judge=judging([]))
        assert not (root / DATA_DOCS).exists()


class TestWhatTheJudgeSees:
    def test_the_size_of_each_audio_file_and_0_where_there_is_none(self, root: Path, params: Params) -> None:
        seen: dict[str, int] = {}

        def judge(tracks: pd.DataFrame, names: pd.DataFrame, docs: Path) -> Judgement:
            seen.update(zip(tracks["track_id"], tracks["audio_bytes"], strict=True))
            return judging([])(tracks, names, docs)

        validate.run(params, root, judge=judge)
        assert seen == {"a.flac": 5, "b.flac": 0, "c.flac": 0}  # b.flac is a folder, c.flac is missing

    def test_the_size_in_an_archive_and_nothing_of_what_lies_at_an_address(self, root: Path, params: Params) -> None:
        with zipfile.ZipFile(root / "data/collections/mine/audio/0.zip", "w") as archive:
            archive.writestr("a.flac", b"1234567", zipfile.ZIP_DEFLATED)
        paths = {
            "a.flac": "zip://a.flac::data/collections/mine/audio/0.zip",
            "b.flac": "zip://b.flac::data/collections/mine/audio/0.zip",
            "c.flac": "zip://c.flac::data/collections/mine/audio/1.zip",
            "d.flac": "s3://bucket/d.flac",
            "e.flac": str(root / "data/collections/mine/audio/a.flac"),
        }
        tracks = [replace(track(name), path=path) for name, path in paths.items()]
        write_tracks(tracks, root / "data/collections/mine/tracks.parquet")
        seen: list[float] = []

        def judge(tracks: pd.DataFrame, names: pd.DataFrame, docs: Path) -> Judgement:
            seen.extend(tracks["audio_bytes"].fillna(-1))
            return judging([])(tracks, names, docs)

        validate.run(params, root, judge=judge)
        assert seen == [7, 0, 0, -1, 5]

    def test_what_the_search_for_duplicates_has_found(self, root: Path, params: Params) -> None:
        seen: list[tuple[str, str, str]] = []

        def judge(tracks: pd.DataFrame, names: pd.DataFrame, docs: Path) -> Judgement:
            columns = tracks[["track_id", "duplicate_group", "unreadable"]].fillna("none")
            seen.extend(columns.itertuples(index=False, name=None))
            return judging([])(tracks, names, docs)

        found(root, {"c.flac": "d1", "a.flac": "d1", "gone.flac": "d1"}, unreadable="it is cut off")
        validate.run(params, root, judge=judge)
        assert seen == [
            ("a.flac", "d1", "it is cut off"), ("b.flac", "none", "none"), ("c.flac", "d1", "it is cut off"),
        ]  # fmt: skip


class TestFailure:
    def test_an_unfit_catalogue_fails_the_stage_and_the_message_says_it_all(self, root: Path, params: Params) -> None:
        with pytest.raises(CatalogueError) as caught:
            validate.run(params, root, judge=judging(["a.flac", "b.flac"], ("Too few are left.",)))
        message = str(caught.value)
        assert "Too few are left." in message
        assert "taste 2" in message
        assert "a.flac: not to the judge's, ahem, taste" in message
        assert "data/quarantine.csv" in message and "reports/data_docs/index.html" in message

    def test_what_was_found_can_be_read_after_the_failure(self, root: Path, params: Params) -> None:
        with pytest.raises(CatalogueError):
            validate.run(params, root, judge=judging(["a.flac"], ("Too few are left.",)))
        assert len(pd.read_csv(root / QUARANTINE)) == 1
        assert (root / DATA_DOCS / "index.html").exists()
        assert json.loads((root / VALIDATION).read_text())["tracks_refused"] == 1
        assert not (root / CATALOGUE).exists()

    def test_a_collection_without_a_single_track_is_named(self, tmp_path: Path, params: Params) -> None:
        write_tracks([], tmp_path / "data/collections/mine/tracks.parquet")
        with pytest.raises(CatalogueError, match=r"data/collections/mine has no tracks.*refused\.csv"):
            validate.run(params, tmp_path, judge=judging([]))
