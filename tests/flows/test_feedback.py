"""The flow `feedback` on a real Prefect server: what comes in, what is told of it, when it trains, kills, schedules.

The catalogue has twelve tracks, the stages are dvc.yaml's own (evidence, targets, categories), and every listener is
called something with MARK in it, so that a name that got out is found wherever it went.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from threading import Barrier
from typing import Any
from zlib import crc32

import pandas as pd
import pyarrow.parquet as pq
import pytest
import yaml
from flow_tools import Watched, runs_of, wait_for
from prefect import flow, get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId
from prefect.exceptions import ObjectNotFound
from prefect.logging.handlers import APILogHandler

from earmark.adapters.prefect_feedback import Changed, train_task
from earmark.catalogue.track import Track, write_tracks
from earmark.feedback.collecting import importer
from earmark.feedback.event import Song
from earmark.feedback.identity import KEY, ListenerKey, song_id
from earmark.feedback.snapshot import write_snapshot
from earmark.feedback.sources.spotify import SpotifyHistory
from earmark.feedback.store import Batch, Store
from earmark.feedback.tables import ADDRESS
from earmark.params import load_params
from earmark.workspace import find_root
from exports_made import lay_out, us
from feedback_tools import lenient
from scratch import CHECKOUT, scratch_project
from twice import twice_at_once

pytestmark = pytest.mark.long

MARK = "xylophilia"
SECRET = "a key that only these tests use"
TRACKS = 12
MIDNIGHT_US = us("2024-05-06 00:00:00 +0000")
DAY = MIDNIGHT_US // 86_400_000_000
SNAPSHOT = Path("data/feedback/listening")
SNAPSHOT_ADDED = "data/feedback/listening.dvc"


@pytest.fixture(scope="module", autouse=True)
def key() -> Iterator[None]:
    """The listeners' key is the tests' own, and each project's store lies in it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(KEY, SECRET)
        patch.delenv(ADDRESS, raising=False)
        yield


def watched_project(folder: Path, *, catalogue: bool = True) -> Path:
    """A scratch project with twelve tracks, the real stages that make targets, and one that must not run."""
    root = scratch_project(folder)
    (root / "flows").symlink_to(CHECKOUT / "flows")
    shutil.copy(CHECKOUT / "expectations.yaml", root)
    declared = yaml.safe_load((CHECKOUT / "dvc.yaml").read_text())["stages"]
    stages: dict[str, Any] = {
        "validate": {"cmd": "exit 7", "deps": ["params.yaml"], "outs": ["data/catalogue.parquet"]}
    }
    for name in ("evidence", "targets", "categories"):
        stages[name] = declared[name]
        stages[name]["deps"] = [path for path in declared[name]["deps"] if not path.startswith("src/")]
    run = f'PATH="{Path(sys.executable).parent}:$PATH" earmark stage'
    (root / "dvc.yaml").write_text(yaml.safe_dump({"vars": [{"run": run}], "stages": stages}, sort_keys=False))
    if catalogue:
        tracks = [
            Track(
                f"Title {number}.flac", f"audio/{number}.flac", f"{number:064}", 200.0, 16_000, 1, "flac", "folder",
                group=f"Artist {number}", title=f"Title {number}", artist=f"Artist {number}",
            )
            for number in range(TRACKS)
        ]  # fmt: skip
        for place in ("data/catalogue.parquet", "data/collections/songbook/tracks.parquet"):
            write_tracks(tracks, root / place)
        write_judgement(root, [track.track_id for track in tracks])
    return root


def write_judgement(root: Path, track_ids: list[str]) -> None:
    """Of the stages `duplicates` and `validate`: no copies, nothing refused."""
    nothing = {"track_id": track_ids, "duplicate_group": None, "unreadable": None}
    pd.DataFrame(nothing, dtype="str").to_parquet(root / "data/duplicates.parquet")
    (root / "data/quarantine.csv").write_text("track_id,rule,severity,reason\n")


