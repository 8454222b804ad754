"""The stages evidence, targets and categories on a small project: what they write, twice the same, and from nothing."""

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from earmark.catalogue.track import read_tracks, write_tracks
from earmark.errors import CatalogueError, FeedbackError
from earmark.feedback.estimates.categories import NEVER
from earmark.feedback.estimates.category_report import category_lines
from earmark.feedback.estimates.files import read_evidence
from earmark.feedback.estimates.targets import COLUMNS
from earmark.feedback.event import About, Event
from earmark.feedback.simulation.world import simulate
from earmark.stages import categories, evidence, listeners, listening, tags, targets
from earmark.workspace import (
    CATALOGUE,
    CATEGORIES,
    CATEGORIES_SUMMARY,
    CATEGORY_NAMES,
    COLLECTIONS,
    DUPLICATES,
    EVIDENCE,
    EVIDENCE_SUMMARY,
    QUARANTINE,
    SILENCE,
    SNAPSHOTS,
    SONGBOOK,
    TAGS,
    TARGETS,
    TARGETS_SUMMARY,
    TRACKS,
)
from estimate_tools import params_of, project, track
from feedback_tools import DAY_US, NOON_US, ToldOfNobody, lenient, like, number_of, play, refusing, song
from scratch import CHECKOUT

WRITTEN = (TARGETS, TARGETS_SUMMARY, CATEGORIES, CATEGORY_NAMES, CATEGORIES_SUMMARY, EVIDENCE_SUMMARY)
SONGS, LISTENERS = 84, 90
PEOPLE = {"listeners": 60, "plays_per_listener": 25.0, "bots": 0, "days": 60}
FEW = params_of(categories={"factors": 4, "redraws": 5, "count": 2}, targets={"max_word_share": 0.8})


def heard(listener: str, number: int, at_us: int | None = NOON_US, **other: Any) -> Event:
    """A whole play of the track of this number."""
    return play(listener, at_us, number, **{"ended": "complete", **other})


def said(kind: str, listener: str | None, number: int, word: str, **other: Any) -> Event:
    return heard(listener, number, **{"kind": kind, "word": word, "ms_played": None, "ended": None, **other})


def two_crowds() -> list[Event]:
    """Even listeners hear even songs and like them, odd ones odd songs; some say what they call and feel."""
    random = np.random.default_rng(1)
    events: list[Event] = []
    for who in range(LISTENERS):
        name, about = f"listener {who}", About(age=20 + who % 40, gender="fm"[who % 2], country="NO")
        for number in range(SONGS):
            if random.random() > (0.45 if who % 2 == number % 2 else 0.02):
                continue
            at_us = NOON_US - int(random.integers(1, 200)) * DAY_US
            skipped = random.random() < 0.3
            how = {"kind": "skip", "ms_played": 9_000, "ended": "skipped"} if skipped else {}
            events.append(heard(name, number, at_us, about=about, started="chosen", **how))
            if random.random() < 0.2:
                events.append(like(name, number, value=float(not skipped)))
            if random.random() < 0.1:
                events.append(said("tag", name, number, ("Hip-Hop", "calm")[number % 2], at_us=at_us))
                events.append(said("feeling", name, number, "joy", at_us=at_us, value=float(number % 2)))
    return events


def run_all(params, root: Path) -> Path:
    for stage in (evidence, targets, categories):
        stage.run(params, root)
    return root


def contents(root: Path) -> dict[str, bytes]:
    """All that the stages have written."""
    files = [root / path for path in WRITTEN] + sorted((root / EVIDENCE).iterdir())
    return {file.relative_to(root).as_posix(): file.read_bytes() for file in files}


def strict_json(path: Path) -> Any:
    """As others read it: without NaN."""

    def refuse(text: str) -> Any:
        raise ValueError(f"{path.name} holds {text}")

    return json.loads(path.read_text(), parse_constant=refuse)


@pytest.fixture(scope="module")
def crowded(tmp_path_factory) -> Path:
    """A project whose stages have run once."""
    root = project(tmp_path_factory.mktemp("crowded"), map(track, range(SONGS + 1)), two_crowds())
    return run_all(FEW, root)


