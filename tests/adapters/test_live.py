"""What is read from the services' counters, and what the gates of a canary make of it."""

from dataclasses import replace

import pytest
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

from earmark.adapters.live import Side, Watch, compared, median, side
from earmark.adapters.live_gates import Live, enough, hopeless, judge
from earmark.params import load_params
from scratch import CHECKOUT

ROLLOUT = replace(
    load_params(CHECKOUT / "params.yaml").rollout,
    min_requests=100,
    max_error_share=0.02,
    max_latency_ratio=1.5,
    max_disagreement=0.3,
)
HERE = {"endpoint": "/predict", "role": "canary", "version": "2"}


def requests(**outcomes: int) -> str:
    registry = CollectorRegistry()
    counter = Counter("earmark_requests", "-", (*HERE, "outcome"), registry=registry)
    for outcome, count in outcomes.items():
        counter.labels(*HERE.values(), outcome).inc(count)
    return generate_latest(registry).decode()


def canary(watch: Watch) -> Side:
    return side(watch.totals, {}, version="2", role="canary")


class TestWatch:
    def test_what_was_counted_before_the_first_reading_is_not_new(self) -> None:
        watch = Watch()
        watch.read("a", requests(answered=70))
        watch.read("a", requests(answered=100, failed=3))
        assert (canary(watch).answered, canary(watch).failed) == (30, 3)

    def test_a_service_that_was_started_again_loses_nothing_that_was_read(self) -> None:
        watch = Watch()
        for answered in (10, 50, 5, 9):  # started again after 50
            watch.read("a", requests(answered=answered))
        assert canary(watch).answered == 40 + 5 + 4

    def test_several_services_are_added_up_and_each_is_new_when_it_is_first_read(self) -> None:
        watch = Watch()
        watch.read("a", requests(answered=10))
        watch.read("b", requests(answered=1000))
        watch.read("a", requests(answered=11))
        watch.read("b", requests(answered=1002))
        assert canary(watch).answered == 3

    def test_since_a_snapshot_only_what_came_after_it_counts(self) -> None:
        watch = Watch()
        for answered in (0, 10):
            watch.read("a", requests(answered=answered))
        then = watch.snapshot()
        watch.read("a", requests(answered=14))
        assert side(watch.totals, then, version="2", role="canary").answered == 4

    def test_refused_files_are_neither_answers_nor_failures(self) -> None:
        watch = Watch()
        watch.read("a", requests())
        watch.read("a", requests(not_audio=50, too_long=3, answered=2, timed_out=1))
        assert canary(watch).requests == 3

    def test_other_versions_and_roles_are_apart(self) -> None:
        watch = Watch()
        watch.read("a", requests())
        watch.read("a", requests(answered=8))
        assert side(watch.totals, {}, version="2", role="shadow").requests == 0
        assert side(watch.totals, {}, version="20", role="canary").requests == 0

    def test_a_page_that_is_no_metrics_is_an_error(self) -> None:
        with pytest.raises(ValueError):
            Watch().read("a", "<html><body>Not here</body></html>")

    def test_comparisons_are_of_this_pair_alone(self) -> None:
        registry = CollectorRegistry()
        both = Counter("earmark_compared", "-", ("version", "against"), registry=registry)
        other = Counter("earmark_disagreements", "-", ("version", "against", "what"), registry=registry)
        watch = Watch()
        for labels in (("2", "1"), ("2", "3")):
            both.labels(*labels)
            other.labels(*labels, "genre")
        watch.read("a", generate_latest(registry).decode())
        for labels, count in ((("2", "1"), 10), (("2", "3"), 100)):
            both.labels(*labels).inc(count)
            other.labels(*labels, "genre").inc(count / 5)
        watch.read("a", generate_latest(registry).decode())
        assert compared(watch.totals, {}, version="2", against="1") == (10, 2)


