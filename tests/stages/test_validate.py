"""The stage `validate`, with a judge that is plain code: what it reads, what it leaves behind, and when it fails."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from earmark.catalogue.track import SCHEMA, Track, read_tracks, write_tracks
from earmark.errors import CatalogueError
from earmark.params import Params, Validation, load_params
from earmark.stages import validate
from earmark.stages.validate import Judgement, RuleOutcome
from earmark.workspace import CATALOGUE, DATA_DOCS, QUARANTINE, VALIDATION
from scratch import CHECKOUT


def track(name: str) -> Track:
    path = f"data/collections/mine/audio/{name}"
    return Track(name, path, "0" * 64, 12.0, 22050, 1, "flac", "folder", group=f"artist of {name}", genre="reel")


def judging(
    refused: list[str], problems: tuple[str, ...] = ()
) -> Callable[[pd.DataFrame, Validation, Path], Judgement]:
    """A judge that refuses by name, and builds a page."""

    def judge(tracks: pd.DataFrame, limits: Validation, docs: Path) -> Judgement:
        docs.mkdir(parents=True)
        (docs / "index.html").write_text("the docs")
        rows = [(name, "taste", "critical", "not to the judge's, ahem, taste") for name in refused]
        return Judgement(
            accepted=~tracks["track_id"].isin(refused),
            quarantine=pd.DataFrame(rows, columns=["track_id", "rule", "severity", "reason"]),
            rules={"taste": RuleOutcome("critical", "It pleases.", len(refused), not refused)},
            problems=problems,
        )

    return judge


@pytest.fixture
def params() -> Params:
    params = load_params(CHECKOUT / "params.yaml")
    return replace(params, catalogue=replace(params.catalogue, collection="mine"))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_tracks([track("a.flac"), track("b.flac"), track("c.flac")], tmp_path / "data/collections/mine/tracks.parquet")
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
        validate.run(params, root, judge=judging(["b.flac"]))
        assert json.loads((root / VALIDATION).read_text()) == {
            "tracks_in": 3,
            "tracks_accepted": 2,
            "tracks_refused": 1,
            "rules": {"taste": {"severity": "critical", "unexpected": 1, "success": False}},
        }

    def test_without_a_refusal_the_quarantine_still_has_its_header(self, root: Path, params: Params) -> None:
        validate.run(params, root, judge=judging([]))
        assert (root / QUARANTINE).read_text() == "track_id,rule,severity,reason\n"


class TestWhatTheJudgeSees:
    def test_the_size_of_each_audio_file_and_0_where_there_is_none(self, root: Path, params: Params) -> None:
        seen: dict[str, int] = {}

        def judge(tracks: pd.DataFrame, limits: Validation, docs: Path) -> Judgement:
            seen.update(zip(tracks["track_id"], tracks["audio_bytes"], strict=True))
            return judging([])(tracks, limits, docs)

        validate.run(params, root, judge=judge)
        assert seen == {"a.flac": 5, "b.flac": 0, "c.flac": 0}  # b.flac is a folder, c.flac is missing


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