@pytest.fixture
def copied(crowded, tmp_path) -> Path:
    return Path(shutil.copytree(crowded, tmp_path / "project"))


class TestSongsWithoutAGenre:
    """A song that was refused for its label alone is listened to all the same, and what is told of it is told."""

    REFUSED = 10

    @pytest.fixture
    def some_refused(self, tmp_path):
        root = project(tmp_path, map(track, range(SONGS)), two_crowds())
        whole = read_tracks(root / CATALOGUE)
        (root / COLLECTIONS / "made").mkdir(parents=True)
        write_tracks(whole, root / COLLECTIONS / "made" / TRACKS)
        write_tracks(whole.iloc[self.REFUSED :], root / CATALOGUE)
        nothing = pd.DataFrame(
            {"track_id": whole["track_id"], "duplicate_group": None, "unreadable": None}, dtype="str"
        )
        nothing.to_parquet(root / DUPLICATES)
        return root, whole["track_id"].iloc[: self.REFUSED]

    @pytest.mark.parametrize(("rule", "told"), [("genre_present", True), ("decodable", False)])
    def test_tags_reach_those_refused_for_their_label_and_no_others(self, some_refused, rule, told):
        root, refused = some_refused
        pd.DataFrame({"track_id": refused, "rule": rule}).to_csv(root / QUARANTINE, index=False)
        params = dataclasses.replace(FEW, catalogue=dataclasses.replace(FEW.catalogue, collection="made"))
        run_all(params, root)
        tags.run(params, root)
        known = set(pd.read_parquet(root / TAGS)["track_id"])
        assert known & set(refused) == (set(refused) if told else set())
        assert len(known) >= SONGS - self.REFUSED


def small(folder: Path, *events: Event, tracks: int = 3, **other: Any):
    """Evidence of a project with these events."""
    root = project(folder, map(track, range(tracks)), events, **other)
    evidence.run(FEW, root)
    return read_evidence(root / EVIDENCE)


