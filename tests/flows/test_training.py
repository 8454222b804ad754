"""The flow `training` on a real Prefect server: states, failures, time-outs, one run at a time, runs on schedule."""

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from flow_tools import Watched, running, runs_of, wait_for
from prefect import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId

from earmark.adapters.prefect import _make_limit
from scratch import git
from twice import twice_at_once

pytestmark = pytest.mark.long

ADDED = "data/collections/mine.dvc"


def run(training, root: Path, **parameters) -> Watched:
    """One run in this process, the registry left alone."""
    state = training.training(root=root, registry=False, push=False, pull=False, return_state=True, **parameters)
    return Watched(state.state_details.flow_run_id)


class TestStates:
    @pytest.fixture(scope="class")
    def runs(self, server, training, class_project) -> list[Watched]:
        """A first run, and a second after one of its results was lost."""
        first = run(training, class_project)
        (class_project / "words.txt").unlink()
        return [first, run(training, class_project)]

    def test_both_runs_complete(self, runs):
        assert [each.run.state_name for each in runs] == ["Completed", "Completed"]

    def test_at_first_every_stage_runs_and_the_added_data_is_only_looked_at(self, runs):
        assert runs[0].state_names() == {
            ADDED: "Skipped",
            "letters": "Completed",
            "words": "Completed",
            "count": "Completed",
        }

    def test_then_what_is_there_is_skipped_and_what_was_lost_comes_from_the_cache(self, runs):
        assert runs[1].state_names() == {ADDED: "Skipped", "letters": "Skipped", "words": "Cached", "count": "Skipped"}

    def test_the_server_knows_what_each_stage_waited_for(self, runs):
        tasks = runs[0].tasks
        names = {task.id: name for name, task in tasks.items()}
        waited_for = {
            name: {names[each.id] for each in task.task_inputs.get("wait_for", [])} for name, task in tasks.items()
        }
        assert waited_for == {ADDED: set(), "letters": {ADDED}, "words": {"letters"}, "count": {"words", "letters"}}

    def test_what_dvc_and_the_stages_say_is_in_the_runs_log(self, runs):
        log = wait_for(lambda: [line for line in runs[0].log() if line.startswith("> cat letters/a.txt")], 20)
        assert len(log) == 1

    def test_each_run_leaves_a_table_of_what_became_of_its_stages(self, runs):
        with get_client(sync_client=True) as client:
            mine = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[runs[1].run_id]))
            (artefact,) = client.read_artifacts(artifact_filter=mine)
        assert "| words | Cached |" in artefact.data
        assert "| letters | Skipped |" in artefact.data


def test_a_failing_stage_fails_the_run_with_its_last_words_and_later_stages_do_not_run(server, training, project):
    pipeline = (project / "dvc.yaml").read_text()
    (project / "dvc.yaml").write_text(pipeline.replace("cmd: cat", "cmd: echo the string broke && exit 3 # cat"))
    watched = run(training, project)
    assert watched.run.state_name == "Failed"
    assert "the string broke" in watched.run.state.message
    assert watched.state_names() == {ADDED: "Skipped", "letters": "Completed", "words": "Failed"}


def test_a_stage_that_takes_too_long_is_ended_and_fails_the_run(server, training, project):
    (project / "dvc.yaml").write_text("stages: {long: {cmd: 'exec sleep 86399'}}")
    watched = run(training, project, stage_timeout_hours=8 / 3600)
    assert watched.state_names() == {"long": "Failed"}
    assert "did not end within 8 s" in watched.run.state.message
    assert running("sleep 86399") == []


def test_two_runs_that_meet_at_a_new_limit_both_have_it(server):
    names = [f"limit-{number}" for number in range(20)]
    for name in names:
        twice_at_once(_make_limit, name)
    with get_client(sync_client=True) as client:
        assert {client.read_global_concurrency_limit_by_name(name).limit for name in names} == {1}


