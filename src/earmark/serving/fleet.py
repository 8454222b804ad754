"""All versions that a service may answer with, and which of them answers a request.

The champion answers, but for the share of the requests that is the canary's. Which these are is decided by their key
alone, so all workers and replicas decide alike, who got the canary's answer once gets it again, and a growing share
only adds to them. The challenger listens, where `rollout.shadow_share` says so.
"""

import hashlib
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from earmark.params import Params
from earmark.serving.champion import (
    UNREGISTERED,
    Champion,
    ChampionSource,
    FolderSource,
    InSightSource,
    RegistrySource,
    Role,
)
from earmark.serving.follower import Follower
from earmark.serving.fuse import Fuse
from earmark.workspace import CHAMPION


class Fleet:
    """Follows the registry's `champion`, `canary` and, if it shall listen, `challenger`, each in a thread of its own.

    Args:
        params: Sections ``service``, ``rollout`` and ``registry``.
        root: The project's folder.
        prepare: Makes a version fit to serve; see `Follower`. A version that changes its role is not prepared again,
            so the same predictor may appear under another role.
        fuse: Between requests and canary.
    """

    def __init__(
        self,
        params: Params,
        root: Path,
        *,
        prepare: Callable[[Champion], Champion] | None = None,
        fuse: Fuse | None = None,
    ) -> None:
        every_s = params.service.follow_seconds
        self._fuse = fuse or Fuse()
        self._canary_source = InSightSource(params, root, "canary", "canary")
        self._shadow_source = InSightSource(params, root, "challenger", "shadow")

        def follower(source: RegistrySource | ChampionSource, alias: str, role: Role) -> Follower:
            return Follower(
                source,
                every_s=every_s,
                spare=FolderSource(root / CHAMPION, name=params.registry.model) if alias == "champion" else None,
                alias=alias,
                prepare=prepare,
                at_hand=lambda version: self._at_hand(version, role),
                changed=self._tell,
            )

        self._champion = follower(ChampionSource(params, root), "champion", "champion")
        self._canary = follower(self._canary_source, "canary", "canary")
        self._shadow = follower(self._shadow_source, "challenger", "shadow") if params.rollout.shadow_share else None
        self._told: set[tuple[str, str]] = set()
        self._telling = threading.Lock()

    def start(self, patience_s: float) -> None:
        """Begin to follow; return once the champion was looked for, or after ``patience_s`` if that is slow."""
        self._champion.start(patience_s=patience_s)
        for follower in (self._canary, self._shadow):
            if follower is not None:
                follower.start(patience_s=0.0)
        threading.Thread(target=_warm_up, name="registry-imports", daemon=True).start()

    def stop(self) -> None:
        """Ask the threads to end."""
        for follower in (self._champion, self._canary, self._shadow):
            if follower is not None:
                follower.stop()

    @property
    def champion(self) -> Champion | None:
        """The version in service, or None; take it once a request."""
        return self._champion.champion

    @property
    def trouble(self) -> str | None:
        """Why the champion cannot be followed, or None."""
        return self._champion.trouble

    @property
    def canary(self) -> Champion | None:
        """The version that is tried on a share of the requests; None where there is none, or its fuse is blown."""
        return self._canary_at()[0]

    @property
    def share(self) -> float:
        """How much of the requests `canary` answers, in [0, 1]."""
        return self._canary_at()[1]

    @property
    def shadow(self) -> Champion | None:
        """The challenger, if it shall listen and is another version than the champion."""
        if self._shadow is None:
            return None
        found, seen = self._shadow.champion, self._shadow_source.seen
        if found is None or seen is None or seen.version != found.version or self._is_champion(found):
            return None
        return found

    def chosen(self, key: str) -> Champion | None:
        """Who answers the request with this ``key``; None where there is no champion."""
        champion = self.champion
        canary, share = self._canary_at()
        if champion is not None and canary is not None and falls_into(share, key, canary.version):
            return canary
        return champion

    def note(self, answered_by: Champion, *, failed: bool) -> None:
        """A request of ``answered_by`` has ended; ``failed``: by a fault of the service, not of the request."""
        if answered_by.role == "canary" and (seen := self._canary_source.seen) is not None:
            self._fuse.note(answered_by.version, seen.share, failed=failed)

    def _canary_at(self) -> tuple[Champion | None, float]:
        found, seen = self._canary.champion, self._canary_source.seen
        # While a new canary is loaded, the one before is still in memory, and no longer asked.
        if found is None or seen is None or seen.version != found.version or self._is_champion(found):
            return None, 0.0
        share = seen.share
        return (None, 0.0) if not share or self._fuse.blown(found.version, share) else (found, share)

    def _is_champion(self, found: Champion) -> bool:
        champion = self.champion
        return champion is not None and champion.version == found.version

    def _at_hand(self, version: str, role: Role) -> Champion | None:
        """The version, if another follower has it: a canary that is promoted is in service without being loaded."""
        if version == UNREGISTERED:
            return None
        for follower in (self._champion, self._canary, self._shadow):
            found = follower.champion if follower is not None else None
            if found is not None and found.version == version:
                return replace(found, role=role)
        return None

    def _tell(self) -> None:
        """Let the metrics say who is here."""
        from earmark.serving.metrics import IN_SERVICE

        with self._telling:
            here = {
                (found.version, found.role)
                for follower in (self._champion, self._canary, self._shadow)
                if follower is not None and (found := follower.champion) is not None
            }
            for version, role in self._told - here:
                IN_SERVICE.labels(version, role).set(0)
            for version, role in here:
                IN_SERVICE.labels(version, role).set(1)
            self._told |= here


def falls_into(share: float, key: str, version: str) -> bool:
    """Whether ``key`` is among the ``share`` of all keys that are ``version``'s.

    By a hash of both, so that it is not always the same who try what is new.
    """
    digest = hashlib.sha256(f"{version}\n{key}".encode()).digest()
    return int.from_bytes(digest[:8], "big") < share * 2**64


def _warm_up() -> None:
    """Where no registry was asked yet, the first version that is promoted shall not wait for imports."""
    from earmark.adapters.canary import warm_up
    from earmark.serving.follower import step_back

    step_back(10)
    warm_up()