class TestEvidence:
    def test_has_a_pair_for_each_listener_and_track_that_met(self, tmp_path):
        told = small(
            tmp_path, heard("ann", 1), heard("ann", 1, NOON_US - DAY_US), heard("bob", 2), like("bob", 1, value=0.0)
        )
        assert told.track_ids == ["t0000", "t0001", "t0002"]
        found = {(row.track, row.listener): (row.plays, row.answer) for row in told.pairs.itertuples()}
        ann, bob = number_of("ann"), number_of("bob")
        assert found == {
            (1, ann): (2, pytest.approx(np.nan, nan_ok=True)),
            (1, bob): (0, 0.0),
            (2, bob): (1, pytest.approx(np.nan, nan_ok=True)),
        }

    def test_passes_over_songs_that_are_no_track_and_tells_how_many(self, tmp_path):
        told = small(tmp_path, heard("ann", 1), heard("ann", 777))
        assert told.pairs["track"].tolist() == [1]
        summary = strict_json(tmp_path / EVIDENCE_SUMMARY)
        assert (summary["events"], summary["events_of_tracks"]) == (2, 1)
        assert (summary["songs"], summary["songs_that_are_tracks"], summary["listeners"]) == (2, 1, 1)

    def test_counts_age_from_the_latest_event_of_all(self, tmp_path):
        assert small(tmp_path, heard("ann", 1, NOON_US - DAY_US), heard("ann", 777)).now_us == NOON_US

    def test_knows_a_play_by_how_much_of_the_track_it_was(self, tmp_path):
        told = small(
            tmp_path,
            heard("ann", 0, ms_played=90_000, ended="stopped", started="chosen"),
            heard("ann", 1, kind="skip", ms_played=45_000, ended="skipped"),
            heard("ann", 2, ms_played=None, started="chosen"),
        ).pairs
        np.testing.assert_allclose(2 ** told["heard"] - 1, [0.5, 0.0, 1.0], atol=1e-6)
        np.testing.assert_allclose(2 ** told["skipped"] - 1, [0.0, 0.75, 0.0], atol=1e-6)

    def test_of_a_service_that_counts_nobody_is_no_listener_but_an_audience(self, tmp_path):
        rows = [heard(None, 1, None, times=70_000, ms_played=None), like(None, 1), said("tag", None, 1, "calm")]
        told = small(tmp_path, *rows, source=ToldOfNobody)
        assert told.pairs.empty
        assert told.said.empty
        assert told.counts[["track", "listens", "likes"]].to_numpy().tolist() == [[1, 70_000, 1]]

    def test_tells_since_when_a_counted_song_could_be_heard(self, tmp_path):
        since = NOON_US - 50 * DAY_US
        rows = [heard(None, 1, None, song=song(1, since_us=since), times=9)]
        assert small(tmp_path, *rows, source=ToldOfNobody).counts["since_us"].tolist() == [since]

    def test_leaves_out_flagged_days_and_those_who_are_flagged_too_often(self, tmp_path):
        busy = refusing("plays", 3, suite="listening", rule="busy")
        days = [
            heard(who, number % 3, NOON_US - day * DAY_US + number)
            for who, flagged in (("eve", 1), ("bot", 3))
            for day in range(4)
            for number in range(4 if day < flagged else 2)
        ]
        told = small(tmp_path, *days, heard("ann", 1), judge=busy)
        plays = told.pairs.groupby("listener")["plays"].sum()
        assert plays.to_dict() == {number_of("ann"): 1, number_of("eve"): 6}
        assert strict_json(tmp_path / EVIDENCE_SUMMARY)["listeners_left_out"] == 1

    def test_tells_what_was_said_in_order_of_time(self, tmp_path):
        later = [said("feeling", "ann", 1, "joy", at_us=NOON_US + n * 1_000_000, value=float(n % 2)) for n in range(9)]
        values = small(tmp_path, *reversed(later)).said["value"].tolist()
        assert values == [0, 1, 0, 1, 0, 1, 0, 1, 0]

    @pytest.mark.parametrize(
        ("of_words", "in_all", "kept"), [(3, 5, {"hip hop"}), (3, 3, {"hip hop", "calm"}), (6, 1, set())]
    )
    def test_has_the_words_that_as_many_say_as_both_limits_ask_for(self, tmp_path, of_words, in_all, kept):
        events = [said("tag", f"listener {who}", 1, ("Hip-Hop", "hip hop")[who > 1]) for who in range(5)]
        events += [said("tag", f"listener {who}", 2, "calm") for who in range(4)]
        params = params_of(feedback={"min_listeners": in_all}, targets={"min_word_listeners": of_words})
        root = project(tmp_path, map(track, range(3)), events)
        evidence.run(params, root)
        told = read_evidence(root / EVIDENCE).said
        assert set(told["word"].dropna()) == kept
        assert len(told) == 9
        targets.run(params, root)
        assert set(pd.read_parquet(root / TARGETS).query("target == 'word'")["name"]) == kept

    def test_comes_back_from_its_files_as_it_was(self, crowded):
        told = read_evidence(crowded / EVIDENCE)
        assert told.factors.song_factors.shape == (SONGS, 4)
        assert told.factors.listeners.tolist() == sorted(told.pairs["listener"].unique())
        assert told.factors.song_factors.flags.writeable
        assert told.pairs["track"].max() == SONGS - 1 < len(told.track_ids) - 1

    def test_without_factors_leaves_none_of_an_earlier_run_behind(self, copied):
        evidence.run(params_of(), copied)
        shutil.rmtree(copied / "data" / "feedback")
        (copied / "feedback.db").unlink()
        project(copied, map(track, range(3)), [heard("ann", 1)])
        evidence.run(params_of(), copied)
        assert read_evidence(copied / EVIDENCE).factors is None

    @pytest.mark.parametrize("missing", ["snapshot", "catalogue"])
    def test_of_what_is_not_there_is_an_error_that_says_how_to_make_it(self, tmp_path, missing):
        root = project(tmp_path, map(track, range(3)), [heard("ann", 1)])
        if missing == "catalogue":
            (root / CATALOGUE).unlink()
        with pytest.raises(CatalogueError if missing == "catalogue" else FeedbackError, match="makes one"):
            evidence.run(params_of("listening" if missing == "catalogue" else "elsewhere"), root)


