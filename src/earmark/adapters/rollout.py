"""A version takes over step by step: it answers a growing share of live requests, and is promoted, or goes back.

Whoever calls this only watches: the share lies in the registry (`canary`), where all services read it, and what the
newcomer does is counted by the services. So a rollout that is killed leaves the canary at its share, and the next one
carries on at that step.
"""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from earmark.adapters import canary
from earmark.adapters.canary import ALIAS, Borne, borne_in
from earmark.adapters.live import Totals, Watch, compared, side
from earmark.adapters.live_gates import Live, enough, fewest, hopeless, judge
from earmark.adapters.tracking import reaching
from earmark.errors import EarmarkError, GateError, ParamsError, RegistryError, ToolError
from earmark.files import locked
from earmark.model.comparing.promotion import Gate, Verdict
from earmark.params import Params

if TYPE_CHECKING:
    from mlflow import MlflowClient

SERVICE = "http://127.0.0.1:3000"
_LOCK = Path(".earmark/rollout.lock")
_TAKEN_UP_S = 60.0  # within which services load a version; they look every few seconds
_QUIET_S = 30.0  # without a request, until that is said
_ALMOST = 1e-9

Say = Callable[[str], None]


@dataclass(frozen=True)
class Status:
    """Where a rollout stands.

    Attributes:
        version: The canary.
        share: Of the requests that it answers, in [0, 1].
        step: The place of this share among ``rollout.steps``, from 1.
        of: How many steps there are.
        since: When the step began, in UTC.
        champion: The version that answers the rest.
    """

    version: str
    share: float
    step: int
    of: int
    since: str | None
    champion: str | None


@dataclass(frozen=True)
class Promoted:
    """A rollout that went well.

    Attributes:
        version: The champion now.
        before: The champion until then; the same where it had been promoted already.
        gates: The last step's.
    """

    version: str
    before: str
    gates: tuple[Gate, ...] = ()