def played(number: int, *, minute: int = 0, who: str | None = None, **other: Any) -> dict[str, Any]:
    """A row of Spotify's history: three minutes of the catalogue's track ``number``."""
    row = {
        "ts": f"2024-05-06T{minute // 60:02}:{minute % 60:02}:00Z",
        "ms_played": 180_000,
        "master_metadata_track_name": f"Title {number}",
        "master_metadata_album_artist_name": f"Artist {number}",
        "spotify_track_uri": f"spotify:track:{number}",
        "reason_start": "clickrow",
        "reason_end": "trackdone",
    }
    return row | ({} if who is None else {"username": f"{MARK} {who}"}) | other


PODCAST = played(0, who="anybody", master_metadata_track_name=None, episode_name="An hour of talk")
BEFORE_ALL_TIME = played(0, who="anybody", ts="1970-01-01T00:00:00Z")
OF_NO_TRACK = [played(99, minute=number, who=f"listener {number}") for number in range(6)]
OF_TRACKS = [
    played(song, minute=7 * person + 11 * song, who=f"listener {person}") for person in range(6) for song in range(10)
]
ANNAS = [played(song, minute=song) for song in range(5)]
SAID = [("one", 0, "love"), ("two", 0, "love"), ("two", 1, "ban"), ("six", 2, "love"), ("six", 3, "???")]
HEARTS = "listener,title,artist,event\n" + "".join(
    f"{MARK} {who},Title {number},Artist {number},{event}\n" for who, number, event in SAID
)
EXPORTS = {
    "spotify/endsong_0.json": [*OF_TRACKS, *OF_NO_TRACK, PODCAST, BEFORE_ALL_TIME],
    f"spotify/listener={MARK} anna/Streaming_History_Audio_2024.json": ANNAS,
    "table/hearts.csv": HEARTS,
}
# A heart says two things: that it is liked, and that it is not disliked.
EVENTS_OF_TRACKS = len(OF_TRACKS) + len(ANNAS) + 4 * 2


def brought(store: Store, who: str, numbers: Sequence[int], *, ms_played: int) -> int:
    """What the service will do: plays straight into the store, one a second from noon on, with no import around it."""
    songs = [
        Song("service", f"track {number % TRACKS}", track_id=f"Title {number % TRACKS}.flac") for number in numbers
    ]
    columns: dict[str, list[Any]] = {
        "day": [DAY] * len(songs),
        "event_id": [crc32(f"{who} {number}".encode()) for number in numbers],
        "at_us": [MIDNIGHT_US + 43_200_000_000 + number * 1_000_000 for number in numbers],
        "listener_id": [ListenerKey(SECRET.encode()).id_of("service", f"{MARK} {who}")] * len(songs),
        "song_id": [song_id(song) for song in songs],
        "source": ["service"] * len(songs),
        "kind": ["play"] * len(songs),
        "ms_played": [ms_played] * len(songs),
        "value": [None] * len(songs),
        "word": [None] * len(songs),
        "times": [1] * len(songs),
        "started": ["chosen"] * len(songs),
        "ended": ["complete"] * len(songs),
    }
    return store.add(Batch(columns, {song_id(song): song for song in songs}))


class Run(Watched):
    """One run, with what it left for people to read."""

    def state_names(self) -> dict[str, str]:
        """As the tasks are called in the code: Prefect adds letters of chance to some."""
        return {re.sub("-[0-9a-f]{3}$", "", name): state for name, state in super().state_names().items()}

    def artefact(self, key: str) -> Any:
        with get_client(sync_client=True) as client:
            mine = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[self.run_id]))
            (found,) = [one.data for one in client.read_artifacts(artifact_filter=mine) if one.key == key]
        return json.loads(found) if key != "feedback" else found

    def told(self) -> str:
        """All that it told anybody: names of tasks, messages of states, its log, its artefacts."""
        states = [f"{name} {run.state.message}" for name, run in self.tasks.items()]
        keys = ("feedback", "feedback-collected", "feedback-refused")
        artefacts = [json.dumps(self.artefact(key), ensure_ascii=False) for key in keys]
        return "\n".join([str(self.run.state.message), *states, *self.log(), *artefacts])


