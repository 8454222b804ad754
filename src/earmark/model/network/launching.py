"""Several processes that train together: how many there are, and how they are started on one machine.

On several machines torchrun starts them. Whatever fails in one of them, or a Ctrl-C, ends all of them.
"""

import os
import pickle
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import torch

from earmark.errors import EarmarkError, ModelError, ParamsError
from earmark.params import Training

Result = TypeVar("Result")


def is_first_process() -> bool:
    """Whether this is the process that writes results, where several train together."""
    return int(os.environ.get("RANK", "0")) == 0


def launched() -> bool:
    """Whether torchrun, or `launch`, has started this process."""
    return "LOCAL_RANK" in os.environ


def processes_here(how: Training) -> int:
    """How many processes train on this machine.

    Raises:
        ParamsError: There are fewer devices than asked for, or torchrun has started other processes.
    """
    if launched():
        return _started(how)
    if how.nodes > 1:
        raise ParamsError(
            f"training.nodes is {how.nodes}, but this process is alone. Start it on each machine by torchrun, with "
            f"--nnodes {how.nodes}, or set training.nodes to 1."
        )
    gpus = torch.cuda.device_count()
    if not how.devices:
        return max(1, gpus)
    if gpus and how.devices > gpus:
        raise ParamsError(
            f"training.devices is {how.devices}, but this machine has {gpus} GPU(s). Set it to 0 for all there are."
        )
    return how.devices


def launch(processes: int, function: Callable[..., Result], *arguments: object) -> Result:
    """Call ``function(*arguments)`` in so many processes, by torchrun's own launcher; what the first one returns.

    Raises:
        EarmarkError: As it was raised in the process that failed first.
        ModelError: That process failed by something else.
    """
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=processes,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        local_addr="localhost",  # else the machine's own name is looked up, which not every network knows
        run_id="earmark",
        start_method="spawn",
        max_restarts=0,
        monitor_interval=0.2,
        signals_to_handle="SIGTERM,SIGINT",
    )
    with tempfile.TemporaryDirectory(prefix="earmark-training-") as folder, _own_signals():
        try:
            result: Result = elastic_launch(config, _one_of)(Path(folder), function, arguments)[0]
        except SignalException as ended:
            if ended.sigval == signal.SIGINT:
                raise KeyboardInterrupt from None
            raise SystemExit(128 + ended.sigval) from None
        except ChildFailedError as failed:
            raise _cause(failed, Path(folder)) from None
    return result


def _started(how: Training) -> int:
    """How many processes were started on this machine, which params.yaml has to agree with."""
    here, everywhere = (int(os.environ.get(name, "1")) for name in ("LOCAL_WORLD_SIZE", "WORLD_SIZE"))
    if everywhere != here * how.nodes or how.devices not in (0, here):
        raise ParamsError(
            f"torchrun has started {everywhere} processes, {here} of them on this machine, but training.devices is "
            f"{how.devices} and training.nodes is {how.nodes}. Set devices to 0 or to torchrun's --nproc-per-node, and "
            "nodes to its --nnodes."
        )
    return here


@contextmanager
def _own_signals() -> Iterator[None]:
    """The launcher puts handlers of its own in place, and leaves them there."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _one_of(folder: Path, function: Callable[..., Result], arguments: tuple[object, ...]) -> Result | None:
    try:
        result = function(*arguments)
    except Exception as error:
        with suppress(Exception):  # what cannot be sent is still told in words
            (folder / os.environ["RANK"]).write_bytes(pickle.dumps(error))
        raise
    return result if is_first_process() else None


def _cause(failed: Any, folder: Path) -> EarmarkError:
    """Why the process that failed first did."""
    rank, failure = failed.get_first_failure()
    error = None
    with suppress(Exception):
        error = pickle.loads((folder / str(rank)).read_bytes())
    if isinstance(error, EarmarkError):
        return error
    if error is not None:
        why = f"{type(error).__name__}: {error}"
    elif failure.exitcode < 0:
        why = f"it was ended by {signal.Signals(-failure.exitcode).name}; if nobody did that, memory may have run out"
    else:
        why = f"it ended with {failure.exitcode}; what it said stands above"
    return ModelError(
        f"Process {rank} of those that train together failed: {why}. Mend that and start again: it is carried on after "
        "the last whole epoch. With training.devices at 1 it trains in a single process."
    )