class TestTargets:
    def test_are_told_by_track_in_order(self, crowded):
        table = pd.read_parquet(crowded / TARGETS)
        assert table.columns.tolist() == ["track_id", *(name for name in COLUMNS if name != "track")]
        ordered = table.sort_values(["track_id", "segment", "target", "name"], ignore_index=True)
        pd.testing.assert_frame_equal(table, ordered)
        assert set(table["target"]) == {"appeal", "feeling", "word", "popularity"}
        assert set(table[table["target"] == "word"]["name"]) == {"hip-hop", "calm"}
        assert "t0084" not in set(table["track_id"])  # nobody has heard it

    def test_have_their_noise_ceiling_beside_them(self, crowded):
        summary = strict_json(crowded / TARGETS_SUMMARY)
        table = pd.read_parquet(crowded / TARGETS)
        rows = table[table["target"] != "popularity"].groupby(["target", "name"])["track_id"].nunique()
        told = {f"{target}:{name}".rstrip(":"): count for (target, name), count in rows.items()}
        assert {name: about["tracks"] for name, about in summary["targets"].items()} == told
        assert all({"ceiling", "coverage", "prior_mean"} <= set(about) for about in summary["targets"].values())
        assert 0 <= summary["targets"]["feeling:joy"]["ceiling"] <= 1

    def test_by_segment_are_told_where_asked_for_and_the_ages_are_bands(self, copied):
        targets.run(params_of(targets={"segments": ["age", "gender"]}), copied)
        segments = set(pd.read_parquet(copied / TARGETS)["segment"])
        assert segments == {"all", "gender:f", "gender:m", "age:20–29", "age:30–39", "age:40–49", "age:50–59"}

    def test_of_fewer_listeners_than_the_least_are_told_of_none(self, copied, capsys):
        targets.run(params_of(feedback={"min_listeners": 91}), copied)
        assert pd.read_parquet(copied / TARGETS).empty
        assert "withheld, with fewer than 91 listeners: all" in capsys.readouterr().err

    @pytest.mark.parametrize("stage", [targets, categories])
    def test_without_evidence_are_an_error_that_says_what_makes_it(self, tmp_path, stage):
        root = project(tmp_path, map(track, range(3)))
        with pytest.raises(FeedbackError, match="dvc repro evidence"):
            stage.run(params_of(), root)


