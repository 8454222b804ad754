"""A rollout with MLflow's own registry and a service that is a real HTTP server; only its traffic is made up."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from registry_tools import VERSION, alias, aliases, asking, params_of, tags_of
from rollout_tools import Service, Traffic, happened, serving

from earmark.adapters import canary
from earmark.adapters.rollout import checked_steps, rollout, status, step_of
from earmark.cli import main
from earmark.errors import GateError, ParamsError, RegistryError, ToolError

OLD, NEW = VERSION["guess"], VERSION["good"]
STEPS = [0.1, 0.5, 1.0]


def params(**changes: Any) -> Any:
    found = params_of()
    told = {"steps": STEPS, "min_requests": 50, "max_error_share": 0.02, "max_disagreement": 0.3, **changes}
    return replace(found, rollout=replace(found.rollout, **told))


@pytest.fixture
def project(root: Path) -> Path:
    """`guess` is champion, `good` the challenger, and the gates have found it better."""
    alias(root, champion="guess", challenger="good")
    for tag, value in {
        "verdict": "promote",
        "verdict.reason": "Version 2 is better than version 1.",
        "verdict.compared_with": "version 1",
        "verdict.gates": '[{"name": "gain", "passed": true, "found": "a", "needed": "b", "why": "c"}]',
    }.items():
        asking(root).set_model_version_tag("earmark", NEW, tag, value)
    return root


@pytest.fixture
def service(project: Path) -> Service:
    return Service(project, Traffic())


@pytest.fixture
def address(service: Service) -> Iterator[str]:
    with serving(service) as address:
        yield address


class Rolling:
    """Calls `rollout` with a clock that only sleeping moves, and keeps what it says."""

    def __init__(self, root: Path, address: str) -> None:
        self.root, self.address = root, address
        self.said: list[str] = []
        self.now = 0.0
        self.at: dict[int, Callable[[], None]] = {}  # what happens at the nth sleep
        self.slept = 0

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.slept += 1
        assert self.slept < 500, self.said
        self.at.get(self.slept, lambda: None)()

    def __call__(self, version: str | None = None, **told: Any) -> Any:
        told = {"params": params(), "services": [self.address], **told}
        return rollout(
            told.pop("params"),
            self.root,
            version,
            say=self.said.append,
            sleep=self.sleep,
            clock=lambda: self.now,
            **told,
        )

    @property
    def text(self) -> str:
        return "\n".join(self.said)


@pytest.fixture
def roll(project: Path, address: str) -> Rolling:
    return Rolling(project, address)


def is_back(root: Path) -> bool:
    """Whether the champion answers everything, and nothing of a canary is left."""
    found = aliases(root)
    return (found["champion"], found.get("canary")) == (OLD, None) and "canary.share" not in tags_of(root, "good")


class TestHappyPath:
    def test_it_goes_through_all_steps_and_is_promoted(self, roll: Rolling, service: Service, project: Path) -> None:
        done = roll()
        assert (done.version, done.before) == (NEW, OLD)
        assert service.shares == STEPS
        assert aliases(project) == {"champion": NEW, "previous": OLD, "challenger": NEW}
        assert "canary.share" not in tags_of(project, "good")
        assert [gate.name for gate in done.gates] == ["live_errors", "live_latency", "live_disagreement"]
        assert all(gate.passed for gate in done.gates)

    def test_the_promotion_is_the_registrys_own(self, roll: Rolling, project: Path) -> None:
        roll(by="Ada")
        told = happened(project, NEW)
        assert [event.what for event in told] == ["canary", "canary", "canary", "promoted"]
        assert (told[-1].because, told[-1].other, told[-1].by) == ("Version 2 is better than version 1.", OLD, "Ada")
        assert (project / "models/champion/champion.json").is_file()

    def test_each_step_waits_until_enough_requests_were_answered(self, roll: Rolling, service: Service) -> None:
        service.traffic.requests = 40
        roll()
        # 40 requests a reading: 4, 20 and 40 of them are the newcomer's, and 50 are needed.
        assert service.readings >= 13 + 3 + 2
        assert "Step 1 of 3" in roll.text and "Step 3 of 3" in roll.text

    def test_a_service_that_is_started_again_meanwhile_changes_nothing(self, roll: Rolling, service: Service) -> None:
        service.traffic.requests = 40
        roll.at = {4: service.start_again, 9: service.start_again}
        assert roll().version == NEW

    def test_a_service_that_is_away_for_a_while_is_waited_for(self, roll: Rolling, service: Service) -> None:
        service.traffic.requests = 40
        roll.at = {2: lambda: setattr(service, "down", True), 6: lambda: setattr(service, "down", False)}
        assert roll().version == NEW
        assert "does not tell its metrics" in roll.text and "tells its metrics again" in roll.text

    def test_a_key_is_sent_where_one_is_given(self, roll: Rolling, service: Service) -> None:
        roll(key="earmark_k")
        assert set(service.keys) == {"Bearer earmark_k"}

    def test_without_a_recorded_verdict_the_gates_are_asked_first(self, roll: Rolling, project: Path) -> None:
        for tag in ("verdict", "verdict.compared_with", "verdict.gates", "verdict.reason"):
            asking(project).delete_model_version_tag("earmark", NEW, tag)
        roll()
        assert tags_of(project, "good")["verdict"] == "promote"
        assert "is better than version 1" in str(happened(project, NEW)[-1].because)

    def test_the_champion_is_not_rolled_out_again(self, roll: Rolling, project: Path) -> None:
        done = roll("champion")
        assert done.version == done.before == OLD and "champion already" in roll.text


class TestGoingBack:
    @pytest.mark.parametrize(
        ("change", "gate"),
        [
            (lambda traffic: traffic.errors.update(canary=0.1), "live_errors"),
            (lambda traffic: traffic.seconds.update(canary=0.7), "live_latency"),
            (lambda traffic: setattr(traffic, "disagreement", 0.5), "live_disagreement"),
        ],
    )
    def test_each_gate_sends_it_back(
        self, roll: Rolling, service: Service, project: Path, change: Callable[[Traffic], None], gate: str
    ) -> None:
        change(service.traffic)
        with pytest.raises(GateError, match=gate):
            roll()
        assert is_back(project)
        last = happened(project, NEW)[-1]
        assert last.what == "canary stopped" and gate in str(last.because)
        assert service.shares == [0.1]

    def test_too_many_errors_send_it_back_before_the_step_is_over(self, roll: Rolling, service: Service) -> None:
        service.traffic.errors["canary"] = 1.0
        with pytest.raises(GateError, match="live_errors"):
            roll(params=params(min_requests=10_000))
        assert roll.slept <= 3

    def test_errors_that_the_champion_has_too_do_not(self, roll: Rolling, service: Service) -> None:
        service.traffic.errors.update(champion=0.2, canary=0.2)
        assert roll().version == NEW

    def test_trouble_at_a_later_step_sends_it_back_as_well(
        self, roll: Rolling, service: Service, project: Path
    ) -> None:
        def break_at_half() -> None:
            if service.shares[-1] == 0.5:
                service.traffic.errors["canary"] = 0.3

        service.traffic.requests = 40
        roll.at = dict.fromkeys(range(1, 100), break_at_half)
        with pytest.raises(GateError, match="live_errors"):
            roll()
        assert is_back(project) and service.shares == [0.1, 0.5]

    def test_ctrl_c_puts_the_champion_back(self, roll: Rolling, service: Service, project: Path) -> None:
        def press() -> None:
            raise KeyboardInterrupt

        service.traffic.requests, roll.at = 0, {3: press}
        with pytest.raises(KeyboardInterrupt):
            roll()
        assert is_back(project)
        assert "somebody stopped" in str(happened(project, NEW)[-1].because)

    def test_whatever_else_goes_wrong_does_so_too(self, roll: Rolling, service: Service, project: Path) -> None:
        def fail() -> None:
            raise ZeroDivisionError("a mistake")

        service.traffic.requests, roll.at = 0, {3: fail}
        with pytest.raises(ZeroDivisionError):
            roll()
        assert is_back(project) and "a mistake" in str(happened(project, NEW)[-1].because)

    def test_a_version_that_no_service_takes_up_goes_back(self, roll: Rolling, service: Service, project: Path) -> None:
        service.traffic.takes_up = False
        with pytest.raises(GateError, match="no service has taken it up"):
            roll()
        assert is_back(project) and roll.now < 90

    def test_a_new_champion_meanwhile_ends_it(self, roll: Rolling, service: Service, project: Path) -> None:
        service.traffic.requests, roll.at = 0, {3: lambda: alias(project, champion="many")}
        with pytest.raises(GateError, match="meanwhile version 3 is champion"):
            roll()
        assert aliases(project)["champion"] == VERSION["many"] and "canary" not in aliases(project)

    def test_somebody_who_stops_it_elsewhere_is_heeded(self, roll: Rolling, service: Service, project: Path) -> None:
        service.traffic.requests = 0
        roll.at = {3: lambda: canary.stop(params(), project, why="enough") and None}
        with pytest.raises(GateError, match="somebody stopped"):
            roll()
        assert is_back(project) and happened(project, NEW)[-1].because == "enough"


class TestWaiting:
    def test_without_traffic_it_says_that_it_waits(self, roll: Rolling, service: Service) -> None:
        service.traffic.requests = 0
        with pytest.raises(GateError, match="when there is traffic"):
            roll(timeout_s=100.0)
        assert roll.text.count("no requests come in; waiting") == 1

    def test_traffic_of_which_nothing_is_its_own_is_told_apart(self, roll: Rolling, service: Service) -> None:
        service.traffic.requests = 4  # a tenth of them is none
        with pytest.raises(GateError):
            roll(timeout_s=100.0)
        assert "no request falls into its share" in roll.text

    def test_services_too_busy_to_compare_are_waited_for(self, roll: Rolling, service: Service) -> None:
        service.traffic.compares = False
        with pytest.raises(GateError, match="0 of 20 songs"):
            roll(timeout_s=100.0)

    def test_a_registry_that_is_down_for_a_while_leaves_the_canary_where_it_is(
        self, roll: Rolling, service: Service, project: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def away() -> None:
            service.traffic.requests = 0
            monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
            monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")

        def there() -> None:
            service.traffic.requests = 100
            monkeypatch.delenv("MLFLOW_TRACKING_URI")

        service.traffic.requests = 40
        roll.at = {2: away, 5: there}
        pass_by = service.pass_by
        service.pass_by = lambda: pass_by() if service.traffic.requests else None
        assert roll().version == NEW
        assert roll.text.count("The registry does not answer") == 1


class TestBeginning:
    def test_without_a_service_nothing_begins(self, roll: Rolling, service: Service, project: Path) -> None:
        service.down = True
        with pytest.raises(ToolError, match="--service"):
            roll()
        assert "canary" not in aliases(project) and "events" not in tags_of(project, "good")

    def test_one_that_the_gates_are_against_needs_a_reason_which_is_kept(self, roll: Rolling, project: Path) -> None:
        told = {"verdict": "keep", "verdict.reason": "It is worse."}
        told["verdict.gates"] = '[{"name": "gain", "passed": false, "found": "a", "needed": "b", "why": "c"}]'
        for tag, value in told.items():
            asking(project).set_model_version_tag("earmark", NEW, tag, value)
        with pytest.raises(GateError, match="It is worse"):
            roll()
        assert "canary" not in aliases(project)
        roll(because="we know better")
        last = happened(project, NEW)[-1]
        assert (last.what, last.because, last.despite) == ("promoted", "we know better", ("gain",))

    def test_one_canary_at_a_time(self, roll: Rolling, project: Path) -> None:
        canary.set_share(params(), project, VERSION["many"], 0.1)
        with pytest.raises(RegistryError, match="Version 3 is the canary"):
            roll(NEW)
        assert aliases(project)["canary"] == VERSION["many"]

    def test_one_rollout_at_a_time(self, roll: Rolling, service: Service, project: Path) -> None:
        second: list[BaseException] = []

        def another() -> None:
            with pytest.raises(RegistryError, match="Another `earmark rollout`") as error:
                Rolling(project, roll.address)()
            second.append(error.value)

        roll.at = {1: another}
        roll()
        assert second

    def test_no_champion_is_no_rollout(self, roll: Rolling, project: Path) -> None:
        asking(project).delete_registered_model_alias("earmark", "champion")
        with pytest.raises(RegistryError, match="no champion"):
            roll()

    def test_one_that_was_rolled_back_is_judged_anew(self, roll: Rolling, project: Path) -> None:
        asking(project).set_model_version_tag(
            "earmark", NEW, "events", '[{"what": "rolled back", "at": "2026-01-01T00:00:00+00:00"}]'
        )
        with pytest.raises(GateError, match="standing"):
            roll()

    @pytest.mark.parametrize("steps", [[], [0.0, 1.0], [0.5, 0.2], [0.5, 0.5], [0.5, 1.5]])
    def test_steps_that_do_not_grow_are_refused(self, steps: list[float]) -> None:
        with pytest.raises(ParamsError, match=r"rollout\.steps"):
            checked_steps(params(steps=steps))

    def test_a_share_stands_for_the_first_step_that_is_not_smaller(self) -> None:
        assert [step_of(STEPS, share) for share in (0.0, 0.1, 0.2, 0.5, 1.0)] == [0, 0, 1, 1, 2]


def earmark(root: Path, *words: str) -> Result:
    return CliRunner().invoke(main, ["--root", str(root), "rollout", *words])


class TestCommand:
    @pytest.fixture(autouse=True)
    def written_down(self, project: Path) -> None:
        import yaml

        content = yaml.safe_load((project / "params.yaml").read_text())
        content["rollout"] |= {"steps": STEPS, "min_requests": 5}
        (project / "params.yaml").write_text(yaml.safe_dump(content))

    def test_promoted_is_0_and_gone_back_is_9(self, project: Path, service: Service, address: str) -> None:
        service.traffic.errors["canary"] = 1.0
        result = earmark(project, "--service", address)
        assert result.exit_code == 9 and "live_errors" in result.output
        service.traffic.errors["canary"] = 0.0
        result = earmark(project, "2", "--service", address)
        assert result.exit_code == 0 and "Version 2 is champion now" in result.stdout

    def test_status_and_stop(self, project: Path) -> None:
        assert "There is no canary" in earmark(project, "--status").stdout
        assert "There is no canary" in earmark(project, "--stop").stdout
        canary.set_share(params(), project, NEW, 0.5)
        told = earmark(project, "--status").stdout
        assert "Version 2 is the canary" in told and "0.5 of the requests" in told and "step 2 of 3" in told
        assert "Version 2 is the canary no longer" in earmark(project, "--stop", "--because", "a hunch").stdout
        assert is_back(project) and happened(project, NEW)[-1].because == "a hunch"

    @pytest.mark.slow
    @pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
    def test_killed_it_leaves_the_canary_and_is_carried_on_stopped_it_does_not(
        self, project: Path, service: Service, address: str, how: signal.Signals
    ) -> None:
        service.traffic.requests = 40
        script = (
            "from earmark.cli import main; from earmark.cli.rollout import rollout; main.add_command(rollout); main()"
        )
        words = [sys.executable, "-c", script, "--root", str(project), "rollout", "--service", address]
        with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as running:
            end = time.monotonic() + 60
            while service.shares[-1:] != [0.5]:
                assert time.monotonic() < end and running.poll() is None
                if service.shares:
                    service.traffic.requests = 100
                time.sleep(0.02)
            service.traffic.requests = 0
            running.send_signal(how)
            said = running.communicate(timeout=30)[0]
        service.shares.clear()
        service.traffic.requests = 100
        if how is signal.SIGKILL:
            standing = status(params(), project)
            assert standing is not None and (standing.version, standing.share, standing.step) == (NEW, 0.5, 2)
            result = earmark(project, "--service", address)
            assert "carried on" in result.stdout
            assert (result.exit_code, service.shares) == (0, [0.5, 1.0])
            assert aliases(project)["champion"] == NEW
        else:
            assert running.returncode == 130, said
            assert is_back(project)
