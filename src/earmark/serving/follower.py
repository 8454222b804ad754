"""Keeps the champion current: asks for its version now and then, loads a new one beside the old, swaps in one step.

Nothing that goes wrong here reaches a request. A registry that is down, or a version that fails its self-test, leaves
the champion that is in service where it is, with a warning in the log: once, not every few seconds.
"""

import logging
import math
import threading
from typing import TYPE_CHECKING

from earmark.errors import EarmarkError, RegistryError
from earmark.serving.champion import Champion, Source
from earmark.serving.errors import ChampionRefused

if TYPE_CHECKING:
    from earmark.model.predictor import Predictor

logger = logging.getLogger("bentoml.earmark")


class Follower:
    """Follows ``source``; `champion` is always either None or a champion that passed its self-test.

    Args:
        source: Where the champion comes from.
        every_s: Seconds between two looks.
        spare: Asked when ``source`` cannot be reached and there is no champion yet.
    """

    def __init__(self, source: Source, *, every_s: float, spare: Source | None = None) -> None:
        self._source = source
        self._spare = spare
        self._every_s = every_s
        self._champion: Champion | None = None
        self._refused: str | None = None
        self._trouble: str | None = None
        self._stop = threading.Event()
        self._looked = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="champion-follower", daemon=True)

    @property
    def champion(self) -> Champion | None:
        """The champion in service; take it once a request, so that one answer comes from one version."""
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
        """Ask once, and swap if there is a new champion. Never raises."""
        try:
            self._take(self._source)
            trouble = None
        except Exception as error:
            trouble = _reason(error)
            if isinstance(error, RegistryError) and self._champion is None and self._spare is not None:
                trouble = self._fall_back(trouble)
        if trouble and trouble != self._trouble:
            kept = (
                f"version {self._champion.version} stays in service"
                if self._champion
                else "there is no champion to serve"
            )
            logger.warning("%s: %s", kept, trouble)
        elif self._trouble and not trouble:
            logger.info("the champion can be followed again")
        self._trouble = trouble

    def _follow(self) -> None:
        while True:
            self.look()
            self._looked.set()
            if self._stop.wait(self._every_s):
                return

    def _take(self, source: Source) -> None:
        version = source.version()
        if self._champion and version == self._champion.version:
            return
        if version is None:
            raise EarmarkError(
                "no version is the champion. Train and promote one: `earmark demo`, or the flow `training`, does that."
            )
        if version == self._refused:
            raise ChampionRefused(self._trouble or f"version {version} was refused.")
        champion = source.load()
        try:
            self_test(champion.predictor)
        except Exception as error:
            self._refused = champion.version
            raise ChampionRefused(
                f"version {champion.version} fails its self-test and is refused: {_reason(error)}"
            ) from error
        self._champion, before = champion, self._champion
        self._refused = None
        logger.info(
            "version %s of %s is in service%s",
            champion.version,
            champion.name,
            f", after {before.version}" if before else "",
        )

    def _fall_back(self, trouble: str) -> str:
        assert self._spare is not None
        try:
            self._take(self._spare)
        except Exception as error:
            return f"{trouble} The exported copy does not help either: {_reason(error)}"
        return trouble


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
