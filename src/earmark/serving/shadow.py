"""The shadow: another version answers some of the recordings, too, behind the scenes, and is held against the first.

The challenger listens to a share of what the champion answers (`rollout.shadow_share`); of what a canary answers, the
champion hears all, so that a rollout knows how often they disagree on the same song. Nobody waits for any of it: one
thread of low priority works on a short queue when the service has nothing else to do, and what does not fit is dropped
and counted (so are recordings of more than a quarter of an hour). What was found goes to Prometheus at once, and to
MLflow every minute or 100 recordings; where MLflow is down, later.
"""

import logging
import queue
import random
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from earmark.errors import EarmarkError
from earmark.params import Params
from earmark.serving.champion import Champion
from earmark.serving.fleet import Fleet
from earmark.serving.follower import step_back

if TYPE_CHECKING:
    from earmark.adapters.shadow_run import Disagreement, Sums
    from earmark.model.prediction import Prediction

REPORT_S, REPORT_COMPARED = 60.0, 100
MOST_WAITING, MOST_SAMPLES = 8, 16_000_000  # recordings, and samples of all together: 64 MB
MOST_EXAMPLES = 50  # of a pair, from one worker
_PATIENCE_S = 30.0  # older recordings are dropped
_AT_LEAST_EVERY_S = 10.0  # a canary's recording is heard however busy the service is: a rollout has to go on
_LOOK_S = 0.05
_NICE = 10  # not lower: see `earmark.serving.follower`

logger = logging.getLogger("bentoml.earmark")


@dataclass(frozen=True, eq=False)
class _Offered:
    """A recording that was answered, and who shall answer it once more."""

    samples: Any  # torch.Tensor or numpy.ndarray, shape (time,)
    sample_rate_hz: int
    prediction: "Prediction"
    seconds: float | None
    first: Champion
    second: Champion
    content_hash: str
    at: float

    @property
    def newcomer(self) -> Champion:
        return self.first if self.first.role == "canary" else self.second

    @property
    def champion(self) -> Champion:
        return self.second if self.first.role == "canary" else self.first


@dataclass
class _Pair:
    """What this worker knows of two versions side by side."""

    sums: "Sums"
    reported: int = 0
    examples: "list[Disagreement]" = field(default_factory=list)

    @property
    def waiting(self) -> int:
        return self.sums.compared - self.reported


