"""DVC's adapter against the real DVC, in scratch projects whose stages take no time."""

import hashlib
import shutil
import textwrap
from pathlib import Path

import pytest

from earmark.adapters import dvc, processes
from earmark.adapters.dvc import Stage, StageOutcome
from earmark.errors import ToolError
from scratch import MADE_COLLECTION, PIPELINE, git, scratch_project

MINE = Path("data/collections/mine")
ADDED = "data/collections/mine.dvc"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose pipeline has run and whose data is pushed; tests copy it or leave it as they found it."""
    root = scratch_project(tmp_path_factory.mktemp("built"))
    dvc.add(root, MINE)
    dvc.repro(root, on_line=_silently)
    dvc.push(root)
    git(root, "add", "dvc.lock", ADDED)
    git(root, "commit", "--quiet", "--message", "Built")
    return root


@pytest.fixture
def copied(built: Path, tmp_path: Path) -> Path:
    """A copy of `built`, to be changed; its remote is the same."""
    return Path(shutil.copytree(built, tmp_path / "copied"))


def _silently(line: str) -> None:
    pass


def bytes_below(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


class TestGraph:
    def test_every_stage_comes_after_all_that_it_needs(self, built):
        done: set[str] = set()
        for stage in dvc.graph(built):
            assert set(stage.needs) <= done
            done.add(stage.name)

    def test_it_names_the_added_data_and_all_stages_with_what_each_needs(self, built):
        assert {stage.name: set(stage.needs) for stage in dvc.graph(built)} == {
            ADDED: set(),
            "letters": {ADDED},
            "words": {"letters"},
            "count": {"words", "letters"},
        }

    def test_stages_are_the_graphs_names_in_the_graphs_order(self, built):
        assert dvc.stages(built) == [ADDED, "letters", "words", "count"]

    def test_a_stage_in_data_is_there_only_while_the_root_needs_what_it_makes(self, tmp_path):
        root = scratch_project(tmp_path)
        (root / "data" / "dvc.yaml").write_text(MADE_COLLECTION)
        dvc.add(root, MINE)
        assert dvc.stages(root) == [ADDED, "letters", "words", "count"]
        (root / "dvc.yaml").write_text(PIPELINE.replace("collections/mine", "collections/songbook"))
        assert dvc.graph(root)[0] == Stage("data/dvc.yaml:songbook", ())
        assert dvc.stages(root)[1:] == ["letters", "words", "count"]

    def test_some_stages_come_with_what_they_are_made_from_and_with_nothing_else(self, built):
        assert dvc.graph_of(built, "letters") == [ADDED, "letters"]
        assert dvc.graph_of(built, "words", "letters") == [ADDED, "letters", "words"]

    def test_of_what_makes_the_catalogue_nothing_comes_along(self, tmp_path):
        pipeline = """
        stages:
          duplicates: {cmd: 'true', deps: [data/collections/mine], outs: [duplicates]}
          validate: {cmd: 'true', deps: [data/collections/mine, duplicates], outs: [catalogue]}
          evidence:
            cmd: 'true'
            deps: [catalogue, duplicates, data/collections/mine, data/feedback/listening]
            outs: [evidence]
          targets: {cmd: 'true', deps: [evidence], outs: [targets]}
          tags: {cmd: 'true', deps: [targets], outs: [tags]}
        """
        root = scratch_project(tmp_path, pipeline=textwrap.dedent(pipeline))
        (root / "data/feedback/listening").mkdir(parents=True)
        for data in (MINE, Path("data/feedback/listening")):
            dvc.add(root, data)
        assert dvc.graph_of(root, "targets") == ["data/feedback/listening.dvc", "evidence", "targets"]

    def test_it_is_what_dvc_repro_itself_would_go_through(self, built):
        lines: list[str] = []
        dvc.repro(built, on_line=lines.append)
        said = [line.split("'")[1] for line in lines if "didn't change" in line]
        assert said == dvc.stages(built)

    @pytest.mark.parametrize(
        ("mistake", "named"),
        [
            ("stages: {a: {cmd: 'true', deps: [x], outs: [x]}}", "cycle|same|circular|dependency"),
            ("stages: [", "dvc.yaml"),
        ],
    )
    def test_a_pipeline_that_cannot_be_read_is_an_error_that_says_where(self, tmp_path, mistake, named):
        with pytest.raises(ToolError, match=named):
            dvc.graph(scratch_project(tmp_path, pipeline=mistake))


class TestRunStage:
    def test_a_stage_runs_then_is_skipped_and_after_a_change_back_comes_from_the_cache(self, tmp_path):
        root = scratch_project(tmp_path, pipeline="stages: {loud: {cmd: cp soft loud, deps: [soft], outs: [loud]}}")
        outcomes = []
        for content in ("do", "do", "re", "do"):
            (root / "soft").write_text(content)
            outcomes.append(dvc.run_stage(root, "loud"))
            assert (root / "loud").read_text() == content
        assert outcomes == [StageOutcome.RAN, StageOutcome.SKIPPED, StageOutcome.RAN, StageOutcome.CACHED]

    def test_force_runs_it_though_nothing_changed(self, copied):
        assert dvc.run_stage(copied, "count", force=True) is StageOutcome.RAN

    def test_it_finds_in_its_environment_what_it_is_given(self, tmp_path):
        pipeline = "stages: {tell: {cmd: 'echo $SAID > said', outs: [said]}}"
        root = scratch_project(tmp_path, pipeline=pipeline)
        dvc.run_stage(root, "tell", env={"SAID": "la"})
        assert (root / "said").read_text() == "la\n"

    def test_only_this_stage_runs_not_what_it_needs(self, copied):
        (copied / MINE / "a.txt").write_text("sol\n")
        assert dvc.run_stage(copied, "words") is StageOutcome.SKIPPED

    def test_a_stages_own_words_cannot_pass_for_dvcs(self, tmp_path):
        liar = 'stages: {liar: {cmd: "echo \\"Stage \'liar\' didn\'t change, skipping\\""}}'
        assert dvc.run_stage(scratch_project(tmp_path, pipeline=liar), "liar") is StageOutcome.RAN

    def test_the_lines_of_a_failing_stage_arrive_and_stand_in_the_error(self, tmp_path):
        root = scratch_project(tmp_path, pipeline="stages: {sour: {cmd: 'echo out of tune && exit 3'}}")
        lines: list[str] = []
        with pytest.raises(ToolError, match=r"repro --single-item sour` ended with exit code \d+(.|\n)*out of tune"):
            dvc.run_stage(root, "sour", on_line=lines.append)
        assert "out of tune" in lines

    @pytest.mark.timeout(120)
    def test_after_the_time_out_the_stage_is_gone_and_dvc_can_go_on(self, tmp_path):
        root = scratch_project(tmp_path, pipeline="stages: {long: {cmd: 'sleep 600 && touch late', outs: [late]}}")
        with pytest.raises(processes.TimedOut):
            dvc.run_stage(root, "long", timeout_s=4)
        (root / "dvc.yaml").write_text("stages: {long: {cmd: 'touch late', outs: [late]}}")
        assert dvc.run_stage(root, "long") is StageOutcome.RAN

    def test_an_unknown_stage_is_named(self, built):
        with pytest.raises(ToolError, match="nonsense"):
            dvc.run_stage(built, "nonsense")


class TestAdd:
    def test_the_collection_is_under_dvcs_care_and_out_of_gits(self, built):
        assert (built / ADDED).is_file()
        assert git(built, "status", "--porcelain", "--", "data") in ("", "?? data/collections/.gitignore")

    def test_what_is_not_there_is_named(self, built):
        with pytest.raises(ToolError, match="no-such-song"):
            dvc.add(built, Path("data/no-such-song"))

    def test_without_a_git_repository_the_remedy_is_git_init(self, tmp_path):
        root = scratch_project(tmp_path)
        shutil.rmtree(root / ".git")
        with pytest.raises(ToolError, match=r"not in a git repository(.|\n)*git init"):
            dvc.add(root, MINE)

    def test_a_project_that_chose_dvc_without_git_needs_none(self, tmp_path):
        root = scratch_project(tmp_path, config="[core]\n    no_scm = true\n    analytics = false\n")
        shutil.rmtree(root / ".git")
        dvc.add(root, MINE)
        assert (root / ADDED).is_file()

    def test_without_a_dvc_folder_the_remedy_is_dvc_init(self, tmp_path):
        with pytest.raises(ToolError, match=r"no \.dvc folder(.|\n)*dvc init"):
            dvc.add(tmp_path, MINE)


class TestPushAndPull:
    def test_lost_cache_and_lost_audio_come_back_byte_for_byte(self, copied):
        names = (str(MINE), "letters")
        before = [bytes_below(copied / name) for name in names] + [(copied / "count.txt").read_bytes()]
        shutil.rmtree(copied / ".dvc" / "cache")
        for name in names:
            shutil.rmtree(copied / name)
        (copied / "count.txt").unlink()
        dvc.pull(copied)
        assert [bytes_below(copied / name) for name in names] + [(copied / "count.txt").read_bytes()] == before
        assert dvc.run_stage(copied, "count") is StageOutcome.SKIPPED

    def test_a_fresh_clone_with_an_empty_remote_pulls_nothing_and_does_not_fail(self, built, tmp_path):
        git(tmp_path, "clone", "--quiet", str(built), "clone")
        config = tmp_path / "clone" / ".dvc" / "config"
        config.write_text(config.read_text().replace("/remote", "/empty"))
        dvc.pull(tmp_path / "clone")
        assert not (tmp_path / "clone" / MINE).exists()

    def test_data_that_nobody_saved_yet_is_left_as_it_is_and_what_is_missing_comes_all_the_same(self, copied):
        shutil.rmtree(copied / MINE)
        (copied / "count.txt").write_text("half writ")
        dvc.pull(copied)
        assert (copied / "count.txt").read_text() == "half writ"
        assert (copied / MINE / "a.txt").read_text() == "do\n"

    def test_a_new_version_recorded_by_a_colleague_replaces_the_old(self, copied, built):
        theirs = copied.with_name("theirs")
        shutil.copytree(copied, theirs)
        (theirs / MINE / "a.txt").write_text("fa\n")
        dvc.add(theirs, MINE)
        dvc.push(theirs)
        shutil.copy(theirs / ADDED, copied / ADDED)
        dvc.pull(copied)
        assert (copied / MINE / "a.txt").read_text() == "fa\n"


class TestDataHash:
    def test_of_a_stages_file_it_is_the_md5_of_its_bytes(self, built):
        assert dvc.data_hash(built, Path("words.txt")) == hashlib.md5(b"do\nre\n").hexdigest()

    def test_of_added_data_it_stands_in_its_dvc_file(self, built):
        assert dvc.data_hash(built, MINE) in (built / ADDED).read_text()
        assert dvc.data_hash(built, MINE) == dvc.data_hash(built, Path("letters"))  # the same names and bytes

    def test_what_was_never_recorded_is_an_error(self, built):
        with pytest.raises(ToolError, match="no hash for models/none"):
            dvc.data_hash(built, Path("models/none"))
