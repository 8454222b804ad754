"""Keeps a version current: asks now and then which one bears an alias, loads it beside the old one, swaps in one step.

Nothing that goes wrong here reaches a request. A registry that is down, or a version that fails its self-test, leaves
what is in service where it is, with a warning in the log: once, not every few seconds.
"""

import contextlib
import logging
import math
import os
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from earmark.errors import EarmarkError, RegistryError
from earmark.serving.champion import Champion, Source
from earmark.serving.errors import ChampionRefused

if TYPE_CHECKING:
    from earmark.model.predictor import Predictor

logger = logging.getLogger("bentoml.earmark")

_LONGEST_WAIT_S = 60.0
# Requests go first. Not lower: a thread that waits for a core may hold Python's lock meanwhile, and all wait with it.
_NICE = 5


@dataclass(frozen=True)
class _Failed:
    """A version that could not be had, how often, and when it is worth another try."""

    version: str
    error: Exception
    times: int
    again_at: float


class Follower:
    """Follows ``source``; `champion` is always either None or a version that passed its self-test.

    A version that was refused is not fetched again before another one was taken. One that could not be had, because of
    the network, is tried again at the next look, then ever more rarely, up to once a minute.

    Args:
        source: Where the version comes from.
        every_s: Seconds between two looks.
        spare: Asked when ``source`` cannot be reached and there is no version yet.
        alias: What is followed. A champion stays in service when the alias is taken away; any other version goes.
        prepare: Makes it fit to serve (the fastest engine, warmed up); what it returns has to pass the self-test.
        at_hand: The version if it is in memory already, prepared and tested.
        changed: Called after each swap.
        clock: Seconds from any beginning.
    """

    def __init__(
        self,
        source: Source,
        *,
        every_s: float,
        spare: Source | None = None,
        alias: str = "champion",
        prepare: Callable[[Champion], Champion] | None = None,
        at_hand: Callable[[str], Champion | None] | None = None,
        changed: Callable[[], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._source = source
        self._spare = spare
        self._every_s = every_s
        self._alias = alias
        self._stays = alias == "champion"
        self._prepare = prepare
        self._at_hand = at_hand
        self._changed = changed
        self._clock = clock
        self._champion: Champion | None = None
        self._refused: str | None = None
        self._failed: _Failed | None = None
        self._trouble: str | None = None
        self._stop = threading.Event()
        self._looked = threading.Event()
        self._thread = threading.Thread(target=self._follow, name=f"{alias}-follower", daemon=True)

    @property
    def champion(self) -> Champion | None:
        """The version in service; take it once a request, so that one answer comes from one version."""
        return self._champion

    @property
    def trouble(self) -> str | None:
        """What went wrong at the last look, or None."""
        return self._trouble

    def start(self, *, patience_s: float) -> None:
        """Begin to follow; return after the first look, or after ``patience_s`` if the registry is slow."""
        self._thread.start()
        self._looked.wait(patience_s)

    def stop(self) -> None:
        """Ask the thread to end; it does not hold up the process."""
        self._stop.set()

    def look(self) -> None:
        """Ask once, and swap if there is a new version. Never raises."""
        try:
            self._take(self._source)
            trouble = None
        except Exception as error:
            trouble = _reason(error)
            if isinstance(error, RegistryError) and self._champion is None and self._spare is not None:
                trouble = self._fall_back(trouble)
        if trouble and trouble != self._trouble:
            logger.warning("%s: %s", self._what_is_kept(), trouble)
        elif self._trouble and not trouble:
            logger.info("the %s can be followed again", self._alias)
        self._trouble = trouble

    def _follow(self) -> None:
        step_back(_NICE)
        while True:
            self.look()
            self._looked.set()
            if self._stop.wait(self._every_s):
                return

    def _take(self, source: Source) -> None:
        version = source.version()
        if version is None and not self._stays:
            self._swap(None)
            return
        if self._champion and version == self._champion.version:
            return
        if version is None:
            raise EarmarkError(
                "no version is the champion. Train and promote one: `earmark demo`, or the flow `training`, does that."
            )
        if version == self._refused:
            raise ChampionRefused(self._trouble or f"version {version} was refused.")
        champion = self._at_hand(version) if self._at_hand is not None else None
        self._swap(champion or self._fit(self._loaded(source, version)))

    def _loaded(self, source: Source, version: str) -> Champion:
        before = self._failed if self._failed is not None and self._failed.version == version else None
        if before is not None and self._clock() < before.again_at:
            raise before.error
        try:
            champion = source.load()
        except Exception as error:
            times = 1 + (before.times if before is not None else 0)
            wait_s = min(_LONGEST_WAIT_S, self._every_s * (2 ** min(times - 1, 30) - 1))
            self._failed = _Failed(version, error, times, self._clock() + wait_s)
            raise
        self._failed = None
        return champion

    def _fit(self, champion: Champion) -> Champion:
        """Prepared and tested, in this order: what really serves is tested.

        Raises:
            ChampionRefused: It is not fit to serve.
        """
        try:
            prepared = champion if self._prepare is None else self._prepare(champion)
            self_test(prepared.predictor)
        except Exception as error:
            self._refused = champion.version
            raise ChampionRefused(
                f"version {champion.version} fails its self-test and is refused: {_reason(error)}"
            ) from error
        return prepared

    def _swap(self, champion: Champion | None) -> None:
        self._champion, before = champion, self._champion
        self._refused = None
        if champion is not None:
            place = "in service" if self._stays else f"here as {self._alias}"
            after = f", after {before.version}" if before else ""
            logger.info("version %s of %s is %s%s", champion.version, champion.name, place, after)
        elif before is not None:
            logger.info("version %s of %s is no longer here as %s", before.version, before.name, self._alias)
        if self._changed is not None and champion is not before:
            self._changed()

    def _what_is_kept(self) -> str:
        if self._champion is None:
            return "there is no champion to serve" if self._stays else f"there is no {self._alias} to take up"
        return f"version {self._champion.version} stays " + ("in service" if self._stays else "in memory")

    def _fall_back(self, trouble: str) -> str:
        assert self._spare is not None
        try:
            self._take(self._spare)
        except Exception as error:
            return f"{trouble} The exported copy does not help either: {_reason(error)}"
        return trouble


def step_back(nice: int) -> None:
    """Let this thread compute on one core, and (on Linux) yield to the others by so much niceness."""
    import torch

    torch.set_num_threads(1)
    if sys.platform == "linux":
        with contextlib.suppress(OSError):  # somebody made the whole process nicer than this
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), nice)


