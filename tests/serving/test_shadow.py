"""The shadow: what it compares, what it drops, and what it tells Prometheus and a real MLflow."""

import csv
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import mlflow
import numpy as np
import pytest
import torch
from prometheus_client import REGISTRY
from registry_of_networks import asking
from serving_tools import make_project, untrained

from earmark.adapters import shadow_run
from earmark.adapters.shadow_run import Disagreement, Sums, report
from earmark.adapters.tracking import reaching
from earmark.model.prediction import GenreProbability, Prediction, Share, TagShare
from earmark.params import load_params
from earmark.serving import shadow as module
from earmark.serving.champion import Champion
from earmark.serving.shadow import Shadow, compared, resampled

RATE = untrained().frontend.sample_rate_hz
SONGS = [torch.rand(2 * RATE, generator=torch.Generator().manual_seed(seed)) * 0.2 - 0.1 for seed in range(12)]
OLD = Champion(untrained(seed=1), "earmark", "3", "run", "champion")
NEW = Champion(untrained(seed=2), "earmark", "4", "run", "shadow")


@dataclass
class Few:
    """As much of a fleet as the shadow asks."""

    champion: Champion | None = OLD
    shadow: Champion | None = NEW


@pytest.fixture(scope="module")
def with_tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose MLflow has its tables, which take long to make, and nothing in them."""
    root = make_project(tmp_path_factory.mktemp("shadow") / "project")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        with reaching(root) as client:
            client.search_experiments()
    return root


@pytest.fixture
def root(with_tables: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    yield Path(shutil.copytree(with_tables, tmp_path / "project"))
    mlflow.set_tracking_uri(None)
    mlflow.set_registry_uri(None)


def params_of(root: Path, share: float = 1.0) -> object:
    params = load_params(root / "params.yaml")
    return replace(params, rollout=replace(params.rollout, shadow_share=share))


@pytest.fixture
def shadow(root: Path) -> Iterator[Callable[..., Shadow]]:
    made: list[Shadow] = []

    def make(fleet: object | None = None, *, share: float = 1.0, start: bool = True, **told: object) -> Shadow:
        made.append(Shadow(fleet or Few(), params_of(root, share), root, **told))
        if start:
            made[-1].start()
        return made[-1]

    yield make
    for each in made:
        each.stop(patience_s=30.0)


def counted(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def offer(shadow: Shadow, song: int, by: Champion = OLD) -> Prediction:
    prediction = by.predictor.predict(SONGS[song])
    shadow.offer(SONGS[song], RATE, prediction, by, f"hash {song}", seconds=0.25)
    return prediction


def soon(true: Callable[[], bool], seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


def said(shares: dict[str, float], *, tags: dict[str, float] | None = None, appeal: float | None = None) -> Prediction:
    genres = sorted(shares.items(), key=lambda each: -each[1])
    return Prediction(
        genres=tuple(GenreProbability(genre, share) for genre, share in genres),
        heard_seconds=1.0,
        tags=tuple(TagShare(share, tag=tag) for tag, share in (tags or {}).items()),
        appeal=None if appeal is None else Share(appeal),
    )


class TestCompared:
    def test_equal_answers_differ_in_nothing(self) -> None:
        one = said({"jig": 0.7, "reel": 0.3}, tags={"calm": 0.4}, appeal=0.6)
        found = compared(one, one)
        assert (found.compared, found.agreed, found.tagged, found.liked) == (1, 1, 1, 1)
        assert (found.variation, found.tags, found.appeal) == (0.0, 0.0, 0.0)

    def test_total_variation_is_what_has_to_be_moved_from_one_to_the_other(self) -> None:
        found = compared(said({"jig": 0.7, "reel": 0.3}), said({"jig": 0.2, "reel": 0.5, "polka": 0.3}))
        assert found.variation == pytest.approx(0.5)  # half of jig goes: 0.2 to reel, 0.3 to polka
        assert found.agreed == 0

    def test_only_tags_that_both_know_are_compared(self) -> None:
        ours, theirs = said({"jig": 1.0}, tags={"calm": 0.4, "sea": 0.9}), said({"jig": 1.0}, tags={"calm": 0.1})
        assert compared(ours, theirs).tags == pytest.approx(0.3)
        assert compared(said({"jig": 1.0}), theirs).tagged == 0

    def test_appeal_is_compared_where_both_were_taught_it(self) -> None:
        assert compared(said({"jig": 1.0}, appeal=0.4), said({"jig": 1.0}, appeal=0.9)).appeal == pytest.approx(0.5)
        assert compared(said({"jig": 1.0}, appeal=0.4), said({"jig": 1.0})).liked == 0


class TestOffer:
    def test_the_challenger_hears_what_the_champion_answered(self, shadow: Callable[..., Shadow]) -> None:
        before = {
            what: counted(f"earmark_{what}_total", version="4", against="3", **more)
            for what, more in (("compared", {}), ("disagreements", {"what": "genre"}))
        }
        listening = shadow()
        answers = [(offer(listening, song), NEW.predictor.predict(SONGS[song])) for song in range(5)]
        soon(lambda: counted("earmark_compared_total", version="4", against="3") == before["compared"] + 5)
        other = sum(ours.genre != theirs.genre for ours, theirs in answers)
        found = counted("earmark_disagreements_total", version="4", against="3", what="genre")
        assert found == before["disagreements"] + other

    def test_what_a_canary_answered_the_champion_hears_whatever_the_share(self, shadow: Callable[..., Shadow]) -> None:
        canary = replace(NEW, role="canary", version="5")
        listening = shadow(share=0.0)
        before = counted("earmark_compared_total", version="5", against="3")
        offer(listening, 0, canary)
        offer(listening, 1, OLD)  # and of this, nobody
        soon(lambda: counted("earmark_compared_total", version="5", against="3") == before + 1)
        time.sleep(0.2)
        assert listening._queue.empty() and set(listening._pairs) == {("5", "3")}

    def test_only_a_share_of_the_recordings_is_heard(self, shadow: Callable[..., Shadow]) -> None:
        numbers = iter([0.1, 0.3, 0.29, 0.9])
        listening = shadow(share=0.3, draw=lambda: next(numbers), start=False)
        for song in range(4):
            offer(listening, song)
        assert listening._queue.qsize() == 2

    def test_nobody_listens_to_itself_and_without_a_challenger_nobody_does(self, shadow: Callable[..., Shadow]) -> None:
        for fleet in (Few(shadow=None), Few(shadow=replace(NEW, version="3"))):
            listening = shadow(fleet, start=False)
            offer(listening, 0)
            assert listening._queue.empty()

    def test_it_never_raises_and_never_waits(self, shadow: Callable[..., Shadow]) -> None:
        shadow(start=False).offer(None, 0, None, OLD, "")  # type: ignore[arg-type]
        busy = shadow(start=False)
        began = time.monotonic()
        for _ in range(1000):
            busy.offer(SONGS[0], RATE, None, OLD, "")  # type: ignore[arg-type]
        assert time.monotonic() - began < 1.0

    def test_what_does_not_fit_is_dropped_and_counted(self, shadow: Callable[..., Shadow]) -> None:
        before = counted("earmark_shadow_dropped_total")
        listening = shadow(start=False)
        for song in range(module.MOST_WAITING + 3):
            offer(listening, song)
        assert counted("earmark_shadow_dropped_total") == before + 3

    def test_not_more_than_so_many_samples_wait(
        self, shadow: Callable[..., Shadow], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "MOST_SAMPLES", 5 * RATE)
        listening = shadow(start=False)
        for song in range(4):  # of 2 s each
            offer(listening, song)
        assert listening._queue.qsize() == 2

    def test_room_is_given_back(self, shadow: Callable[..., Shadow]) -> None:
        listening = shadow()
        for song in range(6):
            offer(listening, song)
        soon(lambda: listening._samples == 0)

    def test_it_waits_while_the_service_is_busy_and_drops_what_grows_old(self, shadow: Callable[..., Shadow]) -> None:
        busy, now = threading.Event(), [0.0]
        busy.set()
        before = counted("earmark_shadow_dropped_total")
        compared_before = counted("earmark_compared_total", version="4", against="3")
        listening = shadow(busy=busy.is_set, clock=lambda: now[0])
        offer(listening, 0)
        time.sleep(0.3)
        assert counted("earmark_compared_total", version="4", against="3") == compared_before
        now[0] = 31.0
        soon(lambda: counted("earmark_shadow_dropped_total") == before + 1)
        offer(listening, 1)
        busy.clear()
        soon(lambda: counted("earmark_compared_total", version="4", against="3") == compared_before + 1)

    def test_a_canary_is_compared_now_and_then_however_busy_the_service_is(self, shadow: Callable[..., Shadow]) -> None:
        now = [0.0]
        before = counted("earmark_compared_total", version="6", against="3")
        listening = shadow(busy=lambda: True, clock=lambda: now[0])
        offer(listening, 0, replace(NEW, role="canary", version="6"))
        offer(listening, 1, replace(NEW, role="canary", version="6"))
        time.sleep(0.3)
        assert counted("earmark_compared_total", version="6", against="3") == before
        now[0] = 10.0
        soon(lambda: counted("earmark_compared_total", version="6", against="3") == before + 1)
        time.sleep(0.3)
        assert counted("earmark_compared_total", version="6", against="3") == before + 1

    def test_a_challenger_that_fails_is_counted_and_the_next_recording_is_heard(
        self, shadow: Callable[..., Shadow]
    ) -> None:
        listening = shadow()
        labels = {"endpoint": "predict", "role": "shadow", "version": "4"}
        failed, answered = (
            counted("earmark_requests_total", outcome=outcome, **labels) for outcome in ("failed", "answered")
        )
        listening.offer(torch.zeros(10), RATE, OLD.predictor.predict(SONGS[0]), OLD, "too short")
        offer(listening, 0)
        soon(lambda: counted("earmark_requests_total", outcome="answered", **labels) == answered + 1)
        assert counted("earmark_requests_total", outcome="failed", **labels) == failed + 1

    def test_another_rate_is_resampled_to_where_nothing_is_lost(self, shadow: Callable[..., Shadow]) -> None:
        before = counted("earmark_compared_total", version="4", against="3")
        dropped = counted("earmark_shadow_dropped_total")
        listening = shadow()
        prediction = OLD.predictor.predict(SONGS[0])
        listening.offer(np.repeat(SONGS[0].numpy(), 2), 2 * RATE, prediction, OLD, "twice the rate")
        soon(lambda: counted("earmark_compared_total", version="4", against="3") == before + 1)
        listening.offer(SONGS[0][::2], RATE // 2, prediction, OLD, "half the rate")
        assert counted("earmark_shadow_dropped_total") == dropped + 1

    def test_resampling_keeps_a_tone(self) -> None:
        tone = np.sin(2 * np.pi * 440 * np.arange(32_000) / 32_000).astype(np.float32)
        found = resampled(tone, 32_000, 16_000).numpy()
        expected = np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000)
        assert len(found) == pytest.approx(16_000, abs=32)
        np.testing.assert_allclose(found[200:15_000], expected[200:15_000], atol=0.02)


def runs(root: Path) -> list[mlflow.entities.Run]:
    client = asking(root)
    found = client.get_experiment_by_name("earmark")
    return [] if found is None else list(client.search_runs([found.experiment_id], "tags.kind = 'shadow'"))


class TestMlflow:
    def test_the_run_has_the_right_numbers(self, shadow: Callable[..., Shadow], root: Path) -> None:
        listening = shadow()
        pairs = []
        for song in range(len(SONGS)):
            pairs.append((NEW.predictor.predict(SONGS[song]), offer(listening, song)))
            soon(listening._queue.empty)
        soon(lambda: listening._samples == 0)
        listening.stop(patience_s=60.0)
        (run,) = runs(root)
        assert run.info.run_name == "shadow: version 4 beside 3"
        assert run.data.params["version"] == "4" and run.data.params["against"] == "3"
        metrics = run.data.metrics
        agreed = [ours.genre == theirs.genre for ours, theirs in pairs]
        assert metrics["compared"] == len(SONGS)
        assert metrics["agreement"] == pytest.approx(np.mean(agreed))
        assert metrics["agreement_low"] <= metrics["agreement"] <= metrics["agreement_high"]
        variations = []
        for ours, theirs in pairs:
            p, q = ({each.genre: each.probability for each in one.genres} for one in (ours, theirs))
            variations.append(sum(max(0.0, p[genre] - q[genre]) for genre in p))
        assert metrics["variation"] == pytest.approx(np.mean(variations), abs=1e-5)
        assert metrics["champion_ms"] == pytest.approx(250.0) and metrics["newcomer_ms"] > 0
        history = asking(root).get_metric_history(run.info.run_id, "compared")
        assert [(each.step, each.value) for each in history] == [(len(SONGS), len(SONGS))]

    def test_disagreements_are_a_table_without_names(self, shadow: Callable[..., Shadow], root: Path) -> None:
        genre = OLD.predictor.predict(SONGS[0]).genre
        other = next(label for label in OLD.predictor.labels if label != genre)
        listening = shadow()
        listening.offer(SONGS[0], RATE, said({other: 0.9, genre: 0.1}), replace(NEW, role="canary"), "abc")
        soon(lambda: listening._samples == 0)
        listening.stop(patience_s=60.0)
        (run,) = runs(root)
        (artefact,) = asking(root).list_artifacts(run.info.run_id, "disagreements")
        path = mlflow.artifacts.download_artifacts(run_id=run.info.run_id, artifact_path=artefact.path)
        (row,) = csv.DictReader(Path(path).read_text().splitlines())
        assert (row["content_hash"], row["newcomer"], row["champion"]) == ("abc", other, genre)

    def test_after_a_hundred_recordings_or_a_minute_it_is_logged(
        self, shadow: Callable[..., Shadow], root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "REPORT_COMPARED", 3)
        now = [0.0]
        listening = shadow(clock=lambda: now[0])
        for song in range(3):
            offer(listening, song)
        soon(lambda: [run.data.metrics.get("compared") for run in runs(root)] == [3.0])
        offer(listening, 3)
        soon(lambda: listening._samples == 0)
        assert runs(root)[0].data.metrics["compared"] == 3.0
        now[0] = 61.0
        soon(lambda: runs(root)[0].data.metrics["compared"] == 4.0)

    def test_mlflow_down_breaks_nothing_and_it_is_logged_later(
        self,
        shadow: Callable[..., Shadow],
        root: Path,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        monkeypatch.setattr(module, "REPORT_COMPARED", 1)
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
        now = [0.0]
        listening = shadow(clock=lambda: now[0])
        for song in range(4):
            offer(listening, song)
            soon(lambda: listening._samples == 0)
        soon(lambda: listening._trouble is not None)
        assert [record.levelname for record in caplog.records].count("WARNING") == 1
        monkeypatch.delenv("MLFLOW_TRACKING_URI")
        now[0] = 100.0
        soon(lambda: bool(runs(root)) and runs(root)[0].data.metrics.get("compared") == 4.0)

    def test_workers_and_restarts_share_one_run_and_add_up(self, root: Path) -> None:
        about = {"version": "4", "against": "3"}
        first = Sums(compared=10, agreed=9, variation=1.0, newcomer_timed=10, newcomer_s=2.0)
        second = Sums(compared=30, agreed=15, variation=9.0, newcomer_timed=30, newcomer_s=3.0)
        params = params_of(root)
        ids = {report(params, root, worker="a", sums=first, **about)}
        ids.add(report(params, root, worker="b", sums=second, **about))
        ids.add(report(params, root, worker="b", sums=second, **about))  # told twice counts once
        ids.add(report(params, root, worker="a", sums=first + first, **about))
        (run,) = runs(root)
        assert ids == {run.info.run_id}
        metrics = run.data.metrics
        assert metrics["compared"] == 50 and metrics["agreement"] == pytest.approx((18 + 15) / 50)
        assert metrics["variation"] == pytest.approx(11 / 50) and metrics["newcomer_ms"] == pytest.approx(140.0)

    def test_another_pair_has_another_run(self, root: Path) -> None:
        for version, against in (("4", "3"), ("5", "3"), ("3", "4")):
            report(params_of(root), root, version=version, against=against, worker="a", sums=Sums(1, 1))
        assert len(runs(root)) == 3

    def test_workers_that_begin_at_the_same_time_end_with_one_run(
        self, root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        params = params_of(root)
        barrier, failed = threading.Barrier(4), []

        def tell(number: int) -> None:
            example = Disagreement(f"hash {number}", "jig", 0.5, "reel", 0.5)
            told = {"worker": str(number), "sums": Sums(number, number), "examples": [example]}
            report(params, root, version="4", against="3", **told)

        def tell_with_the_others(number: int) -> None:
            barrier.wait()
            try:
                tell(number)
            except Exception as error:
                failed.append(error)

        threads = [threading.Thread(target=tell_with_the_others, args=(number,)) for number in (1, 2, 3, 4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not [str(error) for error in failed]
        monkeypatch.setattr(shadow_run, "_SETTLED_S", 0.0)
        for number in (1, 2, 3):  # minutes later; the fourth has ended meanwhile
            tell(number)
        (run,) = [run for run in runs(root) if run.data.tags["version"] == "4"]
        assert run.data.metrics["compared"] == 10.0
