"""Imports: all good recordings arrive, all bad ones are listed with reasons, whatever happens in between."""

import csv
import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest

from earmark.catalogue.imports import importing
from earmark.catalogue.imports.importing import import_collection
from earmark.catalogue.imports.inspecting import FINDING, inspect_all
from earmark.catalogue.imports.since import unlisted
from earmark.catalogue.imports.using import use, use_collection
from earmark.catalogue.sources.folder import FolderSource
from earmark.catalogue.sources.source import Candidate, Refusal
from earmark.catalogue.sources.table import TableSource
from earmark.catalogue.track import read_tracks
from earmark.errors import CatalogueError, ParamsError
from earmark.files import sha256_of
from earmark.params import load_params
from ending import all_end
from made_audio import FORMATS, encode_tone
from scratch import CHECKOUT

PARAMS_FILE = CHECKOUT / "params.yaml"
PARAMS = load_params(PARAMS_FILE)
ODD_NAMES = [
    "with space.mp3",
    'quo\'te "d".mp3',
    "Ωμέγα 音楽.mp3",
    "new\nline.mp3",
    "comma, semi;.mp3",
    "100%.mp3",
    "-rf.mp3",
]


@pytest.fixture(scope="module")
def song() -> bytes:
    return encode_tone("mp3", 3.5, tags={"artist": "Nina Simone", "title": "Tone"})


@pytest.fixture
def root(tmp_path) -> Path:
    """An empty project."""
    root = tmp_path / "project"
    root.mkdir()
    (root / "params.yaml").write_bytes(PARAMS_FILE.read_bytes())
    return root


@pytest.fixture
def music(tmp_path) -> Path:
    music = tmp_path / "music"
    music.mkdir()
    return music


def put(music: Path, files: dict[str, bytes]) -> None:
    for path, content in files.items():
        (music / path).parent.mkdir(parents=True, exist_ok=True)
        (music / path).write_bytes(content)


def run(music: Path, root: Path, **how):
    return import_collection(FolderSource(music), root, PARAMS, **{"processes": 1, **how})


def refused(root: Path, name: str = "music") -> dict[str, tuple[str, str]]:
    with (root / "data/collections" / name / "refused.csv").open(encoding="utf-8", newline="") as file:
        return {row["path"]: (row["kind"], row["reason"]) for row in csv.DictReader(file)}


def tracks(root: Path, name: str = "music") -> pd.DataFrame:
    return read_tracks(root / "data/collections" / name / "tracks.parquet").set_index("track_id")


def contents(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): sha256_of(path) for path in folder.rglob("*") if path.is_file()}


