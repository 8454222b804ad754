"""A made-up world as the files of Spotify's and ListenBrainz' exports."""

import dataclasses
import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from earmark.errors import FeedbackError
from earmark.feedback.event import named_key
from earmark.feedback.simulation import writing
from earmark.feedback.simulation.songs import made_up_tracks
from earmark.feedback.simulation.world import World, simulate
from earmark.feedback.simulation.writing import Written, write_world
from earmark.files import sha256_of
from earmark.params import load_params
from scratch import CHECKOUT

PARAMS = dataclasses.replace(load_params(CHECKOUT / "params.yaml").listeners, listeners=160, love_share=0.4)
OLD_FIELDS = {
    "ts", "username", "platform", "ms_played", "conn_country", "ip_addr_decrypted", "user_agent_decrypted",
    "master_metadata_track_name", "master_metadata_album_artist_name", "master_metadata_album_album_name",
    "spotify_track_uri", "episode_name", "episode_show_name", "spotify_episode_uri", "reason_start", "reason_end",
    "shuffle", "skipped", "offline", "offline_timestamp", "incognito_mode",
}  # fmt: skip
NEW_FIELDS = (OLD_FIELDS - {"username", "ip_addr_decrypted", "user_agent_decrypted"}) | {
    "ip_addr", "audiobook_title", "audiobook_uri", "audiobook_chapter_uri", "audiobook_chapter_title",
}  # fmt: skip
SKIPS_TOLD = "2022-10-16"


def tracks() -> pd.DataFrame:
    found = made_up_tracks(200)
    found.loc[found.index % 2 == 0, "isrc"] = None
    return found


@pytest.fixture(scope="module")
def world() -> World:
    return simulate(tracks(), PARAMS)


@pytest.fixture(scope="module")
def written(world, tmp_path_factory) -> Written:
    return write_world(world, tmp_path_factory.mktemp("made") / "world")


@pytest.fixture(scope="module")
def endsong(written) -> pd.DataFrame:
    files = sorted((written.folder / "exports/spotify").glob("endsong_*.json"))
    return pd.DataFrame([row for file in files for row in json.loads(file.read_text(encoding="utf-8"))]).astype(object)


@pytest.fixture(scope="module")
def newer(written) -> dict[str, pd.DataFrame]:
    """By listener."""
    files = (written.folder / "exports/spotify_new").glob("*/Streaming_History_Audio_*.json")
    return {
        file.parent.name: pd.DataFrame(json.loads(file.read_text(encoding="utf-8"))).astype(object) for file in files
    }


@pytest.fixture(scope="module")
def listens(written) -> list[dict]:
    return [
        json.loads(line) | {"file": file.relative_to(written.folder / "exports/listenbrainz").as_posix()}
        for file in sorted((written.folder / "exports/listenbrainz").rglob("*.listens"))
        for line in file.read_text(encoding="utf-8").splitlines()
    ]


