"""Privacy: of a name, an address or a device no byte is kept; who is forgotten is gone, and stays away."""

import hashlib
import json
import random
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa

from earmark.errors import FeedbackError
from earmark.feedback import tables
from earmark.feedback.collecting import forget, readmit
from earmark.feedback.door import Importer
from earmark.feedback.event import About, Song
from earmark.feedback.identity import ListenerKey
from earmark.feedback.judged import Verdict
from earmark.feedback.report import summary
from earmark.feedback.snapshot import write_snapshot
from earmark.feedback.sources.spotify import SpotifyHistory
from earmark.feedback.sources.table import TableHistory
from earmark.feedback.store import Store
from earmark.feedback.tracks import Tracks
from exports_made import lay_out
from feedback_tools import (
    DAY_US,
    KEY,
    NOON_US,
    NOW_US,
    SECOND_US,
    Told,
    ToldOfNobody,
    column_of,
    held,
    importer,
    lenient,
    like,
    new_address,
    number_of,
    play,
    refusing,
    rows_of,
    take,
)
from postgresql_server import DATABASES
from scratch import CHECKOUT

# As in an export of 2022, everything that Spotify put into a row; SECRETS is what must not get any further.
ROW: dict[str, Any] = {
    "ts": "2022-03-04T05:06:07Z",
    "username": "wanda.kowalska-77",
    "platform": "Android OS 9 API 28 (samsung, SM-G960F)",
    "ms_played": 147_123,
    "conn_country": "GB",
    "ip_addr_decrypted": "92.40.248.131",
    "ip_addr": "2a02:c7f:1234::5",
    "user_agent_decrypted": "Mozilla%2F5.0%20(X11;%20Linux)%20Gecko",
    "city": "Sheffield-on-Sea",
    "region": "Yorkshire-and-beyond",
    "master_metadata_track_name": "Communication Breakdown",
    "master_metadata_album_artist_name": "Led Zeppelin",
    "master_metadata_album_album_name": "Led Zeppelin I",
    "spotify_track_uri": "spotify:track:2whQxHDxButA5STZ32FYme",
    "episode_name": None, "episode_show_name": None, "spotify_episode_uri": None,
    "reason_start": "clickrow", "reason_end": "trackdone", "shuffle": False, "skipped": None, "offline": False,
    "offline_timestamp": 1_646_370_367_123, "incognito_mode": False,
}  # fmt: skip
INCOGNITO = {
    **ROW, "incognito_mode": True, "master_metadata_track_name": "Embarrassing Anthem",
    "spotify_track_uri": "spotify:track:embarrassing", "ts": "2022-03-04T06:00:00Z",
}  # fmt: skip
PODCAST = {
    **ROW, "master_metadata_track_name": None, "spotify_track_uri": None, "episode_name": "My Divorce Podcast",
    "spotify_episode_uri": "spotify:episode:divorce",
}  # fmt: skip
BROKEN = {**ROW, "ms_played": "ten o'clock of wanda.kowalska-77"}
SECRETS = (
    "wanda",
    "kowalska",
    "92.40.248.131",
    "2a02:c7f",
    "SM-G960F",
    "samsung",
    "Android",
    "Mozilla",
    "Gecko",
    "Linux",
    "Sheffield",
    "Yorkshire",
    "Embarrassing",
    "Divorce",
)
OUTSIDE = ListenerKey(b"the key that lies outside the project")


def without(said: bytes, where: object) -> None:
    """No secret is in these bytes, in no letters and no plain hash."""
    small = said.lower()
    for secret in SECRETS:
        for form in (secret, quote(secret), secret.encode("utf-16-le").decode("latin-1")):
            assert form.lower().encode("latin-1") not in small, (secret, where)
    for name in ("wanda.kowalska-77", "spotify\0wanda.kowalska-77"):
        for kind in ("md5", "sha1", "sha256"):
            digest = hashlib.new(kind, name.encode()).digest()
            assert digest[:8] not in said and digest.hex()[:16].encode() not in small, (kind, where)
    assert OUTSIDE.secret not in said, where


def texts_of(folder: Path) -> Iterator[str]:
    """Everything that Parquet files hold, uncompressed."""
    for file in folder.rglob("*.parquet"):
        table = pq.read_table(file)
        yield f"{file} {table.schema.to_string(show_schema_metadata=True)} {table.to_pylist()}"


def everything(store: Store) -> str:
    """All that a database holds in whatever tables there are."""
    with store.engine.connect() as connection:
        names = sa.inspect(connection).get_table_names()
        return "".join(
            f"{name} {[tuple(row) for row in connection.exec_driver_sql(f'SELECT * FROM {name}')]}" for name in names
        )  # fmt: skip