class TestCategories:
    def members(self, root: Path) -> pd.DataFrame:
        return pd.read_parquet(root / CATEGORIES).set_index("track_id")

    def test_are_the_crowds_and_named_by_words_and_genres(self, crowded):
        members = self.members(crowded)
        known = members[members["category"] >= 0]
        parity = known.index.str[1:].astype(int) % 2
        assert known.groupby(parity)["category"].nunique().tolist() == [1, 1]
        names = {entry["number"]: entry["name"] for entry in strict_json(crowded / CATEGORY_NAMES)["categories"]}
        assert set(names[known["category"].iloc[0]].split(" · ")) == {"genre 0", "hip-hop"}
        assert members.loc["t0084", "status"] == NEVER

    def test_show_their_most_typical_songs_by_name(self, crowded):
        for entry in strict_json(crowded / CATEGORY_NAMES)["categories"]:
            for told in entry["typical"]:
                number = int(told["track_id"][1:])
                assert told["title"] == f"Artist {number}: Title {number}"

    def test_are_counted_in_the_summary(self, crowded):
        summary, members = strict_json(crowded / CATEGORIES_SUMMARY), self.members(crowded)
        counted = {name: count for name, count in summary.items() if name.startswith("songs_")}
        assert counted == {f"songs_{name.replace(' ', '_')}": n for name, n in members["status"].value_counts().items()}
        assert (summary["categories"], sum(counted.values())) == (2, SONGS + 1)

    def test_of_fewer_listeners_than_the_least_are_none_and_nothing_of_the_songs_is_told(self, copied, capsys):
        categories.run(dataclasses.replace(FEW, feedback=params_of(feedback={"min_listeners": 91}).feedback), copied)
        members = self.members(copied)
        assert (set(members["status"]), set(members["category"]), set(members["listeners"])) == ({NEVER}, {-1}, {0})
        assert strict_json(copied / CATEGORY_NAMES) == {"highest": 1, "categories": []}
        assert "fewer than 91 listeners" in capsys.readouterr().err
        categories.run(FEW, copied)  # and when they are enough, their numbers are new
        assert sorted(set(self.members(copied)["category"])) == [-1, 2, 3]

    def test_that_are_none_say_what_is_there_and_what_is_needed(self, copied):
        evidence.run(params_of(), copied)
        (copied / CATEGORY_NAMES).write_text('{"highest": 1, "categories": []}')
        said = " ".join(category_lines(copied))
        assert f"{LISTENERS} have heard {SONGS} of its tracks" in said
        assert "feedback.min_listeners" in said and "categories.min_listeners" in said
        (copied / EVIDENCE_SUMMARY).unlink()
        assert "too few tracks of the catalogue." in " ".join(category_lines(copied))

    def test_keep_the_numbers_that_they_had_in_the_version_before(self, copied):
        before = pd.read_parquet(copied / CATEGORIES)
        renamed = before.assign(category=before["category"].map({0: 5, 1: 3, -1: -1}))
        renamed.to_parquet(copied / CATEGORIES, index=False)
        told = json.loads((copied / CATEGORY_NAMES).read_text())
        (copied / CATEGORY_NAMES).write_text(json.dumps(told | {"highest": 8}))

        categories.run(FEW, copied)
        pd.testing.assert_frame_equal(pd.read_parquet(copied / CATEGORIES), renamed)
        after = strict_json(copied / CATEGORY_NAMES)
        assert [entry["number"] for entry in after["categories"]] == [3, 5]
        assert after["highest"] == 8

    def test_that_are_new_take_a_number_that_was_never_used(self, copied):
        before = pd.read_parquet(copied / CATEGORIES)
        even = before["track_id"].str[1:].astype(int) % 2 == 0
        before[even & (before["category"] >= 0)].assign(category=4).to_parquet(copied / CATEGORIES, index=False)
        (copied / CATEGORY_NAMES).write_text('{"highest": 6, "categories": []}')
        categories.run(FEW, copied)
        assert sorted(set(self.members(copied)["category"])) == [-1, 4, 7]

    def test_that_were_written_only_in_part_never_share_a_number(self, copied):
        # Killed between its two files: the table knows a number that the list does not.
        before = pd.read_parquet(copied / CATEGORIES)
        even = before["track_id"].str[1:].astype(int) % 2 == 0
        before.assign(category=np.where(even, 1, -1)).to_parquet(copied / CATEGORIES, index=False)
        (copied / CATEGORY_NAMES).write_text('{"highest": 0, "categories": []}')
        categories.run(FEW, copied)
        assert sorted(set(self.members(copied)["category"])) == [-1, 1, 2]

    @pytest.mark.parametrize(
        ("path", "broken"),
        [
            *((CATEGORIES, broken) for broken in (b"", b"PAR1 half a file", None)),
            *((CATEGORY_NAMES, broken) for broken in (b"", b"[]", b"{}", b'{"highest": "many"}', None)),
        ],
    )
    def test_begin_anew_where_the_version_before_cannot_be_read(self, crowded, copied, path, broken):
        (copied / path).unlink()
        if broken is not None:
            (copied / path).write_bytes(broken)
        categories.run(FEW, copied)
        assert (copied / CATEGORIES).read_bytes() == (crowded / CATEGORIES).read_bytes()

    def test_begin_anew_where_the_table_before_has_other_columns(self, crowded, copied):
        pd.DataFrame({"song": ["t0000"]}).to_parquet(copied / CATEGORIES)
        categories.run(FEW, copied)
        assert (copied / CATEGORIES).read_bytes() == (crowded / CATEGORIES).read_bytes()

    def test_forget_tracks_that_are_gone_from_the_catalogue(self, crowded, copied):
        before = pd.read_parquet(copied / CATEGORIES)
        gone = pd.DataFrame({"track_id": ["gone"], "category": [0]})
        pd.concat([before, gone], ignore_index=True).to_parquet(copied / CATEGORIES, index=False)
        categories.run(FEW, copied)
        assert (copied / CATEGORIES).read_bytes() == (crowded / CATEGORIES).read_bytes()