class TestAFolderOfGoodAndBad:
    @pytest.fixture(scope="class")
    def outcome(self, tmp_path_factory, recordings, song):
        tmp = tmp_path_factory.mktemp("import")
        root, music = tmp / "project", tmp / "music"
        root.mkdir()
        put(music, {f"good/{suffix}.{suffix}": content for suffix, content in recordings.items()})
        put(music, {f"odd/{name}": song for name in ODD_NAMES})
        Path(os.fsdecode(os.fsencode(music) + b"/odd/caf\xe9.mp3")).write_bytes(song)
        put(
            music,
            {f"cut/{suffix}.{suffix}": content[: len(content) // 2 + 1] for suffix, content in recordings.items()},
        )
        put(
            music,
            {
                "bad/text.mp3": b"These are the lyrics.\n" * 100,
                "bad/empty.flac": b"",
                "bad/short.wav": encode_tone("wav", 0.2),
                "bad/folder.wav/inside.txt": b"notes",
                "bad/cover.jpg": b"\xff\xd8\xff\xe0" + bytes(500),
                "bad/.hidden.mp3": song,
                "disguised/really_mp3.txt": song,
                "unlabelled.mp3": song,
            },
        )
        (music / "bad/broken.mp3").symlink_to("nowhere.mp3")
        before = contents(music)
        result = import_collection(FolderSource(music), root, PARAMS, processes=2)
        assert contents(music) == before
        return root, music, result

    def test_all_good_ones_arrive_byte_for_byte(self, outcome):
        root, music, result = outcome
        found = tracks(root)
        expected = {f"good/{suffix}.{suffix}" for suffix in FORMATS} | {f"odd/{name}" for name in ODD_NAMES}
        expected |= {"odd/caf\\xe9.mp3", "disguised/really_mp3.txt", "unlabelled.mp3"}
        assert set(found.index) == expected
        for track_id, row in found.iterrows():
            assert row["path"] == f"data/collections/music/audio/{track_id}"
            assert sha256_of(root / row["path"]) == row["content_hash"]
        for suffix in FORMATS:
            name = f"good/{suffix}.{suffix}"
            assert sha256_of(music / name) == found.loc[name, "content_hash"]
        assert len(result.taken) == len(expected)

    def test_all_bad_ones_are_listed_with_their_reasons(self, outcome):
        root, _, _ = outcome
        listed = refused(root)
        needles = {f"cut/{suffix}.{suffix}": ("refused", "cut off") for suffix in FORMATS}
        needles |= {
            "bad/text.mp3": ("refused", "text"),
            "bad/empty.flac": ("refused", "0 bytes"),
            "bad/short.wav": ("refused", "0.20 s"),
            "bad/folder.wav": ("refused", "folder"),
            "bad/folder.wav/inside.txt": ("ignored", "text"),
            "bad/cover.jpg": ("ignored", "JPEG"),
            "bad/.hidden.mp3": ("ignored", "hidden"),
            "bad/broken.mp3": ("refused", "broken link"),
        }
        assert set(listed) == set(needles)
        for path, (kind, needle) in needles.items():
            assert listed[path][0] == kind and needle in listed[path][1], (path, listed[path])

    def test_each_track_has_what_its_file_says(self, outcome):
        found = tracks(outcome[0])
        row = found.loc["odd/with space.mp3"]
        assert (row["artist"], row["title"], row["genre"], row["group"]) == (
            "Nina Simone", "Tone", "odd", "artist:nina simone",
        )  # fmt: skip
        assert row["duration_s"] == pytest.approx(3.5, abs=0.01)
        assert (row["codec"], row["sample_rate_hz"], row["channels"]) == ("mp3", 48_000, 2)
        assert found.loc["unlabelled.mp3", "genre"] is None or pd.isna(found.loc["unlabelled.mp3", "genre"])
        assert found.loc["good/wav.wav", "group"] == "track:good/wav.wav"

    def test_the_summary_says_how_many_of_what_and_what_next(self, outcome):
        root, _, result = outcome
        summary = result.summary()
        assert f"{len(tracks(root))} tracks taken" in summary
        assert "14  good" in summary and "(no genre)" in summary
        assert "refused.csv" in summary and "dvc repro" in summary
        assert "0.20 s" in summary
        assert "\n\n" not in summary

    def test_nothing_half_written_is_left(self, outcome):
        folder = outcome[2].folder
        assert sorted(path.name for path in folder.iterdir()) == ["audio", "refused.csv", "tracks.parquet"]
        assert len(list((folder / "audio").rglob("*.*"))) == len(tracks(outcome[0]))

    def test_the_number_of_processes_changes_nothing(self, outcome, tmp_path):
        _, music, result = outcome
        other = import_collection(FolderSource(music), tmp_path, PARAMS, processes=1)
        assert contents(other.folder) == contents(result.folder)


class TestAgain:
    def test_the_same_files_are_there_already(self, root, music, song):
        put(music, {"jazz/a.mp3": song, "rock/b.mp3": song})
        first = contents(run(music, root).folder)
        kept = (root / "data/collections/music/audio/jazz/a.mp3").stat().st_ino
        result = run(music, root)
        assert contents(result.folder) == first
        assert (root / "data/collections/music/audio/jazz/a.mp3").stat().st_ino == kept
        assert result.replaced == ()

    def test_another_folder_of_the_same_name_adds_to_it(self, root, music, song, tmp_path):
        put(music, {"jazz/a.mp3": song})
        put(tmp_path / "more", {"rock/b.mp3": encode_tone("mp3", 4.0), "rock/bad.mp3": b"text"})
        run(music, root)
        result = run(tmp_path / "more", root, name="music")
        assert set(tracks(root).index) == {"jazz/a.mp3", "rock/b.mp3"}
        assert "now holds 2 tracks" in result.summary()
        assert set(refused(root)) == {"rock/bad.mp3"}

    def test_a_changed_file_replaces_the_old_one_and_the_summary_says_so(self, root, music, song):
        put(music, {"jazz/a.mp3": song})
        run(music, root)
        changed = encode_tone("mp3", 5.0)
        put(music, {"jazz/a.mp3": changed})
        result = run(music, root)
        assert result.replaced == ("jazz/a.mp3",)
        assert "Replaced" in result.summary()
        assert tracks(root).loc["jazz/a.mp3", "duration_s"] == pytest.approx(5.0, abs=0.01)
        assert (root / "data/collections/music/audio/jazz/a.mp3").read_bytes() == changed

    def test_a_file_that_has_become_bad_leaves_the_good_copy(self, root, music, song):
        put(music, {"jazz/a.mp3": song})
        run(music, root)
        put(music, {"jazz/a.mp3": song[: len(song) // 2]})
        run(music, root)
        assert (root / "data/collections/music/audio/jazz/a.mp3").read_bytes() == song
        assert list(tracks(root).index) == ["jazz/a.mp3"]
        assert "cut off" in refused(root)["jazz/a.mp3"][1]

    def test_a_mended_file_is_refused_no_longer(self, root, music, song):
        put(music, {"jazz/a.mp3": song, "jazz/b.mp3": song[:9_000]})
        run(music, root)
        assert set(refused(root)) == {"jazz/b.mp3"}
        put(music, {"jazz/b.mp3": song})
        run(music, root)
        assert refused(root) == {}

    def test_a_folder_that_can_be_read_again_is_refused_no_longer(self, root, music, song):
        put(music, {"jazz/a.mp3": song, "rock/live/b.mp3": song[:9_000]})
        run(music, root)
        listed = root / "data/collections/music/refused.csv"
        with listed.open("a", encoding="utf-8") as file:
            file.write("jazz,refused,the folder cannot be read,folder\nsoul,refused,the folder cannot be read,folder\n")
        run(music, root)
        assert set(refused(root)) == {"rock/live/b.mp3", "soul"}

    @pytest.mark.parametrize("store", ["files", "outside"])
    def test_a_file_that_changed_just_after_it_was_looked_at_is_looked_at_again(
        self, root, music, song, store, monkeypatch
    ):
        put(music, {"jazz/a.mp3": song})
        changed = encode_tone("mp3", 5.0)

        def and_then_it_changes(*arguments, **how):
            for found in inspect_all(*arguments, **how):
                put(music, {"jazz/a.mp3": changed})
                yield found

        monkeypatch.setattr(importing, "inspect_all", and_then_it_changes)
        run(music, root, store=store)
        monkeypatch.undo()
        run(music, root, store=store)
        assert tracks(root).loc["jazz/a.mp3", "content_hash"] == hashlib.sha256(changed).hexdigest()

    def test_what_an_earlier_earmark_found_out_is_not_believed(self, root, music, song, monkeypatch):
        put(music, {"jazz/a.mp3": song})
        run(music, root)
        journal = root / ".earmark/imports/music.journal"
        journal.write_bytes(journal.read_bytes().replace(b'"measures": {', b'"measures": {"other": 1, '))
        monkeypatch.setattr("earmark.catalogue.imports.journal.FINDING", FINDING + 1)
        run(music, root)
        assert list(tracks(root).index) == ["jazz/a.mp3"]


class OtherSet(FolderSource):
    name = "other-set"


class TestWhatTheSourceNoLongerLists:
    def test_has_moved_where_its_content_is_under_another_name(self, root, music):
        put(music, {"pop/7.mp3": encode_tone("mp3", 3.5), "rock/1.mp3": encode_tone("mp3", 4.0)})
        run(music, root)
        before = tracks(root)
        (music / "pop/7.mp3").rename(music / "rock/was 7.mp3")
        result = run(music, root)
        after = tracks(root)
        assert dict(after["genre"]) == {"rock/1.mp3": "rock", "rock/was 7.mp3": "rock"}
        assert after.loc["rock/was 7.mp3", "group"] == before.loc["pop/7.mp3", "group"]  # and so its side of the split
        assert result.moved == {"pop/7.mp3": "rock/was 7.mp3"} and result.gone == ()
        assert "Moved: pop/7.mp3 → rock/was 7.mp3." in result.summary()
        assert set(contents(root / "data/collections/music/audio")) == {"rock/1.mp3", "rock/was 7.mp3"}

    def test_stays_and_is_named_until_the_user_wants_it_out(self, root, music, song):
        put(music, {"jazz/a.mp3": song, "rock/b.mp3": encode_tone("mp3", 4.0)})
        run(music, root)
        (music / "rock/b.mp3").unlink()
        kept = run(music, root)
        assert set(tracks(root).index) == {"jazz/a.mp3", "rock/b.mp3"}
        assert kept.gone == ("rock/b.mp3",) and "kept (--prune takes it out): rock/b.mp3." in kept.summary()
        pruned = run(music, root, prune=True)
        assert set(tracks(root).index) == {"jazz/a.mp3"}
        assert "Taken out, for it is no longer there: rock/b.mp3." in pruned.summary()
        assert set(contents(root / "data/collections/music/audio")) == {"jazz/a.mp3"}

    def test_of_another_source_stays_whatever_happens(self, root, music, song, tmp_path):
        put(music, {"jazz/a.mp3": song})
        run(music, root)
        put(tmp_path / "more", {"rock/b.mp3": song})
        result = import_collection(OtherSet(tmp_path / "more"), root, PARAMS, name="music", prune=True, processes=1)
        assert set(tracks(root).index) == {"jazz/a.mp3", "rock/b.mp3"}
        assert result.gone == () and not result.moved

    def test_is_not_gone_for_a_folder_that_cannot_be_read(self):
        rows = {"track_id": ["a/1", "b/c/2", "bc/3", "d/4", "e/5"], "source": ["folder"] * 4 + ["table"]}
        refusals = [Refusal("b", "refused", "the folder cannot be read"), Refusal("d/4", "refused", "cut off")]
        assert unlisted(pa.table(rows), "folder", [Candidate(Path("a/1"), "a/1")], refusals) == ["bc/3"]
        top = Refusal(".", "refused", "the folder cannot be read")
        assert unlisted(pa.table(rows), "folder", [], [top]) == []


class TestTheCollectionsFolder:
    @pytest.mark.parametrize("store", ["outside", "archives"])
    def test_holds_no_audio_twice_when_it_is_stored_otherwise(self, root, music, song, store):
        put(music, {"jazz/a.mp3": song, "jazz/b.mp3": encode_tone("mp3", 4.0)})
        run(music, root)
        put(music, {"jazz/b.mp3": encode_tone("mp3", 4.5)})
        run(music, root, store=store)
        named = {path.rpartition("::")[2] for path in tracks(root)["path"]}
        held = {path.relative_to(root).as_posix() for path in (root / "data/collections/music/audio").rglob("*.*")}
        assert held == {path for path in named if not Path(path).is_absolute()}

    def test_is_no_matter_for_git_before_the_first_copy(self, root, music, song, monkeypatch):
        ignored = root / "data/collections/.gitignore"
        put(root, {"data/collections/.gitignore": b"/songbook"})
        put(music, {"jazz/a.mp3": song})

        def look_first(*arguments, **how):
            assert ignored.read_text(encoding="utf-8") == "/songbook\n/music\n"
            return inspect_all(*arguments, **how)

        monkeypatch.setattr(importing, "inspect_all", look_first)
        run(music, root)
        run(music, root)
        assert ignored.read_text(encoding="utf-8") == "/songbook\n/music\n"


class TestSeveralSourcesInOneCollection:
    def test_a_line_of_a_table_is_refused_until_that_table_says_otherwise(self, root, music, song):
        put(music, {"a.mp3": song, "one.csv": b"path\na.mp3\nlate.mp3\n", "two.csv": b"path\na.mp3\ngone.mp3\n"})

        def refused_lines(table: str) -> set[str]:
            import_collection(TableSource(music / table), root, PARAMS, name="both", processes=1)
            return set(refused(root, "both"))

        assert refused_lines("one.csv") == {"one.csv:3"}
        assert refused_lines("two.csv") == {"one.csv:3", "two.csv:3"}
        put(music, {"late.mp3": song})
        assert refused_lines("one.csv") == {"two.csv:3"}


_SCRIPT = """
import sys
from pathlib import Path
from earmark.catalogue.imports.importing import import_collection
from earmark.catalogue.sources.folder import FolderSource
from earmark.params import load_params
root = Path(sys.argv[2])
if __name__ == "__main__":
    import_collection(FolderSource(Path(sys.argv[1])), root, load_params(root / "params.yaml"), processes=1)
"""


class TestInterrupted:
    @pytest.fixture
    def started(self, root, music, song):
        """An import under way in a process of its own, some files done and many left."""
        put(music, {f"{'jazz' if number % 2 else 'rock'}/{number:03}.mp3": song for number in range(80)})
        put(music, {"rock/bad.mp3": b"text"})
        process = subprocess.Popen(
            [sys.executable, "-c", _SCRIPT, str(music), str(root)],
            start_new_session=True,
            stderr=subprocess.PIPE,
            text=True,
        )
        journal = root / ".earmark/imports/music.journal"
        for _ in range(1_200):
            if journal.exists() and journal.read_text(encoding="utf-8").count("\t") >= 10:
                break
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.02)
        yield process
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stderr.close()

    def test_by_kill_9_the_next_run_completes_and_ends_the_same(self, started, root, music, tmp_path):
        os.killpg(started.pid, signal.SIGKILL)
        assert started.wait() == -signal.SIGKILL
        collection = root / "data/collections/music"
        assert not (collection / "tracks.parquet").exists()
        (collection / ".importing/half.part").write_bytes(b"half")  # as if killed within a copy
        run(music, root)
        clean = run(music, tmp_path / "clean")
        assert contents(collection) == contents(clean.folder)
        assert len(tracks(root)) == 80

    def test_by_ctrl_c_it_ends_soon_and_leaves_no_process(self, started, root):
        os.killpg(started.pid, signal.SIGINT)
        assert started.wait(timeout=20) != 0
        assert all_end(started.pid), "a process is left"
        assert not (root / "data/collections/music/tracks.parquet").exists()


class TestErrors:
    def test_no_recording_at_all_names_what_was_found(self, root, music):
        put(music, {"jazz/a.txt": b"text", "jazz/b.mp3": b"text"})
        with pytest.raises(CatalogueError, match=r"No recording.*b\.mp3.*text"):
            run(music, root)
        assert not (root / "data/collections/music").exists()

    def test_an_empty_folder_is_named_empty(self, root, music):
        with pytest.raises(CatalogueError, match="empty"):
            run(music, root)

    def test_one_genre_is_taken_with_a_warning(self, root, music, song):
        put(music, {"jazz/a.mp3": song})
        assert "two at least" in run(music, root).summary()

    def test_a_path_inside_the_collection_is_refused(self, root, music, song):
        put(music, {"jazz/a.mp3": song})
        run(music, root)
        with pytest.raises(CatalogueError, match="inside the collection"):
            run(root / "data/collections/music/audio", root, name="music")

    def test_a_path_that_holds_the_collection_is_refused(self, root):
        with pytest.raises(CatalogueError, match="its own copies"):
            run(root, root, name="x")

    @pytest.mark.parametrize("name", ["../x", "a/b", ".x", "a b", "", "songbook", "x.dvc", "-x", "x" * 201])
    def test_a_name_that_will_not_do_is_refused(self, root, music, song, name):
        put(music, {"jazz/a.mp3": song})
        if name == "":
            assert run(music, root, name=name).name == "music"  # none given: the folder's
            return
        with pytest.raises(CatalogueError, match="name"):
            run(music, root, name=name)


class TestUseCollection:
    def test_changes_that_line_and_the_feedbacks_alone(self, root):
        before = (root / "params.yaml").read_text(encoding="utf-8").splitlines()
        use_collection(root, "my-music")
        after = (root / "params.yaml").read_text(encoding="utf-8").splitlines()
        changed = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
        assert [old.split("#")[1] for old, _ in changed] == [new.split("#")[1] for _, new in changed]
        params = load_params(root / "params.yaml")
        assert (len(changed), params.catalogue.collection, params.feedback.snapshot) == (2, "my-music", "none")

    def test_the_snapshot_of_ones_own_store_stays_in_use(self, root):
        use(root, "feedback", "snapshot", "listening")
        for name in ("my-music", "songbook"):
            use_collection(root, name)
            assert load_params(root / "params.yaml").feedback.snapshot == "listening"

    @pytest.mark.parametrize(
        "name", ["2024", "true", "1e3", "音楽", "null", "a.b", "a-very-long-name-beyond-the-comment-column"]
    )
    def test_any_name_comes_back_as_it_is(self, root, name):
        use_collection(root, name)
        use_collection(root, name)
        assert load_params(root / "params.yaml").catalogue.collection == name
        use_collection(root, "songbook")
        assert load_params(root / "params.yaml") == PARAMS

    def test_without_the_line_it_says_what_to_write(self, root):
        (root / "params.yaml").write_text("split:\n  seed: 1\n", encoding="utf-8")
        with pytest.raises(ParamsError, match="collection: mine"):
            use_collection(root, "mine")
