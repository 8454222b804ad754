"""`earmark feedback` as people type it, in a project with real git and DVC."""

import json
import re
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml
from click.testing import CliRunner, Result

from earmark.cli import main
from earmark.feedback.identity import KEY, ListenerKey
from earmark.feedback.tables import ADDRESS
from exports_made import lay_out
from scratch import CHECKOUT, git, scratch_project

LISTENING = Path("data/feedback/listening")
SECRET = "only the command's tests know this"


@pytest.fixture(autouse=True)
def environment(tmp_path, monkeypatch) -> None:
    """A user with a key in the environment, no store of a team's, and no settings of anybody real."""
    monkeypatch.setenv(KEY, SECRET)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "settings"))
    monkeypatch.delenv(ADDRESS, raising=False)


def new_project(folder: Path) -> Path:
    root = scratch_project(folder)
    shutil.copy(CHECKOUT / "expectations.yaml", root)
    (root / ".gitignore").write_text("feedback.db*\n.earmark/\n")
    git(root, "add", "--all", ":!data")
    git(root, "commit", "--quiet", "--message", "Rules")
    return root


@pytest.fixture
def root(tmp_path) -> Path:
    return new_project(tmp_path)


def earmark(root: Path, *words: object, code: int = 0) -> str:
    """Run the command; what it said."""
    result: Result = CliRunner().invoke(main, ["--root", str(root), "feedback", *map(str, words)])
    assert result.exit_code == code, result.output + str(result.exception)
    assert "Traceback" not in result.output
    return result.output


def play(day: int, **other: Any) -> dict[str, Any]:
    """A row of Spotify's extended history."""
    return {
        "ts": f"2024-05-{day:02d}T20:34:47Z", "username": "wanda", "ms_played": 100_000, "conn_country": "GB",
        "ip_addr_decrypted": "92.40.248.131", "master_metadata_track_name": f"Title {day}",
        "master_metadata_album_artist_name": "Artist", "master_metadata_album_album_name": "Album",
        "spotify_track_uri": f"spotify:track:{day}", "reason_start": "clickrow", "reason_end": "trackdone",
        "incognito_mode": False, **other,
    }  # fmt: skip


def export(folder: Path, *days: int, **other: Any) -> Path:
    return lay_out(folder, {"endsong_0.json": [play(day, **other) for day in days]})


def numbers(said: str) -> dict[str, int]:
    """What the summary counts: rows, taken and refused, new and there already."""
    (head,) = re.findall(r"([\d,]+) rows? in [\d,]+ files?; ([\d,]+) taken, ([\d,]+) refused", said)
    (new,), (known,) = re.findall(r"([\d,]+)  events are new", said), re.findall(r"([\d,]+)  events were there", said)
    found = [int(text.replace(",", "")) for text in (*head, new, known)]
    return dict(zip(("rows", "taken", "refused", "new", "known"), found, strict=True))


def stored(root: Path) -> list[tuple[Any, ...]]:
    """All events, asked of the file itself."""
    connection = sqlite3.connect(root / "feedback.db")
    try:
        return connection.execute("SELECT * FROM events ORDER BY day, event_id").fetchall()
    finally:
        connection.close()


def number_of(name: str, service: str = "spotify") -> int:
    return ListenerKey(SECRET.encode()).id_of(service, name)


