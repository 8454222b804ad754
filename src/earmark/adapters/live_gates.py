"""The gates of a canary: whether what it answers live lets it have more of the requests.

`live_errors`
    Its share of failed requests is not above the champion's by more than ``max_error_share``.
`live_latency`
    Its median time to an answer is not above the champion's by more than the factor ``max_latency_ratio``, on the
    endpoint that it answered most.
`live_disagreement`
    It gives not more than ``max_disagreement`` of the songs another genre than the champion, which hears the same ones
    behind the scenes.
"""

from dataclasses import dataclass

from earmark.adapters.live import Side, median
from earmark.model.comparing.promotion import Gate
from earmark.params import Rollout

FEWEST = 20  # requests, answers or songs that a comparison needs, unless fewer make a step
# So rare may errors be at the allowed share before they are no chance; looks are many.
_CHANCE = 0.001


@dataclass(frozen=True)
class Live:
    """What is known of a canary.

    Attributes:
        newcomer: Since its step began.
        champion: Over the same time; longer where that is too short to tell.
        compared: Songs that both answered since the rollout began.
        disagreed: Of these, with another genre.
    """

    newcomer: Side
    champion: Side
    compared: int
    disagreed: int


def fewest(rollout: Rollout) -> int:
    """How much has to be known for a comparison."""
    return min(FEWEST, rollout.min_requests)


def enough(live: Live, rollout: Rollout) -> str | None:
    """What is missing for a decision, or None."""
    if live.newcomer.requests < rollout.min_requests:
        return f"{live.newcomer.requests} of {rollout.min_requests} requests"
    if rollout.max_disagreement < 1.0 and live.compared < fewest(rollout):
        return f"{live.compared} of {fewest(rollout)} songs that the champion answered behind the scenes, too"
    return None


def hopeless(live: Live, rollout: Rollout) -> Gate | None:
    """The gate of errors, as soon as there are too many, however many more requests come."""
    from scipy.stats import binom

    found = live.newcomer
    allowed = live.champion.error_share + rollout.max_error_share
    chance = binom.sf(round(found.failed) - 1, found.requests, min(1.0, allowed))
    if chance < _CHANCE or found.failed > allowed * max(rollout.min_requests, found.requests):
        return _errors(live, rollout, passed=False)
    return None


def judge(live: Live, rollout: Rollout) -> tuple[Gate, ...]:
    """Each gate's verdict."""
    allowed = live.champion.error_share + rollout.max_error_share
    return (
        _errors(live, rollout, passed=live.newcomer.error_share <= allowed),
        _latency(live, rollout),
        _disagreement(live, rollout),
    )


def _errors(live: Live, rollout: Rollout, *, passed: bool) -> Gate:
    ours, theirs = live.newcomer, live.champion
    return Gate(
        "live_errors",
        passed,
        f"{ours.error_share:.1%} ({ours.failed:.0f} of {ours.requests})",
        f"at most {theirs.error_share + rollout.max_error_share:.1%}",
        f"the champion's {theirs.error_share:.1%} and {rollout.max_error_share:.1%} more",
    )


def _latency(live: Live, rollout: Rollout) -> Gate:
    ours, theirs = live.newcomer, live.champion
    needed = f"at most {rollout.max_latency_ratio:g} times"
    endpoint = max(ours.seconds, key=ours.timed, default="")
    least = fewest(rollout)
    mine, other = median(ours.seconds.get(endpoint, {})), median(theirs.seconds.get(endpoint, {}))
    if not mine or not other or ours.timed(endpoint) < least or theirs.timed(endpoint) < least:
        return Gate("live_latency", True, "unknown", needed, f"fewer than {least} answers of one of them were timed")
    return Gate(
        "live_latency",
        mine <= rollout.max_latency_ratio * other,
        f"{mine / other:.2f} times ({1000 * mine:.0f} ms)",
        needed,
        f"the champion's median is {1000 * other:.0f} ms at {endpoint}",
    )


def _disagreement(live: Live, rollout: Rollout) -> Gate:
    share = live.disagreed / live.compared if live.compared else 0.0
    return Gate(
        "live_disagreement",
        share <= rollout.max_disagreement,
        f"{share:.1%} ({live.disagreed} of {live.compared})" if live.compared else "unknown",
        f"at most {rollout.max_disagreement:.1%}",
        "songs to which it gives another genre than the champion",
    )