@pytest.fixture(params=DATABASES)
def store(request, tmp_path):
    with Store(new_address(request, tmp_path)) as opened:
        yield opened


@pytest.fixture
def sqlite(tmp_path):
    with Store(f"sqlite:///{tmp_path}/feedback.db") as opened:
        yield opened


class TestOfARealLookingExport:
    @pytest.fixture
    def told(self, store, tmp_path) -> str:
        """What the import said, of a file with everything in it."""
        rows = [ROW, INCOGNITO, PODCAST, BROKEN, {**ROW, "ts": "2022-03-04T07:00:00Z", "reason_end": "fwdbtn"}]
        source = SpotifyHistory(lay_out(tmp_path / "export", {"MyData/endsong_0.json": rows}))
        refusals = tmp_path / "refused" / "rows.csv"
        result = importer(store, key=OUTSIDE).run(source, refusals)
        assert (result.told, dict(result.refused)) == (2, {"incognito": 1, "no song": 1, "ms_played": 1})
        return summary(result, source.describe(), refusals) + refusals.read_text()

    def test_no_secret_is_in_the_store_and_what_is_no_secret_is(self, store, told):
        said = everything(store)
        assert "Communication Breakdown" in said and "GB" in said
        without(said.encode(), "the store's rows")

    def test_no_secret_is_in_any_byte_of_the_databases_files_while_it_is_open_or_after(self, sqlite, tmp_path):
        rows = [ROW, INCOGNITO, {**ROW, "ts": "2022-03-05T05:06:07Z"}]
        source = SpotifyHistory(lay_out(tmp_path / "export", {"endsong_0.json": rows}))
        importer(sqlite, key=OUTSIDE).run(source, tmp_path / "r.csv")
        kinds = set()
        for moment in ("open", "closed"):
            files = [*tmp_path.glob("feedback.db*")]
            said = b"".join(file.read_bytes() for file in files)
            assert b"Communication Breakdown" in said  # so would a name be found
            without(said, (moment, files))
            kinds |= {file.name for file in files if file.stat().st_size}
            sqlite.close()
        assert {"feedback.db", "feedback.db-wal"} <= kinds

    def test_no_secret_is_in_the_snapshot_nor_in_what_is_told_of_the_import(self, store, told, tmp_path):
        write_snapshot(store, tmp_path / "snapshot")
        said = "".join(texts_of(tmp_path / "snapshot"))
        assert "Communication Breakdown" in said
        without(said.encode(), "the snapshot's columns")
        for file in (tmp_path / "snapshot").rglob("*"):
            without(file.read_bytes() if file.is_file() else b"", file)
        without(told.encode(), "the summary and the refused rows")

    def test_the_number_is_that_of_the_name_under_the_key_and_the_key_is_nowhere(self, store, told):
        assert set(column_of(store, "events", "listener_id")) == {OUTSIDE.id_of("spotify", "wanda.kowalska-77")}
        assert OUTSIDE.fingerprint in everything(store)
        assert OUTSIDE.secret.decode() not in everything(store)

    def test_with_the_key_lost_nothing_else_is(self, store, told, tmp_path):
        """A new key begins new listeners; what is there stays, and is snapshotted as before."""
        before = held(store)
        new = ListenerKey(b"made after the old one was lost")
        with pytest.raises(FeedbackError, match="--new-key"):
            store.use_key(new)
        store.use_key(new, renew=True)
        take(store, [play("wanda.kowalska-77")], key=new)
        assert set(before["events"]) < set(rows_of(store, "events"))
        assert len(set(column_of(store, "events", "listener_id"))) == 2
        assert write_snapshot(store, tmp_path / "s").days == 2