class TestImporting:
    def test_says_what_it_did_in_numbers_that_add_up(self, root, tmp_path):
        rows = [play(1), play(2), play(3, incognito_mode=True), play(4, ms_played=-1), play(2)]
        said = earmark(root, "import", "spotify", lay_out(tmp_path / "e", {"endsong_0.json": rows}))
        assert numbers(said) == {"rows": 5, "taken": 3, "refused": 2, "new": 2, "known": 1}
        assert "1  rows refused: incognito" in said and "1  rows refused: sane_duration" in said
        assert "0 of 3 events are of tracks of the catalogue" in said
        assert len(stored(root)) == 2
        (refusals,) = re.findall(r"Every refused row with its reason: (\S+)", said)
        told = (root / refusals).read_text().splitlines()
        assert told[0] == "where,reason" and len(told) == 3
        assert any(line.startswith("endsong_0.json:[3],sane_duration: it sounded") for line in told)

    def test_of_the_same_file_a_second_time_adds_nothing(self, root, tmp_path):
        path = export(tmp_path / "e", 1, 2, 3)
        assert numbers(earmark(root, "import", "spotify", path))["new"] == 3
        before = stored(root)
        assert "its file was imported before; nothing is new" in earmark(root, "import", "spotify", path)
        again = numbers(earmark(root, "import", "spotify", path, "--again"))
        assert (again["new"], again["known"]) == (0, 3)
        assert stored(root) == before

    def test_of_an_overlapping_one_adds_the_rest(self, root, tmp_path):
        earmark(root, "import", "spotify", export(tmp_path / "a", 1, 2, 3))
        second = numbers(earmark(root, "import", "spotify", export(tmp_path / "b", 2, 3, 4, 5)))
        assert (second["new"], second["known"]) == (2, 2)
        assert len(stored(root)) == 5

    def test_keeps_the_refused_rows_of_each_though_several_come_within_a_second(self, root, tmp_path):
        for day in range(4):
            earmark(root, "import", "spotify", export(tmp_path / str(day), day + 1, ms_played=-1), code=8)
        told = [file.read_text().splitlines()[1:] for file in (root / ".earmark" / "refused").iterdir()]
        assert [len(lines) for lines in told] == [1, 1, 1, 1]

    def test_of_a_whole_folder_passes_over_the_files_that_it_knows(self, root, tmp_path):
        rows = {f"endsong_{n}.json": [play(n + 1)] for n in range(3)}
        earmark(root, "import", "spotify", lay_out(tmp_path / "a", {"endsong_0.json": rows["endsong_0.json"]}))
        said = earmark(root, "import", "spotify", lay_out(tmp_path / "b", rows))
        assert "Imported before: 1 file." in said and numbers(said)["new"] == 2

    def test_of_which_no_row_is_taken_ends_as_bad_input_does_and_asks_for_the_format(self, root, tmp_path):
        path = lay_out(tmp_path / "t", {"likes.csv": "song_id,event\n1,loved by me\n2,loved by you\n"})
        said = earmark(root, "import", "table", path, "--listener", "wanda", code=8)
        assert "2 rows in 1 file; 0 taken, 2 refused" in said and "another source's format?" in said
        assert "Next:" not in said
        earmark(root, "forget", "wanda")
        said = earmark(root, "import", "spotify", export(tmp_path / "e", 1))  # a forgotten listener's is as wanted
        assert "0 taken, 1 refused" in said and "format?" not in said and "Next:" in said

    def test_says_nothing_of_the_listener_anywhere(self, root, tmp_path):
        said = earmark(root, "import", "spotify", export(tmp_path / "e", 1, 2, ms_played="wanda"), code=8)
        said += earmark(root, "import", "spotify", export(tmp_path / "f", 1, 2)) + earmark(root, "status")
        said += "".join(file.read_text() for file in (root / ".earmark" / "refused").iterdir())
        assert "wanda" not in said and "92.40" not in said and str(number_of("wanda")) not in said
        for file in root.glob("feedback.db*"):
            assert b"wanda" not in file.read_bytes() and b"92.40" not in file.read_bytes()

    def test_of_an_export_that_names_nobody_asks_whose_it_is(self, root, tmp_path):
        path = export(tmp_path / "e", 1, 2, username=None)
        assert "--listener NAME" in earmark(root, "import", "spotify", path, code=8)
        assert stored(root) == []
        assert numbers(earmark(root, "import", "spotify", path, "--listener", "wanda"))["new"] == 2
        assert {row[3] for row in stored(root)} == {number_of("wanda", "")}
        assert "The name in --listener NAME is empty" in earmark(
            root, "import", "spotify", path, "--listener", "", code=8
        )

    def test_offers_to_name_the_listener_only_where_the_rows_do_not(self, root, tmp_path):
        assert "--listener" in earmark(root, "import", "spotify", "--help")
        assert "--listener" not in earmark(root, "import", "taste-profile", "--help")
        path = lay_out(tmp_path / "e", {"train_triplets.txt": "somebody\tSOAKIMP12A8C130995\t1\n"})
        said = earmark(root, "import", "taste-profile", path, "--listener", "wanda", code=8)
        assert "name their listeners" in said

    @pytest.mark.parametrize(
        "files, said",
        [
            ({"StreamingHistory0.json": []}, "holds no Streaming_History_Audio_"),
            ({"holiday.jpg": b"\xff\xd8"}, "Found: holiday.jpg"),
            ({"endsong_0.json": '{"an": "object"}'}, "does not begin as a JSON array"),
            ({"endsong_0.json": b"PK\x03\x04 cut off"}, "archive|JSON array"),
        ],
    )
    def test_of_a_wrong_file_is_an_error_that_says_what_was_found(self, root, tmp_path, files, said):
        assert re.search(said, earmark(root, "import", "spotify", lay_out(tmp_path / "e", files), code=8))
        assert stored(root) == []

    def test_of_nothing_at_all_is_one_too(self, root, tmp_path):
        assert "cannot be read" in earmark(root, "import", "spotify", tmp_path / "nowhere", code=8)
        assert "No such command" in earmark(root, "import", "gramophone", tmp_path, code=2)
        assert "Missing argument" in earmark(root, "import", "spotify", code=2)

    def test_after_a_file_that_was_cut_off_the_whole_one_adds_the_rest(self, root, tmp_path):
        whole = json.dumps([play(day) for day in range(1, 20)])
        said = earmark(root, "import", "spotify", lay_out(tmp_path / "a", {"endsong_0.json": whole[: len(whole) // 2]}))
        first = numbers(said)
        assert 0 < first["new"] < 19 and first["refused"] >= 1
        second = numbers(earmark(root, "import", "spotify", lay_out(tmp_path / "b", {"endsong_0.json": whole})))
        assert second["new"] + first["new"] == 19 == len(stored(root))

    def test_by_rules_that_are_out_of_order_stores_nothing(self, root, tmp_path):
        rules = (root / "expectations.yaml").read_text()
        (root / "expectations.yaml").write_text(rules.replace("column: played_hours", "column: played_years"))
        assert "sane_duration" in earmark(root, "import", "spotify", export(tmp_path / "e", 1), code=2)
        assert not (root / "feedback.db").exists()

    def test_outside_a_project_says_so(self, tmp_path):
        (tmp_path / "empty").mkdir()
        assert "No params.yaml" in earmark(tmp_path / "empty", "import", "spotify", tmp_path, code=1)

    @pytest.mark.parametrize("url, said", [("nonsense", ADDRESS), ("postgresql://a:secret@127.0.0.1:1/b", "refused")])
    def test_into_a_store_that_cannot_be_had_is_an_error_without_the_password(
        self, root, tmp_path, monkeypatch, url, said
    ):
        monkeypatch.setenv(ADDRESS, url)
        output = earmark(root, "import", "spotify", export(tmp_path / "e", 1), code=8)
        assert said in output and "secret" not in output

    def test_as_a_process_of_its_own_ends_with_the_same_code(self, root, tmp_path):
        command = [Path(sys.executable).parent / "earmark", "--root", root, "feedback", "import", "spotify"]
        done = subprocess.run([*command, tmp_path / "nowhere"], capture_output=True, text=True)
        assert done.returncode == 8 and done.stderr.startswith("earmark: ") and done.stdout == ""


class TestTheKey:
    def test_is_made_outside_the_project_when_the_first_export_comes(self, root, tmp_path, monkeypatch):
        monkeypatch.delenv(KEY)
        earmark(root, "import", "spotify", export(tmp_path / "e", 1))
        path = tmp_path / "settings" / "earmark" / "listener.key"
        secret = path.read_text().strip()
        assert path.stat().st_mode & 0o777 == 0o600 and root not in path.parents
        for file in root.rglob("*"):
            if file.is_file() and ".git/" not in str(file):
                assert secret.encode() not in file.read_bytes(), file
        assert {row[3] for row in stored(root)} == {ListenerKey(secret.encode()).id_of("spotify", "wanda")}
        assert not (tmp_path / "home").exists()

    def test_that_cannot_be_kept_stops_the_import_before_anything_is_stored(self, root, tmp_path, monkeypatch):
        monkeypatch.delenv(KEY)
        (tmp_path / "settings").write_text("in the way")
        said = earmark(root, "import", "spotify", export(tmp_path / "e", 1), code=8)
        assert KEY in said and "cannot be read or made" in said
        assert stored(root) == []

    def test_that_is_too_short_does_too(self, root, tmp_path, monkeypatch):
        monkeypatch.setenv(KEY, "hush")
        assert "at least 16" in earmark(root, "import", "spotify", export(tmp_path / "e", 1), code=8)
        assert stored(root) == []

    def test_that_is_another_one_stops_the_import_until_it_is_wanted(self, root, tmp_path, monkeypatch):
        earmark(root, "import", "spotify", export(tmp_path / "a", 1))
        monkeypatch.setenv(KEY, "a key of quite another kind")
        newer = export(tmp_path / "b", 2)
        assert "--new-key" in earmark(root, "import", "spotify", newer, code=8)
        assert len(stored(root)) == 1
        assert numbers(earmark(root, "import", "spotify", newer, "--new-key"))["new"] == 1
        assert len({row[3] for row in stored(root)}) == 2
        newest = export(tmp_path / "c", 3)
        assert numbers(earmark(root, "import", "spotify", newest))["new"] == 1  # it is the store's now
        monkeypatch.setenv(KEY, "a key that this store never had")
        assert "Put the old key back" in earmark(root, "forget", "wanda", code=8)
        monkeypatch.setenv(KEY, SECRET)  # one that it had finds what came under it
        assert "Removed from the store: 1 event on 1 day." in earmark(root, "forget", "wanda")
        assert len(stored(root)) == 2 and number_of("wanda") not in {row[3] for row in stored(root)}


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with two people's plays on four days, snapshotted, and committed twice."""
    folder = tmp_path_factory.mktemp("grown")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(KEY, SECRET)
        patch.delenv(ADDRESS, raising=False)
        root = new_project(folder)
        earmark(root, "import", "spotify", export(folder / "w", 1, 2))
        earmark(root, "snapshot")
        git(root, "add", "--all", ":!data/collections")
        git(root, "commit", "--quiet", "--message", "First snapshot")
        earmark(root, "import", "spotify", export(folder / "b", 2, 3, 4, username="bob"))
        earmark(root, "snapshot")
        git(root, "add", "--all", ":!data/collections")
        git(root, "commit", "--quiet", "--message", "Second snapshot")
    return root


@pytest.fixture
def copied(grown, tmp_path) -> Path:
    return Path(shutil.copytree(grown, tmp_path / "copied"))


def listeners_of(folder: Path) -> set[int]:
    files = folder.rglob("events/**/*.parquet")
    return {number for file in files for number in pq.read_table(file)["listener_id"].to_pylist()}


class TestTheSnapshot:
    def test_is_written_by_day_handed_to_dvc_and_made_the_one_in_use(self, grown):
        days = sorted(file.name for file in (grown / LISTENING).rglob("events/**/*.parquet"))
        assert days == [f"2024-05-0{day}.parquet" for day in (1, 2, 3, 4)]
        assert listeners_of(grown / LISTENING) == {number_of("wanda"), number_of("bob")}
        record = yaml.safe_load((grown / f"{LISTENING}.dvc").read_text())["outs"][0]
        assert record["path"] == "listening" and record["nfiles"] == 4 + 4
        assert yaml.safe_load((grown / "params.yaml").read_text())["feedback"]["snapshot"] == "listening"
        assert git(grown, "status", "--porcelain", "--", "data/feedback", "params.yaml") == ""
        assert "listening" in (grown / LISTENING.parent / ".gitignore").read_text()

    def test_of_the_same_store_says_that_nothing_changed_and_leaves_the_record_as_it_is(self, copied):
        record = (copied / f"{LISTENING}.dvc").read_text()
        assert "4 days, 0 files new or changed, 0 gone" in earmark(copied, "snapshot")
        assert (copied / f"{LISTENING}.dvc").read_text() == record

    def test_of_a_new_day_adds_that_days_file_to_the_cache_and_not_the_others(self, copied, tmp_path):
        def cached() -> set[str]:
            return {file.name for file in (copied / ".dvc/cache/files").rglob("*") if file.is_file()}

        before = cached()
        earmark(copied, "import", "spotify", export(tmp_path / "n", 9, username="bob"))
        assert "lacks changes of 1 day:" in earmark(copied, "status")
        assert "5 days, 2 files new or changed, 0 gone" in earmark(copied, "snapshot")
        assert "has all" in earmark(copied, "status")
        # The day, its song, the manifest and the folder's list.
        assert len(cached() - before) == 4 and before <= cached()

    def test_of_a_store_that_never_had_anything_is_an_error_and_takes_nothing_away(self, copied, tmp_path, monkeypatch):
        def kept() -> dict[Path, bytes]:
            files = [*(copied / "data/feedback").rglob("*"), copied / "params.yaml"]
            return {file: file.read_bytes() for file in files if file.is_file()}

        before = kept()
        monkeypatch.setenv(ADDRESS, f"sqlite:///{tmp_path}/another.db")
        said = earmark(copied, "snapshot", code=8)
        assert "another.db" in said and "earmark feedback import" in said and ADDRESS in said
        assert kept() == before

    def test_of_a_store_from_which_all_was_forgotten_is_written_without_them(self, copied):
        earmark(copied, "forget", "wanda")
        earmark(copied, "forget", "bob")
        assert "0 days" in earmark(copied, "snapshot")
        assert listeners_of(copied / LISTENING) == set()

    def test_needs_a_project_of_dvcs(self, root):
        shutil.rmtree(root / ".dvc")
        assert "dvc init" in earmark(root, "snapshot", code=7)


class TestForgetting:
    def test_removes_from_store_and_next_snapshot_and_says_what_old_versions_hold(self, copied):
        said = earmark(copied, "forget", "wanda")
        assert "Removed from the store: 2 events on 2 days." in said
        log = git(copied, "log", "--format=%h", "--", f"{LISTENING}.dvc").split()
        assert len(log) == 2
        assert f"2 commits, {log[1][:7]}" in said and f"to {log[0][:7]}" in said
        assert "`dvc repro`, commit, then `dvc gc --workspace --cloud`" in said and "wanda" not in said
        assert {row[3] for row in stored(copied)} == {number_of("bob")}
        assert "lacks changes of 2 days" in earmark(copied, "status")
        assert "3 days, 2 files new or changed, 1 gone" in earmark(copied, "snapshot")
        assert listeners_of(copied / LISTENING) == {number_of("bob")}
        assert self.in_cache(copied, number_of("wanda"))  # as was said
        git(copied, "add", "--all", ":!data/collections")
        git(copied, "commit", "--quiet", "--message", "Without")
        subprocess.run(
            [Path(sys.executable).parent / "dvc", "gc", "--workspace", "--force"], cwd=copied, check=True,
            capture_output=True,
        )  # fmt: skip
        assert not self.in_cache(copied, number_of("wanda")) and self.in_cache(copied, number_of("bob"))

    @staticmethod
    def in_cache(root: Path, listener: int) -> bool:
        """Whether a file in DVC's cache has the listener in it."""
        for file in (root / ".dvc/cache/files").rglob("*"):
            if file.is_file() and file.read_bytes()[:4] == b"PAR1":
                table = pq.read_table(file)
                if "listener_id" in table.column_names and listener in table["listener_id"].to_pylist():
                    return True
        return False

    def test_looks_for_old_versions_on_other_branches_too(self, copied):
        git(copied, "checkout", "--quiet", "--orphan", "anew")
        git(copied, "rm", "--quiet", "--cached", f"{LISTENING}.dvc")
        git(copied, "commit", "--quiet", "--message", "Begun again")
        assert "2 commits, " in earmark(copied, "forget", "nobody")

    def test_before_any_snapshot_was_committed_says_that_none_holds_anything(self, root, tmp_path):
        earmark(root, "import", "spotify", export(tmp_path / "e", 1))
        assert "No commit holds a snapshot of feedback yet" in earmark(root, "forget", "wanda")
        assert stored(root) == []

    def test_keeps_the_listener_away_until_it_is_undone(self, root, tmp_path):
        path = export(tmp_path / "e", 1, 2)
        assert "nothing by that listener" in earmark(root, "forget", "wanda")
        said = earmark(root, "import", "spotify", path)
        assert numbers(said)["refused"] == 2 and "2  rows refused: the listener was forgotten" in said
        assert "--again" in earmark(root, "forget", "wanda", "--undo")
        assert "was not forgotten" in earmark(root, "forget", "wanda", "--undo")
        assert numbers(earmark(root, "import", "spotify", path, "--again"))["new"] == 2

    def test_needs_a_name(self, root):
        assert "Missing argument" in earmark(root, "forget", code=2)
        for words in ([""], [" "], ["", "--undo"]):
            assert "LISTENER is empty" in earmark(root, "forget", *words, code=8)


class TestStatus:
    def test_of_an_empty_store_is_nothing(self, root):
        said = earmark(root, "status")
        assert "0 events of 0 listeners with 0 songs on 0 days" in said and "The snapshot has all" in said

    def test_counts_what_is_there_and_what_the_snapshot_lacks(self, root, tmp_path):
        earmark(root, "import", "spotify", export(tmp_path / "e", 1, 2, 3))
        said = earmark(root, "status")
        assert "3 events of 1 listener with 3 songs on 3 days" in said and "lacks changes of 3 days" in said
        earmark(root, "forget", "wanda")
        assert "0 events of 0 listeners with 3 songs on 0 days" in earmark(root, "status")

    def test_needs_no_key(self, root, monkeypatch, tmp_path):
        monkeypatch.delenv(KEY)
        earmark(root, "status")
        assert not (tmp_path / "settings").exists()
