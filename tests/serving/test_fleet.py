"""Which version answers: champion, canary and challenger as a real registry names them, and the keys of requests."""

import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import mlflow
import pytest
from registry_of_networks import alias, asking, register
from serving_tools import make_project, untrained

from earmark.adapters.canary import set_share, stop
from earmark.params import load_params
from earmark.serving.champion import Champion
from earmark.serving.fleet import Fleet, falls_into
from earmark.serving.fuse import Fuse

KEYS = [f"customer {number}" for number in range(20_000)]


class TestShare:
    @pytest.mark.parametrize("share", [0.01, 0.05, 0.25, 0.5, 0.9])
    def test_as_many_keys_fall_into_it_as_it_says(self, share: float) -> None:
        found = sum(falls_into(share, key, "4") for key in KEYS) / len(KEYS)
        assert found == pytest.approx(share, abs=4 * (share * (1 - share) / len(KEYS)) ** 0.5)  # 4 standard errors

    def test_none_is_nobody_and_all_is_everybody(self) -> None:
        assert not any(falls_into(0.0, key, "4") for key in KEYS)
        assert all(falls_into(1.0, key, "4") for key in KEYS)

    def test_a_growing_share_keeps_those_that_it_had(self) -> None:
        had: set[str] = set()
        for share in (0.05, 0.25, 0.5, 1.0):
            has = {key for key in KEYS if falls_into(share, key, "4")}
            assert had < has
            had = has

    def test_another_version_is_tried_on_others(self) -> None:
        first, second = ({key for key in KEYS if falls_into(0.1, key, version)} for version in ("4", "5"))
        assert len(first & second) == pytest.approx(0.01 * len(KEYS), rel=0.3)


class TestFuse:
    def test_five_of_twenty_blow_it(self, caplog: pytest.LogCaptureFixture) -> None:
        fuse = Fuse()
        for number in range(20):
            fuse.note("4", 0.1, failed=number % 4 == 0)
            assert fuse.blown("4", 0.1) == (number >= 16)  # the fifth failure
        assert [record.levelname for record in caplog.records] == ["ERROR"]

    def test_fewer_do_not_however_long_it_goes_on(self) -> None:
        fuse = Fuse()
        for number in range(1000):
            fuse.note("4", 0.1, failed=number % 5 == 0)
        assert not fuse.blown("4", 0.1)

    def test_it_holds_until_the_registry_says_something_new(self) -> None:
        fuse = Fuse()
        for _ in range(5):
            fuse.note("4", 0.1, failed=True)
        for _ in range(50):
            fuse.note("4", 0.1, failed=False)  # requests that were on their way
        assert fuse.blown("4", 0.1)
        assert not fuse.blown("4", 0.2) and not fuse.blown("5", 0.1)


