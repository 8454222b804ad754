"""What the services' own counters tell of two versions side by side, read from their `/metrics`.

Counters only grow, but for a service that is started again and begins at 0; what is kept here are their increments, so
that a start loses nothing but what was counted between the last reading and the end.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

REQUESTS, SECONDS = "earmark_requests_total", "earmark_request_seconds_bucket"
COMPARED, DISAGREEMENTS = "earmark_compared_total", "earmark_disagreements_total"
IN_SERVICE = "earmark_in_service"
_COUNTERS = frozenset({REQUESTS, SECONDS, COMPARED, DISAGREEMENTS})

ANSWERED = "answered"
# Codes of errors that are the service's fault, and so may be the version's; a file that is no music is nobody's.
FAULTS = frozenset({"failed", "timed_out", "overloaded"})

Labels = frozenset[tuple[str, str]]
Totals = Mapping[tuple[str, Labels], float]


class Watch:
    """Adds up the counters of several services.

    Attributes:
        totals: What they counted since the first reading of each.
        known: What they have counted at all, as far as they remember.
    """

    def __init__(self) -> None:
        self.totals: dict[tuple[str, Labels], float] = defaultdict(float)
        self._last: dict[str, dict[tuple[str, Labels], float]] = {}
        self._here: dict[str, set[tuple[str, str]]] = {}

    def read(self, service: str, text: str) -> None:
        """Take in one reading of a service's metrics, in Prometheus' text format.

        Raises:
            ValueError: It is something else.
        """
        from prometheus_client.parser import text_string_to_metric_families

        found: dict[tuple[str, Labels], float] = {}
        here = set()
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                if sample.name in _COUNTERS:
                    found[sample.name, frozenset(sample.labels.items())] = sample.value
                elif sample.name == IN_SERVICE and sample.value:
                    here.add((sample.labels.get("version", ""), sample.labels.get("role", "")))
        before = self._last.get(service)
        if before is not None:
            for key, value in found.items():
                grown = value - before.get(key, 0.0)
                self.totals[key] += grown if grown >= 0 else value
        self._last[service] = found
        self._here[service] = here

    def snapshot(self) -> Totals:
        """The totals as they are now."""
        return dict(self.totals)

    @property
    def known(self) -> Totals:
        """What the services count since they were started."""
        summed: dict[tuple[str, Labels], float] = defaultdict(float)
        for found in self._last.values():
            for key, value in found.items():
                summed[key] += value
        return summed

    def has(self, version: str, role: str) -> bool | None:
        """Whether a service says that it has this version in this role; None where none of them says who is here."""
        if not any(self._here.values()):
            return None
        return any((version, role) in here for here in self._here.values())


@dataclass(frozen=True)
class Side:
    """What was counted of one version.

    Attributes:
        answered: Requests with an answer.
        failed: Requests that failed by the service's fault.
        seconds: Endpoint → (upper end of a bucket in seconds → answers in it).
    """

    answered: float = 0.0
    failed: float = 0.0
    seconds: Mapping[str, Mapping[float, float]] = field(default_factory=dict)

    @property
    def requests(self) -> int:
        """All that the version may be judged by."""
        return round(self.answered + self.failed)

    @property
    def error_share(self) -> float:
        """0 where nothing was asked."""
        return self.failed / self.requests if self.requests else 0.0

    def timed(self, endpoint: str) -> float:
        """How many answers of an endpoint were timed."""
        return sum(self.seconds.get(endpoint, {}).values())


def side(totals: Totals, since: Totals, *, version: str, role: str) -> Side:
    """What was counted of a version in a role between two snapshots."""
    answered = failed = 0.0
    running: dict[str, dict[float, float]] = defaultdict(lambda: defaultdict(float))
    for name, labels, value in _grown(totals, since):
        if labels.get("version") != version or labels.get("role") != role:
            continue
        if name == REQUESTS:
            answered += value if labels["outcome"] == ANSWERED else 0.0
            failed += value if labels["outcome"] in FAULTS else 0.0
        elif name == SECONDS:
            running[labels["endpoint"]][float(labels["le"])] += value
    return Side(answered, failed, {endpoint: _apart(buckets) for endpoint, buckets in running.items()})


def compared(totals: Totals, since: Totals, *, version: str, against: str) -> tuple[int, int]:
    """How many recordings both versions answered between two snapshots, and how many with another genre."""
    both = other = 0.0
    for name, labels, value in _grown(totals, since):
        if labels.get("version") == version and labels.get("against") == against:
            both += value if name == COMPARED else 0.0
            other += value if name == DISAGREEMENTS and labels.get("what") == "genre" else 0.0
    return round(both), round(other)


def median(buckets: Mapping[float, float]) -> float | None:
    """The median by a histogram, evenly spread within its bucket; the last bucket's lower end where it has no upper.

    None where nothing was counted.
    """
    half = sum(buckets.values()) / 2
    if not half:
        return None
    below = 0.0
    edges = [0.0, *sorted(buckets)]
    for low, high in pairwise(edges):
        count = buckets[high]
        if below + count >= half:
            return low if high == float("inf") else low + (high - low) * (half - below) / count
        below += count
    return None


def _grown(totals: Totals, since: Totals) -> Iterator[tuple[str, dict[str, Any], float]]:
    for (name, labels), value in totals.items():
        yield name, dict(labels), value - since.get((name, labels), 0.0)


def _apart(running: Mapping[float, float]) -> dict[float, float]:
    """A histogram's counts by bucket: Prometheus counts all below an edge."""
    apart, below = {}, 0.0
    for high in sorted(running):
        apart[high], below = running[high] - below, running[high]
    return apart