class TestForgetting:
    def test_removes_all_that_the_listener_did_and_nothing_of_anybody_else(self, store):
        others = [play("bob"), like("bob"), play("bob", NOON_US - DAY_US, about=About(50))]
        take(store, others)
        expected = held(store)
        mine = [play("ann", about=About(34, "f")), like("ann"), play("ann", NOON_US - 3 * DAY_US, 1)]
        take(store, mine, judge=refusing("plays", 0, suite="listening", rule="busy"))
        said = forget(store, KEY, "ann", NOW_US)
        assert said.startswith("Removed from the store: 3 events on 3 days. From now on imports refuse")
        found = held(store)
        assert {name: rows for name, rows in found.items() if name in ("events", "listeners")} == {
            name: rows for name, rows in expected.items() if name in ("events", "listeners")
        }
        assert {who for _, who, _ in found["flags"]} == {number_of("bob")}  # whose day was judged with hers
        assert number_of("ann") not in [row[0] for row in found["listeners"]]

    def test_finds_the_name_whoever_gave_it_at_whatever_service(self, store, tmp_path):
        spotify = SpotifyHistory(lay_out(tmp_path / "e", {"endsong_0.json": [{**ROW, "username": "ann"}]}))
        importer(store).run(spotify, tmp_path / "r.csv")
        take(store, [play("ann"), play("bob")])
        take(store, [play(None, number=2)], listener="ann")
        assert len(set(column_of(store, "events", "listener_id"))) == 4
        assert forget(store, KEY, "ann", NOW_US).startswith("Removed from the store: 3 events on 2 days.")
        assert column_of(store, "events", "listener_id") == [number_of("bob")]

    def test_takes_names_to_the_letter(self, store):
        take(store, [play("ann")])
        for name in ("Ann", "ann ", "an", "radio\0ann"):
            assert "nothing by that listener" in forget(store, KEY, name, NOW_US)
        assert len(rows_of(store, "events")) == 1

    @pytest.mark.parametrize("known_before", [True, False])
    def test_keeps_the_listener_away_from_every_service_also_one_that_nothing_came_from_yet(
        self, store, tmp_path, known_before
    ):
        if known_before:
            take(store, [play("ann")])
        forget(store, KEY, "ann", NOW_US)
        lay_out(tmp_path / "t", {"plays.csv": "listener,time,title,artist\nann,2024-05-06T07:08:09Z,T,A\nbob,,T,A\n"})
        for service in ("brand-new", "other"):
            result = importer(store).run(TableHistory(tmp_path / "t", service=service), tmp_path / "r.csv")
            assert (result.told, dict(result.refused)) == (1, {"the listener was forgotten": 1})
        result = take(store, [play("ann"), play(None)], source=ToldOfNobody)
        assert result.refused == {"the listener was forgotten": 1}
        assert take(store, [play(None, number=7)], listener="ann").refused == {"the listener was forgotten": 1}
        everybody = {0, number_of("bob", "brand-new"), number_of("bob", "other")}
        assert set(column_of(store, "events", "listener_id")) == everybody

    def test_keeps_away_an_export_that_names_the_listener_though_it_is_given_as_somebody_elses(self, store):
        forget(store, KEY, "ann", NOW_US)
        assert take(store, [play("ann")], listener="a friend").refused == {"the listener was forgotten": 1}
        assert rows_of(store, "events") == []

    def test_leaves_no_byte_of_the_events_in_the_database_file(self, sqlite, tmp_path):
        take(sqlite, [play("ann", NOON_US + n * SECOND_US, n) for n in range(300)] + [play("bob", NOON_US)])
        numbers = [row[1].to_bytes(8, "big") for row in rows_of(sqlite, "events") if row[3] == number_of("ann")]

        def left() -> int:
            said = b"".join(file.read_bytes() for file in tmp_path.glob("feedback.db*"))
            return sum(number in said for number in numbers)

        assert left() == 300  # so they would be found
        forget(sqlite, KEY, "ann", NOW_US)
        assert left() == 0
        assert len(rows_of(sqlite, "events")) == 1

    def test_leaves_none_where_the_database_has_moved_rows_about(self, sqlite, tmp_path):
        """As it does when many listeners' rows lie between each other; then `secure_delete` alone leaves some."""
        drawn = random.Random(1)
        for _ in range(6):
            take(sqlite, [
                play(
                    f"listener {drawn.randrange(4)}", NOON_US - drawn.randrange(40) * DAY_US + drawn.randrange(10**9),
                    drawn.randrange(300), started=drawn.choice([None, "chosen"]),
                )
                for _ in range(5_000)
            ])  # fmt: skip
        mine = number_of("listener 1")
        numbers = [row[1].to_bytes(8, "big") for row in rows_of(sqlite, "events") if row[3] == mine]
        forget(sqlite, KEY, "listener 1", NOW_US)
        said = b"".join(file.read_bytes() for file in tmp_path.glob("feedback.db*"))
        assert sum(number in said for number in numbers) == 0 < len(numbers)
        assert said.count(mine.to_bytes(8, "big")) == 1  # that it is forgotten

    def test_says_so_while_somebody_elses_reading_keeps_bytes_in_the_log_and_not_afterwards(
        self, tmp_path, monkeypatch
    ):
        monkeypatch.setattr(tables, "_BUSY_MS", 100)
        with Store(f"sqlite:///{tmp_path}/feedback.db") as store:
            take(store, [play("ann"), play("bob")])
            reader = sqlite3.connect(tmp_path / "feedback.db", isolation_level=None)
            reader.execute("BEGIN")
            assert reader.execute("SELECT COUNT(*) FROM events").fetchone() == (2,)
            assert "bytes of what was removed may still stand" in forget(store, KEY, "ann", NOW_US)
            reader.close()
            assert "bytes of what was removed" not in forget(store, KEY, "ann", NOW_US)

    def test_takes_no_event_of_a_service_whose_first_import_is_running(self, store):
        """The store cannot tell yet which number the listener would have there."""

        def forgets(suite: str, table: Any) -> list[Verdict]:
            if suite == "events" and not rows_of(store, "forgotten"):
                with Store(str(store.engine.url)) as other:
                    forget(other, KEY, "ann", NOW_US)
            return []

        with pytest.raises(FeedbackError, match=r"was forgotten\. The same command again"):
            take(store, [play("bob"), play("ann")], judge=forgets)
        result = take(store, [play("bob"), play("ann")], judge=forgets)
        assert (result.new, dict(result.refused)) == (1, {"the listener was forgotten": 1})

    def test_removes_what_came_from_a_new_service_while_it_was_looking(self, store, monkeypatch):
        services = Store.services

        def and_then_an_import(self: Store) -> list[str]:
            monkeypatch.setattr(Store, "services", services)
            found = services(self)
            take(self, [play("bob"), play("ann")])
            return found

        monkeypatch.setattr(Store, "services", and_then_an_import)
        assert forget(store, KEY, "ann", NOW_US).startswith("Removed from the store: 1 event on 1 day.")
        assert column_of(store, "events", "listener_id") == [number_of("bob")]

    def test_leaves_no_trace_in_the_next_snapshot(self, store, tmp_path):
        take(store, [play("ann", about=About(34)), play("bob"), play("ann", NOON_US - DAY_US), like("ann")])
        busy = refusing("plays", 0, suite="listening", rule="busy")
        take(store, [play("ann"), play("bob", number=2)], judge=busy)
        write_snapshot(store, tmp_path / "s")
        assert str(number_of("ann")) in "".join(texts_of(tmp_path / "s"))
        forget(store, KEY, "ann", NOW_US)
        write_snapshot(store, tmp_path / "s")
        said = "".join(texts_of(tmp_path / "s"))
        assert str(number_of("ann")) not in said and str(number_of("bob")) in said
        assert json.loads((tmp_path / "s" / "snapshot.json").read_text())["store"] == store.name

    def test_twice_removes_nothing_more(self, store):
        take(store, [play("ann")])
        forget(store, KEY, "ann", NOW_US)
        versions = store.day_versions()
        assert "nothing by that listener" in forget(store, KEY, "ann", NOW_US + 1)
        assert store.day_versions() == versions

    def test_is_undone_for_imports_but_brings_nothing_back(self, store):
        take(store, [play("ann")])
        assert readmit(store, KEY, "ann") == "That listener was not forgotten."
        forget(store, KEY, "ann", NOW_US)
        assert "--again" in readmit(store, KEY, "ann")
        assert rows_of(store, "events") == rows_of(store, "forgotten") == []
        assert take(store, [play("ann")], again=True).new == 1
        assert take(store, [play("ann", song=Song("fm", "1", "T", "A"))]).new == 1

    def test_finds_under_a_former_key_what_was_imported_under_it(self, store):
        take(store, [play("ann"), play("bob")])
        new = ListenerKey(b"because the old one got about")
        store.use_key(new, renew=True)
        Importer(store, new, lenient, NOW_US, Tracks()).run(
            Told(CHECKOUT / "params.yaml", ((play("ann"),),)), Path("r")
        )
        for key, left in ((new, {number_of("ann"), number_of("bob")}), (KEY, {number_of("bob")})):
            said = forget(store, key, "ann", NOW_US)
            assert said.startswith("Removed from the store: 1 event on 1 day.") and "the store has had others" in said
            assert set(column_of(store, "events", "listener_id")) == left
        store.use_key(new)  # with which imports go on

    def test_with_another_key_is_an_error_and_changes_nothing(self, store):
        take(store, [play("ann")])
        before = held(store)
        for act in (lambda key: forget(store, key, "ann", NOW_US), lambda key: readmit(store, key, "ann")):
            with pytest.raises(FeedbackError, match="Put the old key back"):
                act(ListenerKey(b"quite another key"))
        assert held(store) == before