def test_two_runs_on_one_workspace_take_turns_as_a_whole(server, project):
    (project / "dvc.yaml").write_text(
        "stages:\n"
        "  one: {cmd: 'until [ -e a -a -e b ]; do sleep 0.1; done', deps: [data/collections/mine], outs: []}\n"
        "  two: {cmd: sleep 3}\n"
    )
    code = """
        import importlib.util, sys
        open(sys.argv[1], "w").close()
        spec = importlib.util.spec_from_file_location("training", "flows/training.py")
        training = importlib.util.module_from_spec(spec); spec.loader.exec_module(training)
        state = training.training(registry=False, push=False, pull=False, return_state=True)
        print(state.state_details.flow_run_id)
    """
    command = [sys.executable, "-c", textwrap.dedent(code)]
    both = [
        subprocess.Popen([*command, name], cwd=project, env={**os.environ, **server}, stdout=subprocess.PIPE)
        for name in "ab"
    ]
    runs = [Watched(each.communicate(timeout=540)[0].decode().split()[-1]) for each in both]
    assert [each.run.state_name for each in runs] == ["Completed", "Completed"]
    first, second = sorted(runs, key=lambda each: min(task.start_time for task in each.tasks.values()))
    assert max(task.end_time for task in first.tasks.values()) < min(task.start_time for task in second.tasks.values())
    assert second.run.start_time < max(task.end_time for task in first.tasks.values())  # they did meet


def test_a_scheduled_run_appears_by_itself_and_completes_and_the_schedule_outlives_its_server_process(server, project):
    code = """
        import importlib.util, sys
        sys.argv = ["training.py"]
        sys.path.insert(0, "flows")
        from training import training
        parameters = {"registry": False, "push": False, "pull": False}
        training.serve(name="often", interval=5, parameters=parameters, pause_on_shutdown=False, limit=1)
    """
    log = project / "serve.log"
    with log.open("wb") as file:
        command = [sys.executable, "-c", textwrap.dedent(code)]
        serving = subprocess.Popen(command, cwd=project, env={**os.environ, **server}, stdout=file, stderr=file)
    try:
        deployment = wait_for(lambda: deployment_named("training/often"), 240)
        assert deployment is not None, log.read_text()
        done = wait_for(lambda: [one for one in runs_of(deployment.id) if one.state_name == "Completed"], 300)
        assert done, log.read_text()
        assert done[0].auto_scheduled
        assert Watched(done[0].id).state_names() == dict.fromkeys([ADDED, "letters", "words", "count"], "Completed") | {
            ADDED: "Skipped"
        }
    finally:
        serving.send_signal(signal.SIGTERM)
        assert serving.wait(60) == 0
    (schedule,) = deployment_named("training/often").schedules
    assert schedule.active


def deployment_named(name: str):
    from prefect.exceptions import ObjectNotFound

    with get_client(sync_client=True) as client:
        try:
            return client.read_deployment_by_name(name)
        except ObjectNotFound:
            return None


class TestDeployment:
    def test_prefect_deploy_all_declares_it_for_a_work_pool_with_its_schedule(self, server, project):
        git(project, "add", "--all")
        prefect = str(Path(sys.executable).with_name("prefect"))
        for command in (["work-pool", "create", "training", "--type", "process"], ["--no-prompt", "deploy", "--all"]):
            done = subprocess.run(
                [prefect, *command],
                cwd=project,
                env={**os.environ, **server, "PWD": str(project)},
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, done.stdout + done.stderr
        deployment = deployment_named("training/nightly")
        assert deployment.work_pool_name == "training"
        assert deployment.entrypoint == "flows/training.py:training"
        assert [one.schedule.cron for one in deployment.schedules] == ["0 3 * * *"]
        hourly = deployment_named("feedback/hourly")
        assert hourly.entrypoint == "flows/feedback.py:feedback"
        assert [one.schedule.cron for one in hourly.schedules] == ["20 * * * *"]
        assert str(project) in str(deployment.pull_steps)
