"""Optuna: which values to try next, which trials are hopeless, and what was tried, in a database that outlives a kill.

Trials are kept in SQLite. One that was killed, or stopped by Ctrl-C, is marked as failed when the search goes on, and
its values are tried again. What comes next follows from the seed and from the trials that ended: a search that was
killed finds what one that ran through does.
"""

import logging
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from earmark.errors import ToolError
from earmark.files import locked
from earmark.model.tuning.search_space import Space, Spread, Value

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial, Trial

_TRIES = 3  # of the same values, where each time the process was killed: they may be what kills it
_STARTUP = 8  # trials at random, and trials complete before any is broken off, are about as many


class Pruned(Exception):
    """A trial that is broken off: what it would come to is not worth the time."""


@dataclass(frozen=True)
class Attempt:
    """One trial under way.

    Attributes:
        number: Of the trial in its search.
        values: To try.
    """

    number: int
    values: dict[str, Value]
    _trial: "Trial"

    def report(self, step: int, value: float) -> None:
        """Tell an intermediate value, the lower the better.

        Raises:
            Pruned: It is no number any more, or higher than the median of the other trials at that step.
        """
        if not np.isfinite(value):
            raise Pruned
        self._trial.report(value, step)
        if self._trial.should_prune():
            raise Pruned

    def note(self, name: str, value: str) -> None:
        """Keep a text with the trial."""
        self._trial.set_user_attr(name, value)

    @property
    def notes(self) -> dict[str, str]:
        """What was kept."""
        return dict(self._trial.user_attrs)