@pytest.fixture(scope="module")
def stocked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose registry has the versions 1, 2 and 3; nobody has an alias."""
    root = make_project(tmp_path_factory.mktemp("fleet") / "project")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        for seed in (1, 2, 3):
            register(root, untrained(seed=seed))
    return root


@pytest.fixture
def root(stocked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of it, in which version 1 is champion."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    root = Path(shutil.copytree(stocked, tmp_path / "project"))
    alias(root, "champion", "1")
    yield root
    mlflow.set_tracking_uri(None)
    mlflow.set_registry_uri(None)


def params_of(root: Path, *, shadow_share: float = 0.0) -> object:
    params = load_params(root / "params.yaml")
    return replace(
        params,
        service=replace(params.service, follow_seconds=0.05),
        rollout=replace(params.rollout, shadow_share=shadow_share),
    )


@pytest.fixture
def start(root: Path) -> Iterator[Callable[..., Fleet]]:
    fleets: list[Fleet] = []

    def start(*, shadow_share: float = 0.0, **told: object) -> Fleet:
        fleet = Fleet(params_of(root, shadow_share=shadow_share), root, **told)
        fleet.start(patience_s=60.0)
        fleets.append(fleet)
        return fleet

    yield start
    for fleet in fleets:
        fleet.stop()


def soon(true: Callable[[], bool], seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


def version_of(champion: Champion | None) -> str | None:
    return None if champion is None else champion.version


class TestFleet:
    def test_without_a_canary_the_champion_answers_everything(self, start: Callable[..., Fleet]) -> None:
        fleet = start()
        assert {version_of(fleet.chosen(key)) for key in KEYS[:500]} == {"1"}
        assert (fleet.canary, fleet.shadow, fleet.share) == (None, None, 0.0)
        assert fleet.champion is not None and fleet.champion.tags["kind"] == "network"

    def test_a_canary_answers_its_share_and_two_fleets_agree_on_whom(
        self, start: Callable[..., Fleet], root: Path
    ) -> None:
        fleets = [start(), start()]
        set_share(params_of(root), root, "2", 0.3)
        soon(lambda: all(fleet.canary for fleet in fleets))
        chosen = [[version_of(fleet.chosen(key)) for key in KEYS[:2000]] for fleet in fleets]
        assert chosen[0] == chosen[1]
        assert chosen[0].count("2") / 2000 == pytest.approx(0.3, abs=0.05)
        canary = fleets[0].canary
        assert canary is not None and canary.role == "canary" and fleets[0].share == 0.3

    def test_a_larger_share_needs_no_loading_and_a_stopped_canary_gets_nothing(
        self, start: Callable[..., Fleet], root: Path
    ) -> None:
        prepared: list[str] = []
        fleet = start(prepare=lambda champion: (prepared.append(champion.version), champion)[1])
        set_share(params_of(root), root, "2", 0.1)
        soon(lambda: fleet.share == 0.1)
        set_share(params_of(root), root, "2", 1.0)
        soon(lambda: fleet.share == 1.0)
        assert {version_of(fleet.chosen(key)) for key in KEYS[:100]} == {"2"}
        stop(params_of(root), root, why="enough")
        soon(lambda: fleet.canary is None)
        assert {version_of(fleet.chosen(key)) for key in KEYS[:100]} == {"1"}
        assert prepared == ["1", "2"]

    def test_a_promoted_canary_is_champion_without_being_loaded_again(
        self, start: Callable[..., Fleet], root: Path
    ) -> None:
        prepared: list[str] = []
        fleet = start(prepare=lambda champion: (prepared.append(champion.version), champion)[1])
        set_share(params_of(root), root, "2", 0.5)
        soon(lambda: fleet.canary is not None)
        canary = fleet.canary
        alias(root, "champion", "2")
        soon(lambda: version_of(fleet.champion) == "2")
        champion = fleet.champion
        assert canary is not None and champion is not None and champion.predictor is canary.predictor
        assert champion.role == "champion" and prepared == ["1", "2"]
        assert {(each.version, each.role) for key in KEYS[:50] if (each := fleet.chosen(key))} == {("2", "champion")}
        assert fleet.canary is None

    def test_a_canary_that_fails_here_gets_nothing_more_until_its_share_changes(
        self, start: Callable[..., Fleet], root: Path
    ) -> None:
        fleet = start()
        set_share(params_of(root), root, "2", 1.0)
        soon(lambda: fleet.canary is not None)
        for key in KEYS[:5]:
            answered_by = fleet.chosen(key)
            assert answered_by is not None and answered_by.version == "2"
            fleet.note(answered_by, failed=True)
        assert version_of(fleet.chosen("another")) == "1"
        set_share(params_of(root), root, "2", 0.9)
        soon(lambda: fleet.canary is not None)

    def test_what_the_champion_does_never_blows_the_fuse(self, start: Callable[..., Fleet], root: Path) -> None:
        fleet = start()
        set_share(params_of(root), root, "2", 1.0)
        soon(lambda: fleet.canary is not None)
        for _ in range(20):
            fleet.note(fleet.champion, failed=True)
        assert fleet.canary is not None

    def test_the_challenger_listens_where_it_shall(self, start: Callable[..., Fleet], root: Path) -> None:
        alias(root, "challenger", "3")
        deaf, hearing = start(), start(shadow_share=0.2)
        soon(lambda: version_of(hearing.shadow) == "3")
        assert hearing.shadow.role == "shadow" and deaf.shadow is None
        alias(root, "challenger", "1")  # the champion itself
        soon(lambda: hearing.shadow is None)

    def test_a_registry_that_goes_away_changes_nothing(
        self, start: Callable[..., Fleet], root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        fleet = start()
        set_share(params_of(root), root, "2", 0.5)
        soon(lambda: fleet.canary is not None)
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
        soon(lambda: fleet.trouble is not None)
        time.sleep(0.3)
        assert version_of(fleet.champion) == "1" and version_of(fleet.canary) == "2" and fleet.share == 0.5

    def test_a_share_that_is_none_is_nothing(self, start: Callable[..., Fleet], root: Path) -> None:
        fleet = start()
        set_share(params_of(root), root, "2", 0.5)
        soon(lambda: fleet.canary is not None)
        asking(root).set_model_version_tag("earmark", "2", "canary.share", "half")
        soon(lambda: fleet.canary is None)
        assert {version_of(fleet.chosen(key)) for key in KEYS[:50]} == {"1"}

    def test_a_canary_that_cannot_be_prepared_stays_out(self, start: Callable[..., Fleet], root: Path) -> None:
        def prepare(champion: Champion) -> Champion:
            if champion.version == "2":
                raise RuntimeError("no engine can compute this")
            return champion

        fleet = start(prepare=prepare)
        set_share(params_of(root), root, "2", 1.0)
        soon(lambda: fleet._canary.trouble is not None)
        assert "no engine" in fleet._canary.trouble
        assert {version_of(fleet.chosen(key)) for key in KEYS[:50]} == {"1"}

    def test_the_metrics_say_who_is_here(self, start: Callable[..., Fleet], root: Path) -> None:
        from prometheus_client import REGISTRY

        def here(version: str, role: str) -> float | None:
            return REGISTRY.get_sample_value("earmark_in_service", {"version": version, "role": role})

        fleet = start()
        assert here("1", "champion") == 1.0
        set_share(params_of(root), root, "2", 0.5)
        soon(lambda: fleet.canary is not None and here("2", "canary") == 1.0)  # and not since a test before
        stop(params_of(root), root, why="enough")
        soon(lambda: here("2", "canary") == 0.0)
