"""A service as a rollout sees it: a real HTTP server with real Prometheus counters, and traffic that a test decides."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from registry_tools import asking

from earmark.adapters.events import Event, history
from earmark.params import load_params

BUCKETS = (0.05, 0.1, 0.2, 0.4, 0.8)


@dataclass
class Traffic:
    """What comes in between two readings of the metrics, and how it ends.

    Attributes:
        requests: How many come in.
        errors: Share of them that fails, by role.
        seconds: How long an answer takes, by role.
        disagreement: Share of the canary's songs to which the champion gives another genre.
        takes_up: Whether the service takes a canary up.
    """

    requests: int = 100
    errors: dict[str, float] = field(default_factory=lambda: {"champion": 0.0, "canary": 0.0})
    seconds: dict[str, float] = field(default_factory=lambda: {"champion": 0.15, "canary": 0.15})
    disagreement: float = 0.1
    compares: bool = True
    takes_up: bool = True


class Service:
    """Counts as `earmark.serving.metrics` does; each reading of its metrics lets one round of requests pass before."""

    def __init__(self, root: Path, traffic: Traffic) -> None:
        self.root, self.traffic = root, traffic
        self.readings = 0
        self.keys: list[str | None] = []
        self.shares: list[float] = []
        self.down = False
        self.start_again()

    def start_again(self) -> None:
        """All counters at 0, as after a crash."""
        self.registry = CollectorRegistry()
        served = ("endpoint", "role", "version")
        self.requests = Counter("earmark_requests", "-", (*served, "outcome"), registry=self.registry)
        self.seconds = Histogram("earmark_request_seconds", "-", served, buckets=BUCKETS, registry=self.registry)
        self.compared = Counter("earmark_compared", "-", ("version", "against"), registry=self.registry)
        self.disagreed = Counter("earmark_disagreements", "-", ("version", "against", "what"), registry=self.registry)
        self.here = Gauge("earmark_in_service", "-", ("version", "role"), registry=self.registry)

    def pass_by(self) -> None:
        """One round of requests, divided as the registry says now."""
        client = asking(self.root)
        found = {name: str(its) for name, its in client.get_registered_model("earmark").aliases.items()}
        champion, canary = found["champion"], found.get("canary")
        share = 0.0
        if canary is not None:
            share = float(client.get_model_version("earmark", canary).tags["canary.share"])
        if share and (not self.shares or self.shares[-1] != share):
            self.shares.append(share)
        self.here.labels(champion, "champion").set(1)
        if not self.traffic.takes_up:
            share = 0.0
        elif canary is not None:
            self.here.labels(canary, "canary").set(1)
        its = round(self.traffic.requests * share)
        self.answer("champion", champion, self.traffic.requests - its)
        if canary is not None:
            self.answer("canary", canary, its)
        if canary is not None and self.traffic.compares:
            self.compared.labels(canary, champion).inc(its)
            self.disagreed.labels(canary, champion, "genre").inc(round(its * self.traffic.disagreement))

    def answer(self, role: str, version: str, count: int) -> None:
        """So many requests end, some of them badly."""
        failed = round(count * self.traffic.errors[role])
        self.requests.labels("/predict", role, version, "failed").inc(failed)
        self.requests.labels("/predict", role, version, "answered").inc(count - failed)
        self.requests.labels("/predict", role, version, "too_short").inc(count)  # nobody's fault but the sender's
        for _ in range(count - failed):
            self.seconds.labels("/predict", role, version).observe(self.traffic.seconds[role])


@contextmanager
def serving(service: Service) -> Iterator[str]:
    """The service's address, as long as the block lasts."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if service.down or self.path != "/metrics":
                self.send_error(503 if service.down else 404)
                return
            service.readings += 1
            service.keys.append(self.headers.get("authorization"))
            service.pass_by()
            content = generate_latest(service.registry)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def happened(root: Path, version: str) -> tuple[Event, ...]:
    """What happened to a version, oldest first."""
    lived = history(load_params(root / "params.yaml"), root)
    return next(each.events for each in lived if each.version == version)
