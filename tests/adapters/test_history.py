"""`earmark catalogue log` and `diff` against real git and DVC, in scratch projects."""

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from earmark.adapters import dvc
from earmark.catalogue.track import Track, write_tracks
from earmark.cli import main
from scratch import CONFIG, git, scratch_project

MINE = Path("data/collections/mine")
WITHOUT_REMOTE = CONFIG.split("['remote")[0].replace("remote = storage\n", "")


def track(track_id: str, content: str = "", **fields) -> Track:
    return Track(
        track_id=track_id,
        path=f"{MINE}/audio/{track_id}",
        content_hash=content or f"hash of {track_id}",
        duration_s=3.0,
        sample_rate_hz=44_100,
        channels=2,
        codec="mp3",
        source="folder",
        group=track_id,
        **{"genre": track_id.partition("/")[0], **fields},
    )


FIRST = [track("rock/a.mp3", artist="Ann", title="One"), track("rock/b.mp3"), track("rock/c.mp3")]
SECOND = [FIRST[0], track("rock/b.mp3", genre="pop", tags=("calm",)), track("jazz/d.mp3"), track("jazz/e.mp3")]
THIRD = [track("jazz/a.mp3", FIRST[0].content_hash, artist="Ann", title="One"), *SECOND[1:]]
WORKSPACE = [*THIRD, track("jazz/f.mp3")]


