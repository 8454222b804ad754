"""The fuse between requests and a canary: where it fails too often, this worker sends it nothing more, at once.

`earmark rollout` sees the same errors in the metrics and sends the canary back everywhere, but seconds later, or never
where nobody watches. A blown fuse holds until the registry says something new: another canary, or another share.
"""

import logging
import threading
from collections import deque

FEWEST_FAILED, OF = 5, 20  # so many of its last requests

logger = logging.getLogger("bentoml.earmark")


class Fuse:
    """Counts how the canary's last requests ended; safe to use from many threads."""

    def __init__(self, *, failed: int = FEWEST_FAILED, of: int = OF) -> None:
        self._most, self._of = failed, of
        self._lock = threading.Lock()
        self._at: tuple[str, float] | None = None  # the version and share that it belongs to
        self._failed: deque[bool] = deque(maxlen=of)
        self._blown = False

    def blown(self, version: str, share: float) -> bool:
        """Whether this canary at this share has failed here too often."""
        return self._blown and self._at == (version, share)

    def note(self, version: str, share: float, *, failed: bool) -> None:
        """One of its requests has ended."""
        with self._lock:
            if self._at != (version, share):
                self._at, self._blown = (version, share), False
                self._failed.clear()
            self._failed.append(failed)
            if self._blown or sum(self._failed) < self._most:
                return
            self._blown = True
        logger.error(
            "the canary, version %s, failed on %d of its last %d requests in this worker, which sends it no more: the "
            "champion answers until the registry names another canary or share (`earmark rollout --status`)",
            version,
            self._most,
            len(self._failed),
        )