class Shadow:
    """Lets another version answer what was answered; `offer` is all that a request has to do with it.

    Args:
        fleet: Whose champion and challenger answer.
        params: Section ``rollout``, and where MLflow's runs belong.
        root: The project's folder.
        busy: Whether requests need the machine; then the shadow waits.
        draw: A number in [0, 1) for each recording, to choose `rollout.shadow_share` of them.
        clock: Seconds from any beginning.
    """

    def __init__(
        self,
        fleet: Fleet,
        params: Params,
        root: Path,
        *,
        busy: Callable[[], bool] = lambda: False,
        draw: Callable[[], float] = random.random,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._fleet, self._params, self._root = fleet, params, root
        self._busy, self._draw, self._clock = busy, draw, clock
        self._worker = uuid.uuid4().hex[:12]
        self._queue: queue.Queue[_Offered] = queue.Queue(MOST_WAITING)
        self._samples = 0
        self._counting = threading.Lock()
        self._pairs: dict[tuple[str, str], _Pair] = {}
        self._reported_at = clock()
        self._report_again_at = 0.0
        self._heard_at = clock()
        self._trouble: str | None = None
        self._warned: set[tuple[str, str]] = set()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="shadow", daemon=True)

    def start(self) -> None:
        """Begin to listen."""
        self._thread.start()

    def stop(self, *, patience_s: float = 5.0) -> None:
        """End; what was found is logged, if that takes no longer than ``patience_s``."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(patience_s)

    def offer(
        self,
        waveform: Any,
        sample_rate_hz: int,
        prediction: "Prediction",
        champion: Champion,
        content_hash: str,
        *,
        seconds: float | None = None,
    ) -> None:
        """A recording was answered. Returns at once and never raises.

        Args:
            waveform: Mono samples, shape ``(time,)``, a tensor or an array; nobody may change them afterwards.
            sample_rate_hz: Of the waveform.
            prediction: The answer.
            champion: Who gave it, the canary if it was.
            content_hash: Names the recording.
            seconds: How long it took from waveform to answer.
        """
        try:
            second = self._second(champion)
            if second is None:
                return
            offered = _Offered(
                waveform, sample_rate_hz, prediction, seconds, champion, second, content_hash, self._clock()
            )
            if not self._fits(offered) or not self._has_room(len(waveform)):
                self._drop()
                return
            try:
                self._queue.put_nowait(offered)
            except queue.Full:
                self._give_back(len(waveform))
                self._drop()
        except Exception:
            logger.exception("a recording could not be handed to the shadow")

    def _second(self, first: Champion) -> Champion | None:
        """Who else shall answer, or None."""
        if first.role == "canary":
            second = self._fleet.champion
        else:
            second = self._fleet.shadow
            if second is None or self._draw() >= self._params.rollout.shadow_share:
                return None
        return None if second is None or second.version == first.version else second

    def _fits(self, offered: _Offered) -> bool:
        """Whether the second can hear all that it is used to; it cannot where the first hears less high."""
        needed = offered.second.predictor.frontend.sample_rate_hz
        pair = (offered.first.version, offered.second.version)
        if needed > offered.sample_rate_hz and pair not in self._warned:
            self._warned.add(pair)
            logger.warning(
                "version %s cannot be compared behind the scenes: it hears up to %d Hz, and the recordings are decoded "
                "for version %s, which hears up to %d Hz",
                offered.second.version,
                needed // 2,
                offered.first.version,
                offered.sample_rate_hz // 2,
            )
        return needed <= offered.sample_rate_hz

    def _has_room(self, samples: int) -> bool:
        with self._counting:
            if self._samples + samples > MOST_SAMPLES:
                return False
            self._samples += samples
            return True

    def _give_back(self, samples: int) -> None:
        with self._counting:
            self._samples -= samples

    def _drop(self) -> None:
        from earmark.serving.metrics import SHADOW_DROPPED

        SHADOW_DROPPED.inc()

    def _work(self) -> None:
        step_back(_NICE)
        while not self._stop.is_set():
            try:
                offered = self._queue.get(timeout=0.5)
            except queue.Empty:
                pass
            else:
                self._turn_to(offered)
                self._give_back(len(offered.samples))
                del offered  # a waveform may be large
            if self._time_to_report():
                self._report()
        self._report()

    def _turn_to(self, offered: _Offered) -> None:
        while self._has_to_wait(offered) and self._clock() - offered.at < _PATIENCE_S:
            self._stop.wait(_LOOK_S)
        if self._stop.is_set() or self._clock() - offered.at >= _PATIENCE_S:
            self._drop()
            return
        self._heard_at = self._clock()
        try:
            self._compare(offered)
        except Exception as error:
            if isinstance(error, EarmarkError):
                logger.warning("version %s could not answer behind the scenes: %s", offered.second.version, error)
            else:
                logger.exception("version %s failed behind the scenes", offered.second.version)
            self._count(offered, "failed", None)

    def _has_to_wait(self, offered: _Offered) -> bool:
        due = offered.first.role == "canary" and self._clock() - self._heard_at >= _AT_LEAST_EVERY_S
        return self._busy() and not due and not self._stop.is_set()

    def _compare(self, offered: _Offered) -> None:
        from earmark.adapters.shadow_run import Disagreement, Sums
        from earmark.serving.metrics import COMPARED, DISAGREEMENTS

        predictor = offered.second.predictor
        waveform = resampled(offered.samples, offered.sample_rate_hz, predictor.frontend.sample_rate_hz)
        began = self._clock()
        answer = predictor.predict(waveform)
        seconds = self._clock() - began
        self._count(offered, "answered", seconds)
        if offered.newcomer is offered.second:
            new, old = answer, offered.prediction
            one = compared(new, old, newcomer_s=seconds, champion_s=offered.seconds)
        else:
            new, old = offered.prediction, answer
            one = compared(new, old, newcomer_s=offered.seconds, champion_s=seconds)
        key = (offered.newcomer.version, offered.champion.version)
        COMPARED.labels(*key).inc()
        pair = self._pairs.setdefault(key, _Pair(Sums()))
        pair.sums += one
        if one.agreed:
            return
        DISAGREEMENTS.labels(*key, "genre").inc()
        if len(pair.examples) < MOST_EXAMPLES:
            pair.examples.append(
                Disagreement(
                    offered.content_hash,
                    new.genre,
                    round(new.genres[0].probability, 4),
                    old.genre,
                    round(old.genres[0].probability, 4),
                )
            )

    def _count(self, offered: _Offered, outcome: str, seconds: float | None) -> None:
        from earmark.serving.metrics import REQUEST_SECONDS, REQUESTS

        version = offered.second.version
        REQUESTS.labels("predict", "shadow", version, outcome).inc()
        if seconds is not None:
            REQUEST_SECONDS.labels("predict", "shadow", version).observe(seconds)

    def _time_to_report(self) -> bool:
        now = self._clock()
        waiting = max((pair.waiting for pair in self._pairs.values()), default=0)
        if not waiting or now < self._report_again_at:
            return False
        return waiting >= REPORT_COMPARED or now - self._reported_at >= REPORT_S

    def _report(self) -> None:
        """Log what is new; what cannot be logged now stays for later."""
        from earmark.adapters.shadow_run import report

        self._reported_at = self._clock()
        for (version, against), pair in self._pairs.items():
            if not pair.waiting:
                continue
            try:
                report(
                    self._params,
                    self._root,
                    version=version,
                    against=against,
                    worker=self._worker,
                    sums=pair.sums,
                    examples=pair.examples,
                )
            except Exception as error:  # whatever MLflow, its database or its artefacts' store may raise
                said = f"{type(error).__name__}: {error}"
                if self._trouble is None:
                    logger.warning("what the shadow found cannot be logged in MLflow now, and is kept: %s", said)
                self._trouble = said
                self._report_again_at = self._clock() + REPORT_S
                return
            pair.reported = pair.sums.compared
        if self._trouble is not None:
            self._trouble = None
            logger.info("what the shadow found is logged in MLflow again")


def compared(
    newcomer: "Prediction", champion: "Prediction", *, newcomer_s: float | None = None, champion_s: float | None = None
) -> "Sums":
    """Two answers about one recording, as sums of one."""
    from earmark.adapters.shadow_run import Sums

    new = {each.genre: each.probability for each in newcomer.genres}
    old = {each.genre: each.probability for each in champion.genres}
    shares = {each.tag: each.share for each in champion.tags}
    apart = [abs(each.share - shares[each.tag]) for each in newcomer.tags if each.tag in shares]
    appeal = (newcomer.appeal, champion.appeal)
    return Sums(
        compared=1,
        agreed=int(newcomer.genre == champion.genre),
        # A genre that only one of them knows has no probability for the other.
        variation=sum(abs(new.get(genre, 0.0) - old.get(genre, 0.0)) for genre in new.keys() | old.keys()) / 2,
        tagged=int(bool(apart)),
        tags=sum(apart) / len(apart) if apart else 0.0,
        liked=int(None not in appeal),
        appeal=abs(appeal[0].share - appeal[1].share) if appeal[0] and appeal[1] else 0.0,
        newcomer_timed=int(newcomer_s is not None),
        newcomer_s=newcomer_s or 0.0,
        champion_timed=int(champion_s is not None),
        champion_s=champion_s or 0.0,
    )


def resampled(samples: Any, from_hz: int, to_hz: int) -> Any:
    """A mono waveform as a tensor ``(time,)`` at another rate; the same one where the rates agree."""
    import numpy as np
    import torch

    if from_hz == to_hz:
        return torch.as_tensor(samples)
    from earmark.audio.samples import Resampler

    resampler = Resampler(from_hz, to_hz)
    array = np.asarray(samples, dtype=np.float32)[None]
    return torch.from_numpy(np.concatenate([*resampler.push(array), *resampler.flush()], axis=1)[0])
