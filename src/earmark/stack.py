"""`earmark up`: Prefect (server and schedules), MLflow and the service, together, until Ctrl-C.

Everything that they keep lies in the project: ``.earmark/prefect``, ``mlflow.db``, ``mlruns``, ``.earmark/logs``.
"""

import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType

import click

from earmark.adapters import processes
from earmark.adapters.supervisor import HOST, Service, Supervisor, free_port
from earmark.errors import ToolError
from earmark.files import locked
from earmark.workspace import LOGS

HOME = Path(".earmark")
LOCK = HOME / "up.lock"


@dataclass(frozen=True)
class Stack:
    """Where everything listens; its services know each other by their environment.

    Without ``mlflow_port`` they use MLflow's database in the project directly.
    """

    root: Path
    prefect_port: int
    mlflow_port: int | None
    service_port: int

    @classmethod
    def on_free_ports(cls, root: Path) -> "Stack":
        """Each tool's usual port, or the next free one above it."""
        return cls(root, prefect_port=free_port(4200), mlflow_port=free_port(5000), service_port=free_port(3000))

    def without_mlflow(self) -> "Stack":
        """The same, for when MLflow's server is not started."""
        return replace(self, mlflow_port=None)

    @property
    def env(self) -> dict[str, str]:
        """What tells every child where the others are, and keeps the user's own settings of these tools out of it."""
        database = f"sqlite:///{self.root}/mlflow.db"
        api = f"http://{HOST}:{self.prefect_port}/api"
        return {
            "PREFECT_HOME": str(self.root / HOME / "prefect"),
            "PREFECT_API_URL": api,
            "PREFECT_UI_API_URL": api,
            # By default leases live in the server's memory: killed together with a run, it would keep the run's place
            # taken in its database for ever, and the next run waiting.
            "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
            "MLFLOW_TRACKING_URI": f"http://{HOST}:{self.mlflow_port}" if self.mlflow_port else database,
            "BENTOML_HOME": str(self.root / HOME / "bentoml"),
            "EARMARK_ROOT": str(self.root),
        }

    @property
    def prefect(self) -> Service:
        """Prefect's server: its API, its UI and its scheduler."""
        address = f"http://{HOST}:{self.prefect_port}"
        command = [*processes.program("prefect"), "server", "start", "--host", HOST, "--port", str(self.prefect_port)]
        return Service("prefect", "flows, their runs and logs", command, f"{address}/api/health", address, self.env)

    @property
    def schedules(self) -> Service:
        """The process that runs the flows when Prefect's server says so."""
        command = [*processes.program("python"), str(self.root / "flows" / "serve.py")]
        address = f"http://{HOST}:{self.prefect_port}/deployments"
        health = f"http://{HOST}:{self.prefect_port}/api/deployments/name/feedback/hourly"
        # A running flow is told first, and it tells its stage.
        return Service(
            "schedules", "when flows run by themselves", command, health, address, self.env, grace_seconds=20.0
        )

    @property
    def mlflow(self) -> Service:
        """MLflow's server, over the same database and folder that `dvc repro` writes to without one."""
        address = f"http://{HOST}:{self.mlflow_port}"
        store = ["--backend-store-uri", f"sqlite:///{self.root}/mlflow.db"]
        # Clients write artefacts themselves: a run's path then means the same with the server and without.
        artefacts = ["--no-serve-artifacts", "--default-artifact-root", str(self.root / "mlruns")]
        place = ["--host", HOST, "--port", str(self.mlflow_port), "--workers", "1"]
        command = [*processes.program("mlflow"), "server", *store, *artefacts, *place]
        return Service("mlflow", "experiments and the registry", command, f"{address}/health", address, self.env)

    def service(self, *, ready: str = "livez") -> Service:
        """The BentoML service; ``readyz`` answers only when it has a champion, ``livez`` without one too."""
        address = f"http://{HOST}:{self.service_port}"
        command = [*processes.program("bentoml"), "serve", "--host", HOST, "--port", str(self.service_port)]
        return Service("service", "POST /predict", command, f"{address}/{ready}", address, self.env)


def up(root: Path) -> int:
    """Keep everything running; returns the exit code: 0 after Ctrl-C or SIGTERM.

    Raises:
        ToolError: It is running already, or one of the services died: its last lines are in the text.
    """
    root = root.resolve()
    try:
        with stop_on_signals(), only_one(root), Supervisor(root) as supervisor:
            stack = Stack.on_free_ports(root)
            click.echo(f"Starting; logs in {LOGS}/")
            for wave in ([stack.prefect, stack.mlflow], [stack.schedules, stack.service()]):
                for service in wave:
                    supervisor.start(service)
                supervisor.wait_until_ready(on_ready=show)
            click.echo("Everything runs. Ctrl-C ends it.")
            supervisor.watch()
    except KeyboardInterrupt:
        click.echo("Everything has ended.")
    return 0


def show(service: Service) -> None:
    """One line of the table of addresses."""
    click.echo(f"  {service.name:<10} {service.address:<35} {service.about}")


@contextmanager
def only_one(root: Path) -> Iterator[None]:
    """Hold the project's lock; it falls with the process, even by kill -9.

    Raises:
        ToolError: Another process holds it.
    """
    with ExitStack() as held:
        try:
            held.enter_context(locked(root / LOCK, wait=False))
        except BlockingIOError:
            raise ToolError(
                f"`earmark up` or `earmark demo` is running in {root} already. End it with Ctrl-C where it was started."
            ) from None
        (root / HOME / "prefect").mkdir(exist_ok=True)  # Prefect's server does not make it
        yield


@contextmanager
def stop_on_signals() -> Iterator[None]:
    """Let SIGTERM and a closed terminal end things in the same orderly way as Ctrl-C."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