def rollout(
    params: Params,
    root: Path,
    version: str | None = None,
    *,
    services: Sequence[str] = (SERVICE,),
    key: str | None = None,
    because: str | None = None,
    by: str | None = None,
    timeout_s: float | None = None,
    every_s: float = 2.0,
    say: Say = print,
    fetch: Callable[[str], str] | None = None,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> Promoted:
    """Let a version take over by the steps of ``rollout.steps``; fit to be called from a flow, too.

    Whatever ends it before the end (a gate, an error, Ctrl-C) puts the champion back for all requests.

    Args:
        params: Section ``rollout`` says how.
        root: The project's folder.
        version: Number or alias [default: the canary there is, else the challenger].
        services: Addresses of all services that follow this registry, each replica's own.
        key: An API key for their `/metrics`.
        because: Why it is promoted, though the gates of params.yaml's section ``gates`` are against it.
        by: Who does this, if that shall be known.
        timeout_s: Go back when a step waits for so long and nothing comes; None waits for ever.
        every_s: Seconds between two looks.
        say: Told what happens, line by line.
        fetch: The text at an address.
        sleep: Waits for seconds.
        clock: Seconds from any beginning.

    Raises:
        GateError: It went back; or it may not begin, because it does not pass the gates.
        RegistryError: There is no such version, another one is being tried, or MLflow cannot be reached.
        ToolError: No service answers.
    """
    steps = checked_steps(params)
    with _alone(root):
        begun = _begin(params, root, version, because)
        if begun.newcomer == begun.verdict.champion:
            canary.stop(params, root, why="", version=begun.newcomer)
            say(f"Version {begun.newcomer} is the champion already.")
            return Promoted(begun.newcomer, begun.newcomer)
        road = _Road(
            params, root, begun, services, fetch or _fetcher(key), say, sleep, clock, every_s, timeout_s, because, by
        )
        road.reach_services()
        try:
            return road.walk(steps)
        except BaseException as error:
            road.back(error)
            raise


def status(params: Params, root: Path) -> Status | None:
    """Where the rollout stands, or None where there is none.

    Raises:
        RegistryError: MLflow cannot be reached.
    """
    found, champion = canary.borne(params, root, ALIAS), canary.borne(params, root, "champion")
    if found is None:
        return None
    steps = checked_steps(params)
    return Status(
        version=found.version,
        share=found.share,
        step=step_of(steps, found.share) + 1,
        of=len(steps),
        since=found.since,
        champion=champion.version if champion else None,
    )


def checked_steps(params: Params) -> Sequence[float]:
    """``rollout.steps``.

    Raises:
        ParamsError: They do not grow, or are no shares.
    """
    steps = params.rollout.steps
    if not steps or not all(0.0 < step <= 1.0 for step in steps) or sorted(set(steps)) != list(steps):
        raise ParamsError(
            f"rollout.steps in params.yaml is {steps}; needed are growing shares above 0, the last at most 1: "
            "[0.05, 0.25, 0.5, 1.0]."
        )
    return steps


def step_of(steps: Sequence[float], share: float) -> int:
    """The place of the step that ``share`` stands for, from 0: the first that is not smaller."""
    return next((place for place, step in enumerate(steps) if step >= share - _ALMOST), len(steps) - 1)


@dataclass(frozen=True)
class _Begun:
    """What a rollout begins with: whom, and at which share it was left if it was begun before."""

    newcomer: str
    verdict: Verdict
    share: float = 0.0

    @property
    def champion(self) -> str:
        assert self.verdict.champion is not None
        return self.verdict.champion


@dataclass
class _Road:
    """One rollout on its way."""

    params: Params
    root: Path
    begun: _Begun
    services: Sequence[str]
    fetch: Callable[[str], str]
    say: Say
    sleep: Callable[[float], None]
    clock: Callable[[], float]
    every_s: float
    timeout_s: float | None
    because: str | None
    by: str | None
    watch: Watch = field(default_factory=Watch)
    troubles: dict[str, str] = field(default_factory=dict)

    def reach_services(self) -> None:
        """Read the counters once.

        Raises:
            ToolError: No service can be reached.
        """
        if not self._read():
            raise ToolError(
                f"No service answers: {'; '.join(self.troubles.values())}. A rollout watches what the services count. "
                "Start one (`earmark up`), or name them: --service http://HOST:3000, once for each replica; --key KEY "
                "where they ask for an API key."
            )

    def walk(self, steps: Sequence[float]) -> Promoted:
        """All steps, and the promotion."""
        from earmark.adapters.registry import promote

        newcomer, first = self.begun.newcomer, step_of(steps, self.begun.share)
        start: Totals = self.watch.snapshot()
        gates: tuple[Gate, ...] = ()
        for place in range(first, len(steps)):
            share = steps[place]
            self._patiently(partial(canary.set_share, self.params, self.root, newcomer, share, by=self.by))
            carried = " (carried on)" if self.begun.share and place == first else ""
            self.say(
                f"Step {place + 1} of {len(steps)}: version {newcomer} answers {share:.3g} of the requests{carried}."
            )
            live = self._wait(start)
            gates = judge(live, self.params.rollout)
            for gate in gates:
                passed = "passed" if gate.passed else "FAILED"
                self.say(f"  {gate.name} {passed}: {gate.found}, needed {gate.needed}; {gate.why}")
            if failed := [gate for gate in gates if not gate.passed]:
                raise _went_back(newcomer, self.begun.champion, failed, share)
        promote(self.params, self.root, newcomer, self.begun.verdict, because=self.because, by=self.by)
        canary.stop(self.params, self.root, why="", version=newcomer)
        self.say(f"Version {newcomer} is champion now; version {self.begun.champion} is kept as previous.")
        return Promoted(newcomer, self.begun.champion, gates)

    def back(self, error: BaseException) -> None:
        """The champion answers everything again; if the registry cannot be told, say how it can be told later."""
        newcomer = self.begun.newcomer
        why = str(error) if isinstance(error, EarmarkError) else _unforeseen(error)
        try:
            champion = canary.borne(self.params, self.root, "champion")
            promoted = champion is not None and champion.version == newcomer
            canary.stop(self.params, self.root, why="" if promoted else why, version=newcomer, by=self.by)
            if promoted:
                self.say(f"Version {newcomer} had been promoted already, and is champion.")
            elif champion is not None:
                self.say(f"The champion, version {champion.version}, answers all requests again.")
        except EarmarkError as trouble:
            self.say(
                f"Version {newcomer} stays the canary, for the registry cannot be told: {trouble} Then: "
                "`earmark rollout --stop`."
            )

    def _wait(self, start: Totals) -> Live:
        """Until there is enough to decide on the step; ``start``: when the rollout began.

        Raises:
            GateError: There are too many errors already, or no more requests come, or somebody intervened.
        """
        since, began = self.watch.snapshot(), self.clock()
        moved, seen, said, quiet = began, "", 0, False
        while True:
            self._read()
            live = self._live(since, start)
            if gate := hopeless(live, self.params.rollout):
                raise _went_back(self.begun.newcomer, self.begun.champion, [gate], None)
            missing = enough(live, self.params.rollout)
            if missing is None:
                return live
            now, known = self.clock(), live.newcomer.requests + live.compared
            if missing != seen:
                moved, seen, quiet = now, missing, False
                if known - said >= self.params.rollout.min_requests / 10:
                    self.say(f"  {missing}; {live.newcomer.failed:.0f} failed")
                    said = known
            elif not quiet and now - moved >= _QUIET_S:
                self.say(f"  {missing}; {self._why_quiet(live)}")
                quiet = True
            self._still_so(now - began)
            if self.timeout_s is not None and now - moved >= self.timeout_s:
                raise GateError(
                    f"Version {self.begun.newcomer} went back: {missing}, and for {self.timeout_s:.0f} s not one more. "
                    "Try again when there is traffic, or lower rollout.min_requests in params.yaml."
                )
            self.sleep(self.every_s)

    def _why_quiet(self, live: Live) -> str:
        if live.newcomer.requests >= self.params.rollout.min_requests:
            return "the services are too busy to ask the champion about the same songs; waiting"
        if live.champion.requests:
            return "no request falls into its share; waiting for more"
        return "no requests come in; waiting for some"

    def _still_so(self, waited_s: float) -> None:
        """Nobody has intervened, and the services do what they are told.

        Raises:
            GateError: Otherwise.
        """
        newcomer = self.begun.newcomer
        if waited_s >= _TAKEN_UP_S and self.watch.has(newcomer, ALIAS) is False:
            raise GateError(
                f"Version {newcomer} went back: no service has taken it up within {waited_s:.0f} s. It cannot be "
                "loaded there, or fails its self-test; the services' logs say why."
            )
        try:
            with reaching(self.root) as client:
                found = borne_in(client, self.params, ALIAS)
                champion = borne_in(client, self.params, "champion")
        except RegistryError as trouble:
            self._once("registry", f"The registry does not answer, so the canary stays as it is. {trouble}")
            return
        self.troubles.pop("registry", None)
        if found is None or found.version != newcomer:
            raise GateError(f"Version {newcomer} is the canary no longer: somebody stopped this rollout.")
        if champion is None or champion.version != self.begun.champion:
            raise GateError(
                f"Version {newcomer} went back: it was held against version {self.begun.champion}, but meanwhile "
                f"{f'version {champion.version}' if champion else 'no version'} is champion."
            )

    def _live(self, since: Totals, start: Totals) -> Live:
        newcomer, champion, totals = self.begun.newcomer, self.begun.champion, self.watch.totals
        # At the last step nobody asks the champion any more; then earlier requests, or all that are known, tell.
        spans: list[tuple[Totals, Totals]] = [(totals, since), (totals, start), (self.watch.known, {})]
        theirs = [side(now, then, version=champion, role="champion") for now, then in spans]
        least = fewest(self.params.rollout)
        return Live(
            side(totals, since, version=newcomer, role=ALIAS),
            next((each for each in theirs if each.requests >= least), theirs[-1]),
            *compared(totals, start, version=newcomer, against=champion),
        )

    def _read(self) -> bool:
        """Read all counters; whether one could be read."""
        read = False
        for service in self.services:
            try:
                self.watch.read(service, self.fetch(f"{service.rstrip('/')}/metrics"))
            except Exception as error:  # whatever a network may raise, and a page that is no metrics
                said = f"{service} does not tell its metrics ({type(error).__name__}: {error})"
                self._once(service, said)
            else:
                read = True
                if self.troubles.pop(service, None):
                    self.say(f"  {service} tells its metrics again")
        return read

    def _patiently(self, act: Callable[[], Any]) -> None:
        """Do it, as soon as the registry answers."""
        began = self.clock()
        while True:
            try:
                act()
                return
            except RegistryError as trouble:
                if not isinstance(trouble.__cause__, Exception):  # it answered, and refused
                    raise
                if self.timeout_s is not None and self.clock() - began >= self.timeout_s:
                    raise
                self._once("registry", f"The registry does not answer; waiting for it. {trouble}")
                self.sleep(self.every_s)

    def _once(self, who: str, said: str) -> None:
        if who not in self.troubles:
            self.say(f"  {said}")
        self.troubles[who] = said


def _unforeseen(error: BaseException) -> str:
    if isinstance(error, KeyboardInterrupt):
        return "somebody stopped the rollout"
    return f"the rollout ended by {type(error).__name__}: {error}"


def _went_back(newcomer: str, champion: str, failed: Sequence[Gate], share: float | None) -> GateError:
    at = "" if share is None else f" at {share:.3g} of the requests"
    told = "; ".join(f"{gate.name} (found {gate.found}, needed {gate.needed})" for gate in failed)
    return GateError(
        f"Version {newcomer} went back to version {champion}{at}: it fails {told}. The limits stand in params.yaml, "
        "section rollout."
    )


def _begin(params: Params, root: Path, asked: str | None, because: str | None) -> _Begun:
    """Whom to roll out, and whether that may be.

    Raises:
        GateError: The gates are against it, and nobody says why it should be all the same.
        RegistryError: There is no such version, no champion, or another canary.
    """
    with reaching(root) as client:
        now, champion = borne_in(client, params, ALIAS), borne_in(client, params, "champion")
        newcomer = _asked(client, params, root, asked, now)
        if champion is None:
            raise RegistryError(
                "There is no champion to roll anything out beside. `earmark promote` makes the first one champion."
            )
        if now is not None and now.version != newcomer.version:
            raise RegistryError(
                f"Version {now.version} is the canary, at {now.share:.0%} of the requests. One at a time: `earmark "
                f"rollout` carries on with it, `earmark rollout --stop` sends it back."
            )
        if newcomer.version == champion.version:
            same = "It is the champion already."
            return _Begun(newcomer.version, Verdict(False, same, newcomer.version, champion.version))
        verdict = _recorded(client, params, newcomer, champion.version)
    if verdict is None:
        from earmark.adapters.gate import compare

        verdict = compare(params, root, newcomer.version)
    if not verdict.promote and because is None:
        raise GateError(
            f"Version {newcomer.version} is not rolled out: {verdict.reason} To roll it out all the same, say why: "
            '--because "…".'
        )
    return _Begun(newcomer.version, verdict, now.share if now is not None else 0.0)


def _asked(client: "MlflowClient", params: Params, root: Path, asked: str | None, now: Borne | None) -> Borne:
    from earmark.adapters.named import find

    if asked is None and now is not None:
        return now
    found = find(client, params, root, "challenger" if asked is None else asked)
    if found.version is None:
        raise RegistryError(
            f"{asked!r} is no version of {params.registry.model!r}, and only versions can be rolled out. `earmark "
            "history` lists them."
        )
    version = client.get_model_version(params.registry.model, found.version)
    return Borne(found.version, found.run_id or "", dict(version.tags))


def _recorded(client: "MlflowClient", params: Params, newcomer: Borne, champion: str) -> Verdict | None:
    """The verdict that stands written on the version, if it is about the champion of now and still holds."""
    from earmark.adapters.events import rolled_back

    tags = newcomer.tags
    if tags.get("verdict.compared_with") != f"version {champion}" or "verdict.gates" not in tags:
        return None
    if rolled_back(client, params.registry.model, newcomer.version):
        return None
    return Verdict(
        promote=tags.get("verdict") == "promote",
        reason=tags.get("verdict.reason", ""),
        challenger=newcomer.version,
        champion=champion,
        gates=tuple(Gate(**gate) for gate in json.loads(tags["verdict.gates"])),
    )


def _fetcher(key: str | None) -> Callable[[str], str]:
    import httpx

    headers = {} if key is None else {"authorization": f"Bearer {key}"}

    def fetch(address: str) -> str:
        return httpx.get(address, headers=headers, timeout=10.0).raise_for_status().text

    return fetch


@contextmanager
def _alone(root: Path) -> Iterator[None]:
    """One rollout at a time in this project.

    Raises:
        RegistryError: Another one is on its way.
    """
    with ExitStack() as held:
        try:
            held.enter_context(locked(root / _LOCK, wait=False))
        except BlockingIOError:
            raise RegistryError(
                "Another `earmark rollout` is on its way in this project. `earmark rollout --status` says where it "
                "stands, `earmark rollout --stop` sends its version back."
            ) from None
        yield