class Search:
    """A search that can be killed and carried on.

    Args:
        database: A SQLite file; one search at a time works in it.
        name: Of the search.
        space: Where it searches.
        seed: Of all draws.
        prune: Whether trials may be broken off.

    Raises:
        ToolError: The database cannot be used.
    """

    def __init__(self, database: Path, name: str, space: Space, *, seed: int, prune: bool = True) -> None:
        import optuna
        from sqlalchemy.exc import SQLAlchemyError

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        logging.getLogger("alembic").setLevel(logging.ERROR)
        database.parent.mkdir(parents=True, exist_ok=True)
        self.name, self.space, self.seed = name, space, seed
        pruner: Any = optuna.pruners.MedianPruner(n_startup_trials=_STARTUP // 2, n_warmup_steps=2)
        try:
            self._study: Study = optuna.create_study(
                storage=f"sqlite:///{database.resolve()}",
                study_name=name,
                direction="minimize",
                pruner=pruner if prune else optuna.pruners.NopPruner(),
                load_if_exists=True,
            )
        except (SQLAlchemyError, RuntimeError) as error:
            raise ToolError(
                f"Optuna's database {database} cannot be used: {str(error).splitlines()[0]}. If another version of "
                "Optuna wrote it, or it is damaged, move it aside: the search begins anew."
            ) from error

    def run(
        self,
        objective: Callable[[Attempt], float],
        *,
        trials: int,
        first: Mapping[str, Value] | None = None,
        until: Callable[[], bool] = lambda: False,
        on_end: Callable[[Attempt, str, float | None], None] = lambda attempt, state, value: None,
        on_dead: Callable[[Mapping[str, str]], None] = lambda notes: None,
    ) -> None:
        """Go on until so many trials have ended, those of earlier runs included.

        Args:
            objective: Called with each attempt; the lower what it returns, the better. It may raise `Pruned`. Any other
                error ends the search, and the trial as failed; where it was a Ctrl-C, its values are tried again.
            trials: How many.
            first: Values to begin with, where the space holds them.
            until: Asked before each trial: whether to stop.
            on_end: Told of each trial that ended: ``complete`` or ``pruned``, and what it came to.
            on_dead: Told the notes of each trial that an earlier run has left unfinished.
        """
        for notes in self._bury():
            on_dead(notes)
        if first is not None and self.space.holds(first) and not self._study.get_trials(deepcopy=False):
            self._study.enqueue_trial(dict(first))
        while len(self._ended()) < trials and not until():
            attempt = self._ask()
            try:
                value: float | None = objective(attempt)
                if value is None or not np.isfinite(value):
                    raise Pruned
            except Pruned:
                self._study.tell(attempt._trial, state=_states().PRUNED)
                on_end(attempt, "pruned", None)
            except KeyboardInterrupt:
                raise  # left as it is, as if it had been killed
            except BaseException:
                self._study.tell(attempt._trial, state=_states().FAIL)
                raise
            else:
                self._study.tell(attempt._trial, value)
                on_end(attempt, "complete", value)

    def counts(self) -> tuple[int, int]:
        """How many trials are complete, and how many were pruned."""
        states = [trial.state for trial in self._ended()]
        return states.count(_states().COMPLETE), states.count(_states().PRUNED)

    def best(self) -> dict[str, Value] | None:
        """The values that came to the least; None where no trial is complete."""
        complete = [trial for trial in self._ended() if trial.state == _states().COMPLETE]
        return self.space.tidy(min(complete, key=lambda trial: trial.value or 0.0).params) if complete else None

    def importance(self) -> dict[str, float]:
        """What share of the differences between trials each parameter accounts for (fANOVA: Hutter et al., ICML 2014).

        Empty where there are too few trials to say.
        """
        from optuna.importance import get_param_importances

        if self.counts()[0] < 4:
            return {}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                return {name: float(share) for name, share in get_param_importances(self._study).items()}
            except (RuntimeError, ValueError):  # all trials came to the same
                return {}

    def note(self, name: str, value: Any) -> None:
        """Keep something with the search, fit for JSON."""
        self._study.set_user_attr(name, value)

    def noted(self, name: str) -> Any:
        """What was kept; None where nothing was."""
        return self._study.user_attrs.get(name)

    def _ended(self) -> "list[FrozenTrial]":
        states = _states()
        return list(self._study.get_trials(deepcopy=False, states=(states.COMPLETE, states.PRUNED)))

    def _ask(self) -> Attempt:
        import optuna

        # A sampler of its own for each: one for all would repeat its draws when the search is carried on.
        seed = int(np.random.SeedSequence([self.seed, len(self._ended())]).generate_state(1)[0])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            self._study.sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=_STARTUP)
        trial = self._study.ask()
        values: dict[str, Any] = {}
        for name, dimension in self.space.dimensions.items():
            if not isinstance(dimension, Spread):
                values[name] = trial.suggest_categorical(name, dimension.choices)
            elif dimension.whole:
                values[name] = trial.suggest_int(name, int(dimension.low), int(dimension.high), log=dimension.log)
            else:
                values[name] = trial.suggest_float(name, dimension.low, dimension.high, log=dimension.log)
        return Attempt(trial.number, self.space.tidy(values), trial)

    def _bury(self) -> list[dict[str, str]]:
        """Trials that count as running are dead: only one search at a time works here. Their values wait again."""
        again = {trial.user_attrs.get("again_of") for trial in self._study.get_trials(deepcopy=False)}
        dead = self._study.get_trials(deepcopy=False, states=(_states().RUNNING,))
        for trial in dead:
            tries = int(trial.user_attrs.get("tries", 1))
            values = {**trial.system_attrs.get("fixed_params", {}), **trial.params}
            # First they wait, then the dead one is marked: a kill between the two loses nothing, and doubles nothing.
            if values and tries < _TRIES and trial.number not in again:
                self._study.enqueue_trial(values, user_attrs={"again_of": trial.number, "tries": tries + 1})
            self._study.tell(trial.number, state=_states().FAIL)
        return [dict(trial.user_attrs) for trial in dead]


def one_at_a_time(database: Path) -> Any:
    """Hold the search's lock.

    Raises:
        BlockingIOError: On entering: another search holds it.
    """
    return locked(database.with_suffix(".lock"), wait=False)


def _states() -> Any:
    from optuna.trial import TrialState

    return TrialState
