"""How often, and after how long, a request is sent again."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from earmark.client.errors import Busy, ClientError, Failed, Unreachable

_BAD_GATEWAY = 502


@dataclass(frozen=True)
class Retries:
    """Waits that double, shortened by chance so that many clients do not come back at once; bounded in number and time.

    A request that the service turned away (429, 503) or that never reached it is sent again. One whose connection broke
    may have been answered: it is sent again only where that does no harm.

    Attributes:
        most: So often a request is sent again at most; 0: never.
        first_s: The first wait, at most; each further one is at most twice as long.
        longest_s: No wait is longer; a service that asks for more is not asked again.
        draw: Between 0 and 1, for the chance.
    """

    most: int = 4
    first_s: float = 0.5
    longest_s: float = 30.0
    draw: Callable[[], float] = field(default=random.random, repr=False)

    def wait_s(self, error: ClientError, *, attempt: int, harmless: bool) -> float | None:
        """Seconds to wait before sending again what failed for the ``attempt``-th time (from 0); None: give up."""
        if attempt >= self.most or not _worth_it(error, harmless):
            return None
        up_to = min(self.longest_s, self.first_s * 2**attempt)
        wait = (error.retry_after_s or 0.0) + up_to * (0.5 + 0.5 * self.draw())
        return None if (error.retry_after_s or 0.0) > self.longest_s else min(wait, self.longest_s)


def _worth_it(error: ClientError, harmless: bool) -> bool:
    if isinstance(error, Busy):
        return True
    broke = isinstance(error, Unreachable) or (isinstance(error, Failed) and error.status == _BAD_GATEWAY)
    return broke and (harmless or error.unsent)