def run(feedback, root: Path, **parameters: Any) -> Run:
    """One run in this process; its log has arrived."""
    found = Run(feedback.feedback(root=root, return_state=True, **parameters).state_details.flow_run_id)
    APILogHandler().flush()
    return found


def counted(**numbers: int) -> dict[str, int]:
    """The numbers of a row of the table, of which most are nothing."""
    nothing = dict.fromkeys(("rows", "taken", "refused", "events", "new", "of tracks", "files", "files known"), 0)
    return nothing | {name.replace("_", " "): number for name, number in numbers.items()}


def bytes_below(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@flow(name="training")
def in_place_of_training() -> None:
    """Nobody runs it; that somebody asks for it is what is looked at."""


@pytest.fixture(scope="module")
def deployment(server) -> Any:
    """A deployment of a flow `training`."""
    return in_place_of_training.to_deployment(name="after-feedback").apply()


@dataclass(frozen=True)
class Story:
    """One project's runs, and what stood on disk after each."""

    root: Path
    runs: dict[str, Run]
    params: dict[str, str]
    snapshots: dict[str, dict[str, bytes]]
    asked_for: dict[str, int]


class TestAWatchedFolder:
    @pytest.fixture(scope="class")
    def story(self, server, feedback, deployment, tmp_path_factory) -> Story:
        root = watched_project(tmp_path_factory.mktemp("watched"))
        story = Story(root, {}, {}, {}, {})

        def and_then(name: str, **parameters: Any) -> None:
            story.runs[name] = run(feedback, root, **{"training": "training/after-feedback", **parameters})
            story.params[name] = (root / "params.yaml").read_text()
            story.snapshots[name] = bytes_below(root / SNAPSHOT)
            story.asked_for[name] = len(runs_of(deployment))

        and_then("nobody")
        lay_out(root / "inbox", EXPORTS)
        and_then("first", push=True)
        and_then("again", pull=True)
        with Store.of(root) as store:
            assert brought(store, "person", range(3), ms_played=180_000) == 3
            assert brought(store, "machine", range(601), ms_played=1_000) == 601
        and_then("brought")
        bert = f"spotify/listener={MARK} bert"
        broken = {
            f"{bert}/README.txt": "another export", f"{bert}/{MARK.upper()}_b.txt": "",
            f"table/{MARK}.csv": "colour\nred\n",
            "audioscrobbler/.scrobbler.log": "#AUDIOSCROBBLER/1.1\n#TZ/UTC\nJoni\tBlue\tRiver\t8\t240\tL\t1714979289\n",
        }  # fmt: skip
        more = [played(song, minute=900 + song, who=f"late {person}") for person in range(4) for song in range(10)]
        lay_out(root / "inbox", broken | {"spotify/z/endsong_1.json": more})
        at_once = feedback.collect_task.with_options(retry_delay_seconds=0)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(feedback, "collect_task", at_once)
            and_then("broken", training="training/served-by-nobody")
        return story

    def test_before_anybody_listened_nothing_is_written_and_nothing_is_asked_for(self, story):
        assert story.runs["nobody"].run.state_name == "Completed"
        assert story.runs["nobody"].state_names() == {"validate": "Completed", "snapshot": "Empty"}
        assert story.params["nobody"] == (CHECKOUT / "params.yaml").read_text()
        assert story.snapshots["nobody"] == {}
        assert story.asked_for["nobody"] == 0

    def test_the_first_run_does_everything_once(self, story):
        assert story.runs["first"].run.state_name == "Completed"
        assert story.runs["first"].state_names() == {
            **{f"collect {export}": "Completed" for export in ("spotify/1", "spotify/2", "table/1")},
            **dict.fromkeys(("validate", "snapshot", "version"), "Completed"),
            SNAPSHOT_ADDED: "Skipped",
            **dict.fromkeys(("evidence", "targets", "categories"), "Completed"),
            "start training": "Started",
            "push": "Completed",
        }

    def test_its_table_tells_what_came_in_by_export(self, story):
        rows = len(OF_TRACKS) + len(OF_NO_TRACK)
        assert story.runs["first"].artefact("feedback-collected") == [
            {
                "export": "spotify/1",
                **counted(
                    rows=rows + 2, taken=rows, refused=2, events=rows, new=rows, of_tracks=len(OF_TRACKS), files=1
                ),
            },
            {"export": "spotify/2", **counted(rows=5, taken=5, events=5, new=5, of_tracks=5, files=1)},
            {"export": "table/1", **counted(rows=5, taken=4, refused=1, events=8, new=8, of_tracks=8, files=1)},
        ]

    def test_another_tells_what_was_refused_and_why(self, story):
        refused = story.runs["first"].artefact("feedback-refused")
        assert sorted((row["export"], row["reason"], row["rows"]) for row in refused) == [
            ("spotify/1", "no song", 1),
            ("spotify/1", "not_before_recorded_time", 1),
            ("table/1", "no event", 1),
        ]

    def test_every_refused_row_stands_on_disk_with_its_reason(self, story):
        (row,) = (story.root / ".earmark/refused/table-1.csv").read_text().splitlines()[1:]
        assert row.startswith('hearts.csv:6,"no event: ')

    def test_the_whole_is_told_in_words(self, story):
        text = story.runs["first"].artefact("feedback")
        assert f"{len(OF_TRACKS) + len(OF_NO_TRACK) + 5 + 8} new events from 3 exports." in text
        assert f"{EVENTS_OF_TRACKS}; 0 when a training was last started" in text

    def test_the_snapshot_is_in_dvcs_care_and_in_use_and_its_bytes_are_at_the_remote(self, story):
        assert "snapshot: listening" in story.params["first"]
        recorded = yaml.safe_load((story.root / SNAPSHOT_ADDED).read_text())["outs"][0]
        assert (recorded["path"], recorded["nfiles"]) == ("listening", len(story.snapshots["broken"]))
        remote = {path.read_bytes() for path in (story.root.parent / "remote").rglob("*") if path.is_file()}
        assert set(story.snapshots["first"].values()) <= remote

    def test_targets_are_made_of_all_that_came_and_what_makes_the_catalogue_is_left_alone(self, story):
        evidence = json.loads((story.root / "reports/evidence.json").read_text())
        assert evidence["events_of_tracks"] == EVENTS_OF_TRACKS + 3 + 601 + 40
        assert pq.read_table(story.root / "data/targets.parquet").num_rows > 0
        assert not [name for name, each in story.runs.items() if "exit 7" in each.told()]

    def test_without_news_nothing_changes_and_nothing_is_asked_for(self, story):
        again = story.runs["again"]
        assert again.run.state_name == "Completed"
        states = again.state_names()
        assert states["snapshot"] == "Unchanged"
        assert {states[name] for name in (SNAPSHOT_ADDED, "evidence", "targets", "categories")} == {"Skipped"}
        assert "start training" not in states
        assert story.snapshots["again"] == story.snapshots["first"]
        assert story.params["again"] == story.params["first"]

    def test_without_news_the_table_says_that_all_files_are_known(self, story):
        rows = story.runs["again"].artefact("feedback-collected")
        assert [row.pop("export") for row in rows] == ["spotify/1", "spotify/2", "table/1"]
        assert rows == [counted(files_known=1)] * 3
        assert story.runs["again"].artefact("feedback-refused") == []

    def test_what_the_service_brought_is_in_the_snapshot_and_the_impossible_day_is_flagged(self, story):
        assert story.runs["brought"].state_names()["snapshot"] == "Completed"
        events = pq.read_table(story.root / SNAPSHOT / "events/2024/2024-05-06.parquet")
        assert events.column("source").to_pylist().count("service") == 604
        machine = ListenerKey(SECRET.encode()).id_of("service", f"{MARK} machine")
        assert pq.read_table(story.root / SNAPSHOT / "flags.parquet").to_pylist() == [
            {"day": DAY, "listener_id": machine, "rule": "too_many_plays"}
        ]
        assert "flagged: 1 day of a listener: too_many_plays" in story.runs["brought"].artefact("feedback")

    def test_a_machines_plays_start_no_training_for_no_target_is_made_of_them(self, story):
        assert load_params(CHECKOUT / "params.yaml").feedback.retrain_share > 3 / EVENTS_OF_TRACKS
        assert "start training" not in story.runs["brought"].state_names()

    def test_enough_change_asks_once_for_a_training(self, story):
        assert story.asked_for == {"nobody": 0, "first": 1, "again": 1, "brought": 1, "broken": 1}

    def test_a_broken_export_fails_its_own_task_and_the_others_are_taken(self, story):
        states = story.runs["broken"].state_names()
        assert (states["collect spotify/3"], states["collect table/2"]) == ("Failed", "Failed")
        assert (states["collect spotify/4"], states["collect table/1"]) == ("Completed", "Completed")
        (row,) = [row for row in story.runs["broken"].artefact("feedback-collected") if row["new"]]
        assert (row["export"], row["new"]) == ("spotify/4", 40)
        assert states["categories"] == "Completed"

    def test_in_the_end_the_run_fails_and_names_it(self, story):
        state = story.runs["broken"].run.state
        assert state.name == "Failed"
        assert "spotify/3: " in state.message and "endsong_*.json. Found: README.txt" in state.message
        assert "table/2: table/2 does not say which song" in state.message
        assert "spotify/4" not in state.message and "table/1" not in state.message
        told = story.runs["broken"].artefact("feedback")
        nobodys = "audioscrobbler/1:3 does not say who listened. Say whose export it is, by a folder listener=NAME"
        assert nobodys in state.message and "--listener" not in state.message
        assert [line.split("**")[1] for line in told.splitlines() if "failed" in line] == [
            "audioscrobbler/1 failed",
            "spotify/3 failed",
            "table/2 failed",
        ]

    def test_where_nobody_serves_the_training_the_task_says_so_and_what_to_do(self, story):
        assert story.runs["broken"].state_names()["start training"] == "Missing"
        assert any("python flows/training.py" in line for line in story.runs["broken"].log())
        remembered = json.loads((story.root / ".earmark/feedback/trained_with.json").read_text())
        assert remembered["events_of_tracks"] == EVENTS_OF_TRACKS  # so the next run tries again

    def test_no_name_of_a_listener_is_in_what_anybody_reads(self, story):
        assert MARK in (story.root / "inbox/spotify/endsong_0.json").read_text()
        for name, each in story.runs.items():
            assert MARK not in each.told().lower(), name

    def test_no_name_of_a_listener_is_in_what_the_server_keeps(self, story, server):
        kept = bytes_below(Path(server["PREFECT_HOME"]))
        assert [path for path, content in kept.items() if MARK.encode() in content.lower()] == []

    def test_no_name_of_a_listener_is_in_the_snapshot_nor_in_the_store(self, story):
        for path in (story.root / SNAPSHOT).rglob("*.parquet"):
            assert MARK not in str(pq.read_table(path).to_pylist())
        for path in story.root.glob("feedback.db*"):
            assert MARK.encode() not in path.read_bytes()

    def test_asked_again_for_the_same_change_the_server_makes_no_second_run(self, story, deployment):
        """As after a kill between asking and remembering."""

        @flow
        def ask() -> None:
            for _ in range(2):
                train_task(story.root, Changed(5, 500), "training/after-feedback")

        before = len(runs_of(deployment))
        ask()
        assert len(runs_of(deployment)) == before + 1


@pytest.mark.parametrize(
    ("before", "now", "share"), [(100, 105, 0.05), (100, 95, 0.05), (100, 100, 0.0), (0, 7, 7.0), (0, 0, 0.0)]
)
def test_change_is_a_share_of_what_there_was_whether_more_or_less(before, now, share):
    assert Changed(before, now).share == pytest.approx(share)


def test_if_a_stage_fails_the_run_does_and_what_came_in_is_told_all_the_same(server, feedback, tmp_path):
    root = watched_project(tmp_path)
    (root / "dvc.yaml").write_text("stages: {targets: {cmd: exit 3}, categories: {cmd: exit 3}}")
    lay_out(root / "inbox", {"spotify/endsong_0.json": [*OF_TRACKS, PODCAST]})
    failed = run(feedback, root)
    assert failed.run.state_name == "Failed"
    assert failed.state_names()["targets"] == "Failed"
    assert failed.artefact("feedback-collected")[0]["new"] == len(OF_TRACKS)
    assert failed.artefact("feedback-refused") == [{"export": "spotify/1", "reason": "no song", "rows": 1}]


class TestWithoutACatalogue:
    @pytest.fixture
    def root(self, tmp_path) -> Path:
        return watched_project(tmp_path, catalogue=False)

    def test_a_folder_called_like_no_source_is_an_error_that_names_the_sources(self, server, feedback, root):
        lay_out(root / "inbox", {"sporify/endsong_0.json": ANNAS})
        state = run(feedback, root).run.state
        assert state.name == "Failed"
        assert "sporify" in state.message and "listenbrainz, " in state.message and "into the folder" in state.message

    def test_while_this_store_is_empty_the_snapshot_that_was_pulled_of_another_stays(self, server, feedback, root):
        with Store(f"sqlite:///{root}/other.db") as store:
            brought(store, "colleague", range(5), ms_played=180_000)
            write_snapshot(store, root / SNAPSHOT)
        before = bytes_below(root / SNAPSHOT)
        assert run(feedback, root).run.state_name == "Completed"
        assert bytes_below(root / SNAPSHOT) == before

    def test_two_runs_at_once_take_turns_and_what_came_is_in_once(self, server, feedback, root, monkeypatch):
        lay_out(root / "inbox", {"spotify/endsong_0.json": OF_TRACKS})
        begun = Barrier(2)

        def find_root_together(start: Path) -> Path:
            begun.wait(60)
            return find_root(start)

        monkeypatch.setattr(feedback, "find_root", find_root_together)
        both = twice_at_once(run, feedback, root)
        assert [each.run.state_name for each in both] == ["Completed", "Completed"]
        first, second = sorted(both, key=lambda each: min(task.start_time for task in each.tasks.values()))
        end = max(task.end_time for task in first.tasks.values())
        assert end < min(task.start_time for task in second.tasks.values())
        news = [each.artefact("feedback-collected")[0]["new"] for each in (first, second)]
        assert news == [len(OF_TRACKS), 0]

    def test_after_kills_at_every_step_the_next_run_has_all_that_an_undisturbed_one_has(
        self, server, feedback, root, tmp_path
    ):
        exports = [OF_TRACKS[place::3] for place in range(3)]
        lay_out(root / "inbox", {f"spotify/{place}/endsong_0.json": rows for place, rows in enumerate(exports)})
        for place in ("Store.finish", "snapshot._write", "use"):
            assert killed_at(place, root, server) == -signal.SIGKILL
        assert run(feedback, root).run.state_name == "Completed"
        assert "snapshot: listening" in (root / "params.yaml").read_text()

        with Store(f"sqlite:///{tmp_path}/undisturbed.db") as store:
            door = importer(root, load_params(root / "params.yaml"), store, lenient)
            for place in range(3):
                door.run(SpotifyHistory(root / "inbox/spotify" / str(place)), tmp_path / "refused.csv")
            write_snapshot(store, tmp_path / "undisturbed")
        found, expected = (bytes_below(folder) for folder in (root / SNAPSHOT, tmp_path / "undisturbed"))
        del found["snapshot.json"], expected["snapshot.json"]  # it names its store
        assert found == expected

    def test_served_as_prefect_yaml_says_both_flows_stand_and_a_scheduled_run_appears_by_itself(self, server, root):
        lay_out(root / "inbox", {"spotify/endsong_0.json": OF_TRACKS})
        declared = yaml.safe_load((root / "prefect.yaml").read_text())
        nightly, hourly = declared["deployments"]
        nightly |= {"name": "seldom", "schedules": [{"cron": "7 5 * * 1", "timezone": "Europe/Oslo"}]}
        hourly |= {"name": "often", "schedules": [{"interval": 5}]}
        (root / "prefect.yaml").write_text(yaml.safe_dump(declared))
        log = root / "serve.log"
        with log.open("wb") as file:
            command = [sys.executable, "flows/serve.py"]
            serving = subprocess.Popen(command, cwd=root, env={**os.environ, **server}, stdout=file, stderr=file)
        try:
            often = wait_for(lambda: deployment_named("feedback/often"), 240)
            assert often is not None, log.read_text()
            assert often.schedules[0].schedule.interval == timedelta(seconds=5)
            (weekly,) = deployment_named("training/seldom").schedules
            assert (weekly.schedule.cron, weekly.schedule.timezone) == ("7 5 * * 1", "Europe/Oslo")
            done = wait_for(lambda: [one for one in runs_of(often.id) if one.state_name == "Completed"], 300)
            assert done, log.read_text()
            assert done[0].auto_scheduled
            assert Run(done[0].id).state_names() == {
                **dict.fromkeys(("collect spotify/1", "validate", "snapshot", "version"), "Completed")
            }
            assert (often.tags, often.description) == (hourly["tags"], hourly["description"])
        finally:
            serving.send_signal(signal.SIGTERM)
            assert serving.wait(60) == 0


def deployment_named(name: str) -> Any:
    with get_client(sync_client=True) as client:
        try:
            return client.read_deployment_by_name(name)
        except ObjectNotFound:
            return None


KILLED = """
    import importlib.util, os, signal, sys
    from contextlib import nullcontext
    from earmark.adapters import prefect_feedback
    from earmark.catalogue.imports import using
    from earmark.feedback import snapshot
    from earmark.feedback.store import Store

    spec = importlib.util.spec_from_file_location("feedback", "flows/feedback.py")
    feedback = importlib.util.module_from_spec(spec); spec.loader.exec_module(feedback)
    # A killed run gives its place back after a minute (test_killed_runs.py); these take none.
    feedback.one_at_a_time = lambda root: nullcontext()
    left = [1]

    def dying(work):
        def die(*arguments, **named):
            if not left:
                os.kill(os.getpid(), signal.SIGKILL)
            left.pop()
            return work(*arguments, **named)
        return die

    where = {"Store": Store, "snapshot": snapshot, "use": using}[sys.argv[1].partition(".")[0]]
    name = sys.argv[1].rpartition(".")[2]
    if name == "use":
        left.clear()
    setattr(where, name, dying(getattr(where, name)))
    feedback.feedback()
"""


def killed_at(place: str, root: Path, server: dict[str, str]) -> int:
    """Run the flow, and kill -9 it as it is about to do what ``place`` names (what is done often: the second time)."""
    command = [sys.executable, "-c", textwrap.dedent(KILLED), place]
    return subprocess.run(command, cwd=root, env={**os.environ, **server}, capture_output=True, check=False).returncode