def self_test(predictor: "Predictor") -> None:
    """Ask ``predictor`` about noise, a second of it or as much as it needs; the first request then finds it warm.

    Raises:
        ChampionRefused: The probabilities are not one for each label, between 0 and 1, adding up to 1; or the shares
            not one for each tag, between 0 and 1.
        EarmarkError: Whatever the predictor raises.
    """
    import torch

    seconds = max(1.0, predictor.minimum_seconds)
    samples = math.ceil(seconds * predictor.frontend.sample_rate_hz)
    noise = torch.rand(samples, generator=torch.Generator().manual_seed(1)) * 0.2 - 0.1
    prediction = predictor.predict(noise)
    genres = prediction.genres
    probabilities = [genre.probability for genre in genres]
    if {genre.genre for genre in genres} != set(predictor.labels):
        raise ChampionRefused(f"it answers for {len(genres)} genres and was trained on {len(predictor.labels)}.")
    if not all(0.0 <= probability <= 1.0 for probability in probabilities) or abs(sum(probabilities) - 1.0) > 1e-3:
        raise ChampionRefused(f"its probabilities for noise are {probabilities}, which are none.")
    if {each.tag for each in prediction.tags} != set(predictor.tags):
        raise ChampionRefused(f"it answers for {len(prediction.tags)} tags and was taught {len(predictor.tags)}.")
    if not all(0.0 <= each.share <= 1.0 for each in prediction.tags):
        raise ChampionRefused(f"its tags' shares for noise are {[each.share for each in prediction.tags]}.")


def _reason(error: Exception) -> str:
    return str(error) if isinstance(error, EarmarkError) else f"{type(error).__name__}: {error}"
