"""`earmark tune`: Optuna chooses what to try, the model room tries it, and MLflow shows it, a run for each trial.

At the end the best values are held against those of params.yaml, on the same folds, with seeds that no trial has had:
the best of many trials looks better than it is. The songs are the same ones, so a little of that is left; the gates
have the last word, on test songs.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from earmark.adapters.optuna import Attempt, Search, one_at_a_time
from earmark.adapters.recording import _experiment
from earmark.adapters.tracking import reaching
from earmark.errors import CatalogueError, ModelError, ToolError
from earmark.model.material import load_material
from earmark.model.metrics import Score
from earmark.model.network.starting import UNDESCRIBED
from earmark.model.network.training import Epoch
from earmark.model.tuning.search_space import Entry, Space, Value, space_of, with_values
from earmark.model.tuning.tuning import Held, check_starts, fresh_seeds, held_for_tuning, key_of, losses, paired
from earmark.params import Params
from earmark.workspace import FEATURES, SPLITS, TUNING

if TYPE_CHECKING:
    from mlflow import MlflowClient

Say = Callable[[str], None]


@dataclass(frozen=True)
class Tuned:
    """What a search has come to.

    Attributes:
        complete: Trials that ran through.
        pruned: Trials that were broken off.
        values: The best, by dotted names.
        present: Those of params.yaml.
        difference: Of what held-out songs lose, best minus present; None where the best are the present ones.
        repeats: How many fresh seeds it is the mean of.
        importance: Of each parameter; empty where there are too few trials to say.
        run_id: MLflow's run, above those of the trials.
    """

    complete: int
    pruned: int
    values: Mapping[str, Value]
    present: Mapping[str, Value]
    difference: Score | None
    repeats: int
    importance: Mapping[str, float]
    run_id: str

    @property
    def better(self) -> bool:
        """Whether the best are shown to be: all of the interval lies below 0."""
        return self.difference is not None and self.difference.high < 0


def tune(
    params: Params,
    root: Path,
    entries: Sequence[Entry],
    *,
    trials: int,
    timeout_s: float | None = None,
    say: Say = lambda line: None,
) -> Tuned:
    """Search, and hold the best against what is in params.yaml.

    Args:
        params: All of params.yaml.
        root: The project's folder; the stages up to `tags` have run.
        entries: What to search, as ``tuning.space``.
        trials: How many in all, those of earlier runs of the same search included.
        timeout_s: No trial is begun after so long; None: as long as it takes.
        say: Told how far it is.

    Raises:
        ParamsError: The space is not in order.
        CatalogueError: The stages have not run, or a genre has too few groups for so many folds.
        ModelError: No trial ran through; or weights to start from are missing, or know songs that are held out.
        RegistryError: MLflow cannot be reached, or refuses.
        ToolError: Another search works in this project, or Optuna's database cannot be used.
    """
    space = space_of(entries, params)
    if missing := [str(path) for path in (FEATURES, SPLITS) if not (root / path).is_file()]:
        raise CatalogueError(
            f"There is no {' and no '.join(missing)} to learn from. `dvc repro features tags` makes what is needed."
        )
    towards = params.network.embedding == "listeners"
    material = load_material(root, params.frontend, towards_listeners=towards)
    held = held_for_tuning(material, params)
    for folder in check_starts(material, held, space, params):
        say(f"{folder}: {UNDESCRIBED}")
    database = root / TUNING
    with _alone(database), reaching(root) as client:
        search = Search(
            database,
            key_of(held, space, params),
            space,
            seed=params.tuning.seed,
            # At the same epoch a longer training is behind a shorter one, whose learning rate is low by then.
            prune="training.epochs" not in space.dimensions,
        )
        with _parent(client, params, root, search) as run_id:
            _search(search, held, params, client, run_id, trials, timeout_s, say)
            return _concluded(search, space, held, params, client, run_id, say)


def _search(
    search: Search,
    held: Held,
    params: Params,
    client: "MlflowClient",
    run_id: str,
    trials: int,
    timeout_s: float | None,
    say: Say,
) -> None:
    from mlflow.exceptions import MlflowException

    began = time.monotonic()

    def objective(attempt: Attempt) -> float:
        child = _child(client, run_id, attempt)
        attempt.note("run_id", child)

        def on_epoch(fold: int, epoch: Epoch) -> None:
            for name in ("training_loss", "validation_loss", "validation_accuracy"):
                client.log_metric(child, f"fold_{fold + 1}/{name}", float(getattr(epoch, name)), step=epoch.epoch)
            if fold == 0:
                attempt.report(epoch.epoch, epoch.validation_loss)

        return float(losses(held, with_values(params, attempt.values), on_epoch=on_epoch).mean())

    def on_end(attempt: Attempt, state: str, value: float | None) -> None:
        child = attempt.notes["run_id"]
        if value is not None:
            client.log_metric(child, "held_out_loss", value)
        client.set_tag(child, "state", state)
        client.set_terminated(child, "FINISHED")
        came_to = "broken off" if value is None else f"held-out loss {value:.4f}"
        tried = ", ".join(f"{name} {value}" for name, value in attempt.values.items())
        say(f"trial {sum(search.counts())}/{trials}  {came_to}  ({tried})")

    def on_dead(notes: Mapping[str, str]) -> None:
        if "run_id" in notes:
            with suppress(MlflowException):  # another server, or somebody deleted it
                client.set_tag(notes["run_id"], "state", "killed")
                client.set_terminated(notes["run_id"], "KILLED")

    if done := sum(search.counts()):
        say(f"carried on after {done} trials")
    search.run(
        objective,
        trials=trials,
        first=search.space.present(params),
        until=lambda: timeout_s is not None and time.monotonic() - began > timeout_s,
        on_end=on_end,
        on_dead=on_dead,
    )


def _concluded(
    search: Search, space: Space, held: Held, params: Params, client: "MlflowClient", run_id: str, say: Say
) -> Tuned:
    best, present = search.best(), space.present(params)
    if best is None:
        raise ModelError(
            "No trial ran through, so there is nothing to choose from. Give it more time (--timeout-minutes) or more "
            "trials; the same command goes on where this one ended."
        )
    complete, pruned = search.counts()
    difference = None
    if not space.holds(present) or best != space.tidy(present):
        seeds = fresh_seeds(params, params.tuning.repeats)
        told: dict[str, list[Any]] = {"best": [], "present": []}
        for number, seed in enumerate(seeds, start=1):
            say(f"best against present, seed {number}/{len(seeds)}")
            told["best"].append(_once(search, held, params, best, seed))
            told["present"].append(_once(search, held, params, present, seed))
        difference = paired(told["best"], told["present"], held.groups, params.evaluation)
    tuned = Tuned(
        complete=complete,
        pruned=pruned,
        values=best,
        present=present,
        difference=difference,
        repeats=params.tuning.repeats,
        importance=search.importance(),
        run_id=run_id,
    )
    _log(client, tuned)
    return tuned


def _once(search: Search, held: Held, params: Params, values: Mapping[str, Value], seed: int) -> Any:
    """Losses with these values and this seed; computed once, so that a killed conclusion is carried on too."""
    name = f"fresh {seed} {sorted(values.items())}"
    if (found := search.noted(name)) is None:
        changed = with_values(params, values)
        changed = replace(changed, training=replace(changed.training, seed=seed))
        found = [float(f"{loss:.9g}") for loss in losses(held, changed)]
        search.note(name, found)
    return np.array(found)


@contextmanager
def _alone(database: Path) -> Iterator[None]:
    try:
        with one_at_a_time(database):
            yield
    except BlockingIOError:
        raise ToolError(
            "Another `earmark tune` works in this project. Wait until it has ended, or stop it with Ctrl-C."
        ) from None


@contextmanager
def _parent(client: "MlflowClient", params: Params, root: Path, search: Search) -> Iterator[str]:
    """The search's own run, the same one when it is carried on."""
    from mlflow.exceptions import MlflowException

    experiment = _experiment(
        client,
        replace(params, registry=replace(params.registry, experiment=f"{params.registry.experiment}-tuning")),
        root,
    )
    run_id = search.noted("run_id")
    try:
        client.update_run(run_id, status="RUNNING") if run_id else None
    except MlflowException:  # another server, or somebody deleted it
        run_id = None
    if run_id is None:
        tags = {"kind": "search", "mlflow.source.name": "earmark tune", "mlflow.source.type": "LOCAL"}
        run_id = client.create_run(experiment, tags=tags, run_name=f"search {search.name[:7]}").info.run_id
        for name, dimension in search.space.dimensions.items():
            client.log_param(run_id, name, str(dimension))
        search.note("run_id", run_id)
    try:
        yield run_id
    except BaseException as error:
        client.set_terminated(run_id, "KILLED" if isinstance(error, KeyboardInterrupt) else "FAILED")
        raise
    client.set_terminated(run_id, "FINISHED")


def _child(client: "MlflowClient", parent: str, attempt: Attempt) -> str:
    """A run for a trial."""
    experiment = client.get_run(parent).info.experiment_id
    tags = {"mlflow.parentRunId": parent, "kind": "trial", "state": "running"}
    run_id = str(client.create_run(experiment, tags=tags, run_name=f"trial {attempt.number}").info.run_id)
    for name, value in attempt.values.items():
        client.log_param(run_id, name, value)
    return run_id


def _log(client: "MlflowClient", tuned: Tuned) -> None:
    values = {f"importance/{name}": share for name, share in tuned.importance.items()}
    values |= {"trials_complete": tuned.complete, "trials_pruned": tuned.pruned}
    if tuned.difference is not None:
        values |= tuned.difference.flat("best_minus_present")
    for name, value in values.items():
        client.log_metric(tuned.run_id, name, float(value))
    for name, chosen in tuned.values.items():
        client.set_tag(tuned.run_id, f"best.{name}", str(chosen))
    client.set_tag(tuned.run_id, "better", str(tuned.better).lower())