@pytest.fixture(scope="module")
def feedback(written) -> list[dict]:
    lines = (written.folder / "exports/listenbrainz/feedback.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def files(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): sha256_of(path) for path in folder.rglob("*") if path.is_file()}


def plays(world: World, *exports: str) -> pd.DataFrame:
    events = world.events[world.events["ms_played"] >= 0]
    return events[world.listeners["export"].isin(exports).to_numpy()[events["listener"]]]


class TestAllFiles:
    def test_the_same_seed_gives_the_same_bytes(self, written, tmp_path):
        again = write_world(simulate(tracks(), PARAMS), tmp_path / "world")
        assert files(again.folder) == files(written.folder)

    def test_another_seed_gives_others(self, written, tmp_path):
        other = write_world(simulate(tracks(), dataclasses.replace(PARAMS, seed=2)), tmp_path / "world")
        ours, theirs = files(written.folder), files(other.folder)
        assert all(ours[name] != theirs[name] for name in ours.keys() & theirs.keys())

    def test_every_event_has_its_row(self, world, written, listens):
        events = world.events
        said = events["kind"].isin(["like", "dislike"]).sum()
        assert sum(written.rows.values()) == (events["ms_played"] >= 0).sum() + said + written.podcasts
        assert (
            sum(len(row["track_metadata"]["additional_info"].get("tags", [])) for row in listens)
            == (events["kind"] == "tag").sum()
        )

    def test_the_rows_are_counted_as_they_are(self, written, endsong, newer, listens, feedback):
        found = {"spotify/": len(endsong), "spotify_new": sum(map(len, newer.values()))}
        found |= {"listens/": len(listens), "feedback": len(feedback)}
        for part, count in found.items():
            assert sum(rows for place, rows in written.rows.items() if part in place) == count

    def test_the_truth_lies_apart_and_tells_the_appeal_of_every_track(self, world, written):
        truth = pd.read_parquet(written.folder / "truth.parquet")
        known = world.songs.dropna(subset=["track_id"])
        assert truth["track_id"].tolist() == known["track_id"].tolist()
        for column in ("category", "quality", "appeal", "appeal_group_0", "available_from", "ambiguous"):
            assert truth[column].tolist() == known[column].tolist()
        assert {path.name for path in written.folder.iterdir()} == {"exports", "truth.parquet"}

    def test_no_export_holds_a_word_of_the_truth(self, written, endsong, listens):
        keys = {*endsong, *listens[0], *listens[0]["track_metadata"], *listens[0]["track_metadata"]["additional_info"]}
        assert not keys & {"category", "quality", "appeal", "liked", "group", "age", "popularity"}
        for path in (written.folder / "exports").rglob("*"):
            assert path.is_dir() or b"appeal" not in path.read_bytes()

    def test_names_are_written_in_several_ways_that_mean_one_song(self, world, endsong, listens):
        endsong = endsong.dropna(subset=["master_metadata_track_name"])
        keys = {
            named_key(title, artist) for title, artist in zip(world.songs["title"], world.songs["artist"], strict=True)
        }
        names = set(
            zip(endsong["master_metadata_track_name"], endsong["master_metadata_album_artist_name"], strict=True)
        )
        names |= {(row["track_metadata"]["track_name"], row["track_metadata"]["artist_name"]) for row in listens}
        assert {named_key(title, artist) for title, artist in names} <= keys
        titles = {title for title, _ in names}
        assert any("Remastered" in title for title in titles)
        assert any(title.islower() for title in titles)


class TestSpotify:
    def test_the_older_form_has_its_fields_and_names_many_listeners(self, world, endsong):
        assert set(endsong) == OLD_FIELDS
        assert endsong["username"].nunique() == plays(world, "endsong")["listener"].nunique() > 50

    def test_the_newer_form_has_its_fields_and_a_folder_for_each_listener(self, world, newer):
        names = world.listeners["name"][plays(world, "streaming_history")["listener"].unique()]
        assert set(newer) == set(names)
        assert all(set(rows) == NEW_FIELDS for rows in newer.values())

    def test_each_listener_has_heard_for_as_long_as_it_says_and_when_it_says(self, world, endsong):
        songs = endsong[endsong["master_metadata_track_name"].notna()]
        expected = plays(world, "endsong").astype({"ms_played": int})
        expected = expected.assign(name=world.listeners["name"].to_numpy()[expected["listener"]])
        told = songs["ts"].map(lambda ts: datetime.fromisoformat(ts).timestamp() * 1e6).astype(np.int64)
        ours = set(zip(expected["name"], expected["at_us"], expected["ms_played"], strict=True))
        assert ours == set(zip(songs["username"], told, songs["ms_played"], strict=True))

    def test_podcasts_have_no_track_names(self, written, endsong, newer):
        rows = pd.concat([endsong, *newer.values()])
        podcasts = rows[rows["master_metadata_track_name"].isna()]
        assert len(podcasts) == written.podcasts > 0
        assert podcasts["episode_name"].notna().all()
        assert podcasts["spotify_track_uri"].isna().all()
        assert podcasts["spotify_episode_uri"].str.fullmatch(r"spotify:episode:[0-9A-Za-z]{22}").all()

    def test_before_october_2022_skipped_says_nothing_and_from_then_on_too_much(self, endsong, newer):
        late = endsong["ts"] >= SKIPS_TOLD
        assert endsong[~late]["skipped"].isna().all()
        shorter = pd.concat(newer.values())
        assert not shorter[shorter["ts"] < SKIPS_TOLD]["skipped"].any()
        assert (endsong[~late]["reason_end"] == "fwdbtn").any()
        true = endsong[late & (endsong["skipped"] == True)]  # noqa: E712
        assert set(true["reason_end"]) == {"fwdbtn", "backbtn", "endplay"}
        assert endsong[late & (endsong["reason_end"] == "endplay")]["skipped"].all()
        assert not endsong[late & (endsong["reason_end"] == "trackdone")]["skipped"].any()

    def test_reasons_are_those_that_spotify_gives(self, endsong):
        assert set(endsong["reason_end"]) == {
            "trackdone", "fwdbtn", "backbtn", "endplay", "logout", "unexpected-exit", "unexpected-exit-while-paused",
            "remote", "trackerror",
        }  # fmt: skip
        assert set(endsong["reason_start"]) == {"clickrow", "playbtn", "appload", "fwdbtn", "trackdone", "trackerror"}

    def test_the_reasons_count_what_happened(self, world, endsong):
        happened, songs = plays(world, "endsong"), endsong[endsong["master_metadata_track_name"].notna()]
        assert (songs["reason_end"] == "trackdone").sum() == (happened["ended"] == "complete").sum()
        skips, forward = (happened["kind"] == "skip").sum(), (songs["reason_end"] == "fwdbtn").sum()
        assert 0.9 * skips < forward < skips
        assert songs["reason_start"].isin(["clickrow", "playbtn"]).sum() == (happened["started"] == "chosen").sum()

    def test_the_time_of_being_offline_is_in_milliseconds_there_and_in_seconds_here(self, endsong, newer):
        old, new = endsong["offline_timestamp"].dropna(), pd.concat(newer.values())["offline_timestamp"].dropna()
        year = 2022
        assert {datetime.fromtimestamp(time / 1000, UTC).year for time in old} == {year}
        assert {datetime.fromtimestamp(time, UTC).year for time in new} == {year}
        assert endsong[endsong["offline"] == True]["offline_timestamp"].notna().all()  # noqa: E712
        assert endsong[endsong["offline"] == False]["offline_timestamp"].notna().any()  # noqa: E712

    def test_a_few_plays_are_incognito(self, world, endsong):
        hidden = plays(world, "endsong")["incognito"].sum()
        assert 0 < hidden == endsong["incognito_mode"].sum() < len(endsong) / 20

    def test_most_plays_are_in_the_listeners_country(self, world, endsong):
        home = world.listeners.set_index("name")["country"]
        assert 0.95 < (endsong["username"].map(home) == endsong["conn_country"]).mean() < 1

    def test_a_song_has_one_uri_and_no_two_share_it(self, endsong):
        songs = endsong[endsong["spotify_track_uri"].notna()]
        names = ["master_metadata_track_name", "master_metadata_album_artist_name"]
        assert songs["spotify_track_uri"].str.fullmatch(r"spotify:track:[0-9A-Za-z]{22}").all()
        assert songs["spotify_track_uri"].nunique() == len(songs.drop_duplicates(names))
        assert songs.groupby("spotify_track_uri")[names[0]].nunique().max() == 1


class TestListenBrainz:
    def test_listens_name_listener_song_and_how_long(self, world, listens):
        assert len(listens) == len(plays(world, "listenbrainz"))
        for row in listens:
            assert set(row) == {"user_name", "listened_at", "recording_msid", "track_metadata", "file"}
            assert {"artist_name", "track_name", "additional_info"} == set(row["track_metadata"])
            info = row["track_metadata"]["additional_info"]
            assert 0 <= info["duration_played"] <= info["duration_ms"] // 1000 == 200

    def test_they_begin_as_long_before_their_end_as_they_last(self, world, listens):
        happened = plays(world, "listenbrainz")
        name = world.listeners["name"].to_numpy()[happened["listener"]]
        ends = set(zip(name, happened["at_us"] // 1_000_000, strict=True))
        for row in listens:
            end = row["listened_at"] + row["track_metadata"]["additional_info"]["duration_played"]
            assert {(row["user_name"], end), (row["user_name"], end + 1)} & ends

    def test_they_lie_in_the_file_of_their_month_in_order(self, listens):
        for row in listens:
            began = datetime.fromtimestamp(row["listened_at"], UTC)
            assert row["file"] == f"listens/{began.year}/{began.month}.listens"
        by_file = pd.DataFrame(listens).groupby("file")["listened_at"]
        assert by_file.agg(lambda times: times.is_monotonic_increasing).all()

    def test_an_isrc_is_told_where_the_track_has_one(self, world, listens):
        known = world.songs.dropna(subset=["isrc"])
        isrcs = {(title.lower(), artist): isrc for title, artist, isrc in known[["title", "artist", "isrc"]].to_numpy()}
        told = 0
        for row in listens:
            about = row["track_metadata"]
            isrc = about["additional_info"].get("isrc")
            assert isrc == isrcs.get((about["track_name"].lower(), about["artist_name"]))
            told += isrc is not None
        assert 0 < told < len(listens)

    def test_reactions_are_scores_with_listener_song_and_time(self, world, feedback):
        said = world.events[world.events["kind"].isin(["like", "dislike"])]
        expected = [0 if np.isnan(value) else {"like": 1, "dislike": -1}[kind]
                    for kind, value in zip(said["kind"], said["value"], strict=True)]  # fmt: skip
        assert [row["score"] for row in feedback] == expected
        assert set(expected) == {1, 0, -1}
        assert [row["created"] for row in feedback] == (said["at_us"] // 1_000_000).tolist()
        names = world.listeners["name"].to_numpy()[said["listener"]]
        assert [row["user_name"] for row in feedback] == names.tolist()

    def test_the_number_of_a_reactions_song_is_that_of_its_listens(self, listens, feedback):
        numbers = {row["recording_msid"]: row["track_metadata"]["track_name"] for row in listens}
        assert all(numbers[row["recording_msid"]] == row["track_metadata"]["track_name"] for row in feedback)


class TestWriting:
    def test_a_newer_world_takes_the_place_of_an_older_one(self, world, written, tmp_path):
        folder = tmp_path / "world"
        write_world(simulate(tracks(), dataclasses.replace(PARAMS, seed=3, days=300)), folder)
        write_world(world, folder)
        assert files(folder) == files(written.folder)

    def test_a_write_that_fails_leaves_the_older_world_as_it_is(self, world, tmp_path, monkeypatch):
        folder = tmp_path / "world"
        write_world(world, folder)
        before = files(folder)

        def fails(*_, **__):
            raise OSError("no space left on device")

        monkeypatch.setattr(writing.listenbrainz, "feedback", fails)
        with pytest.raises(OSError, match="no space"):
            write_world(world, folder)
        assert files(folder) == before

    def test_what_is_no_world_is_not_written_over(self, world, tmp_path):
        (tmp_path / "thesis.txt").write_text("the only copy")
        with pytest.raises(FeedbackError, match=r"no made-up world .*Name another folder"):
            write_world(world, tmp_path)
        assert (tmp_path / "thesis.txt").read_text() == "the only copy"