def commit(root: Path, subject: str) -> None:
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message", subject)
    git(root, "tag", subject.split()[0].lower())


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three versions, a commit between that has nothing to do with them, and a change not yet added."""
    root = scratch_project(tmp_path_factory.mktemp("grown"), config=WITHOUT_REMOTE)
    git(root, "tag", "nothing")
    for subject, tracks in (("First import", FIRST), ("Second week", SECOND), ("Third, tidied", THIRD)):
        write_tracks(tracks, root / MINE / "tracks.parquet")
        dvc.add(root, MINE)
        commit(root, subject)
        (root / "notes.txt").write_text(subject)
        commit(root, f"Notes-{subject.split()[0]} of the import")
    write_tracks(WORKSPACE, root / MINE / "tracks.parquet")
    return root


@pytest.fixture
def copied(grown: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(grown, tmp_path / "copied"))


def earmark(root: Path, *arguments: str) -> Result:
    command, *rest = arguments
    named = [] if "--collection" in rest else ["--collection", "mine"]
    return CliRunner().invoke(main, ["--root", str(root), "catalogue", command, *named, *rest])


def changes(root: Path, *arguments: str) -> list[dict]:
    result = earmark(root, "diff", "--json", *arguments)
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.output.splitlines()]


def short(found: list[dict]) -> set[tuple[str, str]]:
    return {(change["change"], change["track_id"]) for change in found}


class TestLog:
    def test_each_commit_that_changed_the_collection_has_a_line_newest_first(self, grown):
        result = earmark(grown, "log")
        assert result.exit_code == 0, result.output
        lines = result.output.splitlines()
        assert [line.split("A Test: ")[1] for line in lines] == ["Third, tidied", "Second week", "First import"]
        for tag, line, counted in zip(
            ("third,", "second", "first"), lines,
            ("+0 −0 ~1 4 tracks", "+2 −1 ~1 4 tracks", "+3 −0 ~0 3 tracks"), strict=True,
        ):  # fmt: skip
            assert line.startswith(git(grown, "rev-parse", tag)[:7])
            assert git(grown, "log", "-1", "--format=%as", tag) in line
            assert counted in " ".join(line.split())

    def test_as_json_it_counts_what_moved_apart(self, grown):
        lines = [json.loads(line) for line in earmark(grown, "log", "--json").output.splitlines()]
        assert [line["commit"] for line in lines] == [git(grown, "rev-parse", t) for t in ("third,", "second", "first")]
        counted = [[line[name] for name in ("came", "went", "moved", "changed", "total")] for line in lines]
        assert counted == [[0, 0, 1, 0, 4], [2, 1, 0, 1, 4], [3, 0, 0, 0, 3]]

    def test_a_version_that_is_nowhere_has_a_line_that_says_so_and_the_others_stay(self, copied):
        lose(copied, "second")
        lines = earmark(copied, "log").output.splitlines()
        assert ["cannot be had" in line for line in lines] == [True, True, False]
        assert "4 tracks" in lines[0]
        problem = json.loads(earmark(copied, "log", "--json").output.splitlines()[1])["problem"]
        assert "nowhere" in problem and "dvc push --all-commits" in problem

    def test_after_a_merge_the_change_stands_once_where_it_was_made(self, copied):
        git(copied, "switch", "--quiet", "-c", "side", "second")
        shutil.rmtree(copied / MINE)
        git(copied, "switch", "--quiet", "-c", "work", "nothing")
        git(copied, "merge", "--quiet", "--no-ff", "-m", "Merged", "side")
        subjects = [line.split("A Test: ")[1] for line in earmark(copied, "log").output.splitlines()]
        assert subjects == ["Second week", "First import"]

    def test_a_collection_that_was_never_committed_is_an_error_that_lists_those_there_are(self, grown):
        result = earmark(grown, "log", "--collection", "yours")
        assert result.exit_code == 4
        assert "'yours'" in result.output and "mine" in result.output and "Traceback" not in result.output

    def test_without_a_name_it_is_the_collection_in_params_yaml(self, copied):
        params = (copied / "params.yaml").read_text()
        (copied / "params.yaml").write_text(params.replace("collection: songbook", "collection: mine"))
        result = CliRunner().invoke(main, ["--root", str(copied), "catalogue", "log"])
        assert len(result.output.splitlines()) == 3


class TestDiff:
    def test_by_default_it_is_from_head_to_the_workspace(self, grown):
        assert short(changes(grown)) == {("came", "jazz/f.mp3")}

    def test_with_one_revision_it_is_from_there_to_the_workspace(self, grown):
        assert short(changes(grown, "second")) == {("came", "jazz/f.mp3"), ("moved", "jazz/a.mp3")}

    def test_between_two_revisions_each_change_has_its_old_and_new_values(self, grown):
        found = changes(grown, "first", "second")
        assert short(found) == {
            ("came", "jazz/d.mp3"), ("came", "jazz/e.mp3"), ("went", "rock/c.mp3"), ("changed", "rock/b.mp3"),
        }  # fmt: skip
        (changed,) = [each["fields"] for each in found if each["change"] == "changed"]
        assert changed == {"genre": {"old": "rock", "new": "pop"}, "tags": {"old": [], "new": ["calm"]}}

    def test_a_collection_that_did_not_exist_then_counts_as_empty(self, grown):
        assert short(changes(grown, "nothing", "first")) == {("came", each.track_id) for each in FIRST}
        assert short(changes(grown, "first", "nothing")) == {("went", each.track_id) for each in FIRST}

    def test_for_people_it_says_which_collection_and_versions_and_names_old_and_new(self, grown):
        text = earmark(grown, "diff", "first", "third,").output
        first = git(grown, "rev-parse", "first")[:7]
        assert text.startswith(f"mine: first ({first}) → third, (")
        for said in (
            "3 tracks → 4 tracks", "+2 came, −1 went, 1 moved, ~1 changed", "rock/a.mp3 → jazz/a.mp3", "− rock/c.mp3",
            "genre: rock → pop", "tags: [] → [calm]",
        ):  # fmt: skip
            assert said in text

    def test_nothing_changed_is_said(self, grown):
        assert "no difference" in earmark(grown, "diff", "first", "notes-first").output

    def test_only_the_first_are_shown_and_all_on_demand(self, copied):
        write_tracks([*THIRD, *(track(f"new/{n:02d}.mp3") for n in range(14))], copied / MINE / "tracks.parquet")
        text = earmark(copied, "diff").output
        assert "new/09.mp3" in text and "new/10.mp3" not in text and "4 more; --all" in text
        assert all(f"new/{n:02d}.mp3" in earmark(copied, "diff", "--all").output for n in range(14))

    def test_a_name_that_would_disturb_the_terminal_is_written_with_escapes(self, copied):
        write_tracks([*THIRD, track("new/\x1b[2J.mp3")], copied / MINE / "tracks.parquet")
        assert "\\x1b[2J" in earmark(copied, "diff").output and "\x1b" not in earmark(copied, "diff").output


def lose(root: Path, tag: str) -> None:
    """Remove a version from the cache."""
    from json import loads

    digest = dvc.recorded_hash(MINE, lambda file: git(root, "show", f"{tag}:{file}") if file.suffix == ".dvc" else "")
    listed = root / ".dvc/cache/files/md5" / digest[:2] / digest[2:]
    (tracks,) = [each["md5"] for each in loads(listed.read_text()) if each["relpath"] == "tracks.parquet"]
    (listed.parents[1] / tracks[:2] / tracks[2:]).unlink()
    listed.unlink()


class TestWhereTheDataIs:
    def test_what_the_cache_lost_comes_from_todays_remote_though_then_there_was_none(self, copied, tmp_path):
        (copied / ".dvc/config").write_text(CONFIG.replace("../remote", str(tmp_path / "remote")))
        before = changes(copied, "first", "second")
        (copied / ".dvc/cache").rename(tmp_path / "remote")  # both are laid out alike
        assert changes(copied, "first", "second") == before

    def test_data_that_is_nowhere_is_an_error_that_says_where_it_was_sought(self, copied):
        lose(copied, "first")
        result = earmark(copied, "diff", "first", "second")
        assert result.exit_code == 7
        assert "neither in DVC's cache nor on its remote" in result.output and "Traceback" not in result.output

    def test_a_workspace_without_its_data_is_an_error_with_the_command_that_brings_it(self, copied):
        shutil.rmtree(copied / MINE)
        result = earmark(copied, "diff")
        assert result.exit_code == 7 and f"dvc checkout {MINE}" in result.output

    def test_the_project_may_lie_in_a_folder_of_the_repository(self, tmp_path):
        root = scratch_project(tmp_path / "house")
        shutil.rmtree(root / ".git")
        git(tmp_path / "house", "init", "--quiet")
        write_tracks(FIRST, root / MINE / "tracks.parquet")
        dvc.add(root, MINE)
        git(tmp_path / "house", "add", "project")
        git(tmp_path / "house", "commit", "--quiet", "--message", "In a house")
        write_tracks(SECOND, root / MINE / "tracks.parquet")
        assert ("went", "rock/c.mp3") in short(changes(root))
        assert "In a house" in earmark(root, "log").output


class TestErrors:
    def test_outside_a_git_repository_it_says_so(self, copied):
        shutil.rmtree(copied / ".git")
        for command in ("log", "diff"):
            result = earmark(copied, command)
            assert result.exit_code == 7 and "not in a git repository" in result.output

    @pytest.mark.parametrize("revision", ["nowhere", "--all-of-it", "first:notes.txt", "0" * 40])
    def test_an_unknown_revision_is_named(self, grown, revision):
        result = earmark(grown, "diff", "--", "first", revision)
        assert result.exit_code == 7 and revision in result.output and "Traceback" not in result.output

    def test_without_any_commit_it_says_so(self, tmp_path):
        root = scratch_project(tmp_path)
        shutil.rmtree(root / ".git")
        git(root, "init", "--quiet")
        result = earmark(root, "diff")
        assert result.exit_code == 7 and "no commit yet" in result.output

    def test_a_record_that_cannot_be_read_is_named_with_its_commit(self, copied):
        (copied / f"{MINE}.dvc").write_text("<<<<<<< HEAD\nouts: [\n")
        commit(copied, "Conflict committed")
        result = earmark(copied, "diff", "HEAD")
        assert result.exit_code == 7 and "git show" in result.output