class TestTwice:
    def test_the_same_project_gives_the_same_bytes(self, crowded, copied):
        assert contents(run_all(FEW, copied)) == contents(crowded)

    def test_the_same_events_in_another_order_do_too(self, crowded, tmp_path):
        events = two_crowds()
        shuffled = [events[place] for place in np.random.default_rng(5).permutation(len(events))]
        root = project(tmp_path, map(track, reversed(range(SONGS + 1))), shuffled)
        assert contents(run_all(FEW, root)) == contents(crowded)


class TestFromNothing:
    @pytest.fixture(params=["none", "listening"])
    def silent(self, request, tmp_path) -> Path:
        """A project that nobody has listened to: the empty snapshot, and that of an empty store."""
        root = project(tmp_path, map(track, range(4)))
        shutil.copytree(CHECKOUT / SNAPSHOTS / SILENCE, root / SNAPSHOTS / SILENCE)
        return run_all(params_of(request.param), root)

    def test_all_files_are_there_and_empty(self, silent):
        assert pd.read_parquet(silent / TARGETS).empty
        assert pd.read_parquet(silent / TARGETS).columns.tolist()[0] == "track_id"
        members = pd.read_parquet(silent / CATEGORIES)
        assert members["status"].tolist() == [NEVER] * 4
        assert members["category"].tolist() == [-1] * 4
        assert strict_json(silent / CATEGORY_NAMES) == {"highest": -1, "categories": []}
        assert strict_json(silent / TARGETS_SUMMARY)["targets"] == {}
        assert strict_json(silent / CATEGORIES_SUMMARY) == {
            "categories": 0, "silhouette": None, f"songs_{NEVER.replace(' ', '_')}": 4,
        }  # fmt: skip
        assert strict_json(silent / EVIDENCE_SUMMARY)["pairs"] == 0

    def test_the_evidence_can_be_read(self, silent):
        told = read_evidence(silent / EVIDENCE)
        assert (told.pairs.empty, told.said.empty, told.counts.empty, told.factors) == (True, True, True, None)

    def test_it_is_the_same_twice(self, silent):
        before = contents(silent)
        for name in ("none", "listening"):
            assert contents(run_all(params_of(name), silent)) == before

    def test_a_catalogue_without_tracks_is_no_trouble(self, tmp_path):
        root = project(tmp_path, [])
        run_all(params_of(), root)
        assert pd.read_parquet(root / CATEGORIES).empty


class TestMadeUpListeners:
    """From the songbook's made-up listeners, through their exports and the doors, to evidence."""

    @pytest.fixture(scope="class")
    def songbook(self, tmp_path_factory) -> Path:
        root = tmp_path_factory.mktemp("songbook")
        for path in (COLLECTIONS / SONGBOOK / TRACKS, CATALOGUE):
            write_tracks(map(track, range(60)), root / path)
        params = params_of("songbook", listeners=PEOPLE)
        listeners.run(params, root)
        listening.run(params, root, judge=lenient)
        evidence.run(params, root)
        return root

    def test_are_found_again_as_those_who_met_the_songs(self, songbook):
        found = read_evidence(songbook / EVIDENCE)
        world = simulate(read_tracks(songbook / CATALOGUE), params_of(listeners=PEOPLE).listeners)
        met = world.met.groupby("song").size().reindex(range(60), fill_value=0)
        told = found.pairs[found.pairs["plays"] > 0].groupby("track").size().reindex(range(60), fill_value=0)
        assert np.corrcoef(met, told)[0, 1] > 0.98
        assert 0.9 * met.sum() < told.sum() <= met.sum()

    def test_say_what_they_like_and_what_they_call_it(self, songbook):
        found = read_evidence(songbook / EVIDENCE)
        assert found.pairs["answer"].isin([0.0, 1.0]).sum() > 10
        assert (found.said["kind"] == "tag").sum() > 10

    def test_give_the_same_snapshot_twice(self, songbook, tmp_path):
        again = Path(shutil.copytree(songbook, tmp_path / "again"))
        shutil.rmtree(again / "data" / "feedback")
        listening.run(params_of("songbook", listeners=PEOPLE), again, judge=lenient)
        files = [file.relative_to(songbook) for file in (songbook / SNAPSHOTS).rglob("*") if file.is_file()]
        assert len(files) > 50
        assert all((again / file).read_bytes() == (songbook / file).read_bytes() for file in files)