class TestMedian:
    def test_it_is_near_that_of_the_values_themselves(self) -> None:
        registry = CollectorRegistry()
        buckets = [edge / 100 for edge in range(5, 105, 5)]
        histogram = Histogram("earmark_request_seconds", "-", tuple(HERE), buckets=buckets, registry=registry)
        watch = Watch()
        histogram.labels(*HERE.values())
        watch.read("a", generate_latest(registry).decode())
        values = [0.01 * (3 * number % 97) for number in range(97)]  # each hundredth below 0.97 once
        for value in values:
            histogram.labels(*HERE.values()).observe(value)
        watch.read("a", generate_latest(registry).decode())
        found = median(canary(watch).seconds["/predict"])
        assert found == pytest.approx(sorted(values)[48], abs=0.05)
        assert canary(watch).timed("/predict") == 97

    def test_half_way_through_one_bucket_is_its_middle(self) -> None:
        assert median({0.1: 0, 0.3: 10, float("inf"): 0}) == pytest.approx(0.2)

    def test_of_nothing_there_is_none(self) -> None:
        assert median({0.1: 0.0, float("inf"): 0.0}) is None

    def test_beyond_the_last_edge_it_is_that_edge(self) -> None:
        assert median({0.1: 1, float("inf"): 9}) == 0.1


def live(
    *,
    failed: int = 0,
    requests: int = 100,
    theirs: int = 0,
    seconds: float = 0.1,
    disagreed: int = 0,
    compared: int = 100,
) -> Live:
    """A canary beside a champion of 1000 requests, which takes 0.1 s."""

    def took(seconds: float, count: int) -> dict[str, dict[float, float]]:
        return {"/predict": {seconds * 0.999: 0.0, seconds * 1.001: float(count)}}

    return Live(
        Side(requests - failed, failed, took(seconds, requests - failed)),
        Side(1000 - theirs, theirs, took(0.1, 1000 - theirs)),
        compared,
        disagreed,
    )


def failed_gates(found: Live) -> list[str]:
    return [gate.name for gate in judge(found, ROLLOUT) if not gate.passed]


class TestGates:
    def test_one_that_does_as_well_passes_all(self) -> None:
        assert failed_gates(live()) == []

    def test_errors_are_held_against_the_champions(self) -> None:
        assert failed_gates(live(failed=2)) == []
        assert failed_gates(live(failed=3)) == ["live_errors"]
        assert failed_gates(live(failed=5, theirs=40)) == []

    def test_latency_is_a_ratio_of_medians(self) -> None:
        assert failed_gates(live(seconds=0.145)) == []
        assert failed_gates(live(seconds=0.155)) == ["live_latency"]

    def test_disagreement_is_a_share_of_what_both_heard(self) -> None:
        assert failed_gates(live(disagreed=30)) == []
        assert failed_gates(live(disagreed=31)) == ["live_disagreement"]

    def test_too_few_answers_of_the_champion_decide_nothing_about_latency(self) -> None:
        found = live(seconds=9.0)
        few = Side(3, 0, {"/predict": {0.1: 3.0}})
        assert failed_gates(replace(found, champion=few)) == []

    def test_latency_is_of_the_endpoint_that_the_newcomer_answered_most(self) -> None:
        found = live(seconds=0.1)
        slow = {**found.newcomer.seconds, "/explain": {4.9: 0.0, 5.1: 30.0}}
        assert failed_gates(replace(found, newcomer=replace(found.newcomer, seconds=slow))) == []


class TestEnough:
    def test_requests_are_counted_first_and_then_comparisons(self) -> None:
        assert "99 of 100 requests" in str(enough(live(requests=99), ROLLOUT))
        assert "19 of 20 songs" in str(enough(live(compared=19), ROLLOUT))
        assert enough(live(compared=20), ROLLOUT) is None

    def test_where_any_disagreement_is_allowed_nothing_needs_to_be_compared(self) -> None:
        assert enough(live(compared=0), replace(ROLLOUT, max_disagreement=1.0)) is None


class TestHopeless:
    def test_more_errors_than_the_whole_step_may_have_end_it_at_once(self) -> None:
        assert hopeless(live(requests=10, failed=2), ROLLOUT) is None  # 2 of 100 would be allowed
        gate = hopeless(live(requests=10, failed=3), ROLLOUT)
        assert gate is not None and not gate.passed and gate.name == "live_errors"

    def test_in_a_long_step_a_share_that_is_surely_too_large_ends_it_too(self) -> None:
        long = replace(ROLLOUT, min_requests=10_000)  # 200 would be allowed
        assert hopeless(live(requests=20, failed=5), long) is not None
        assert hopeless(live(requests=200, failed=5), long) is None

    def test_no_request_is_no_error(self) -> None:
        assert hopeless(live(requests=0), ROLLOUT) is None
