"""Numbers as a music person says them."""

import math
from typing import Any

ABOUT = {
    "network": "a neural network that hears the sound itself",
    "forest": "trees that decide by measured descriptions of the sound, such as brightness, beat and harmony",
    "machine": "it goes by the songs it knows that are most alike",
    "blend": "the others, weighed into one answer",
    "majority": "always the commonest genre of the training songs: what one can say without listening",
}


def called(kind: str) -> str:
    """``the network``."""
    return "no listening" if kind == "majority" else f"the {kind}"


def first_up(text: str) -> str:
    """With a capital letter, and the rest as it is."""
    return text[:1].upper() + text[1:]


def hundredth(share: float) -> str:
    """``64``, of 100; never a round 0 or 100 that is none."""
    if not math.isfinite(share):
        return "–"
    whole = round(share * 100)
    if whole == 0 and share > 0:
        return "fewer than 1"
    return "more than 99" if whole == 100 and share < 1 else str(whole)


def percent(share: float) -> str:
    """``64 %``."""
    return "–" if not math.isfinite(share) else f"{share * 100:.0f} %"


def points(gain: float) -> str:
    """``+3`` points of a hundred, with a proper minus."""
    if not math.isfinite(gain):
        return "–"
    return "±0" if round(gain * 100) == 0 else f"{gain * 100:+.0f}".replace("-", "−")


def number(value: float, digits: int = 2) -> str:
    """With a proper minus; a dash where there is none."""
    return "–" if not math.isfinite(value) else f"{round(value, digits) + 0.0:.{digits}f}".replace("-", "−")


def interval(scores: dict[str, Any], name: str, digits: int = 2) -> str:
    """``0.49 – 0.71``; empty where there is none."""
    low, high = scores.get(f"{name}_low", math.nan), scores.get(f"{name}_high", math.nan)
    return "" if not math.isfinite(low) else f"{number(low, digits)} to {number(high, digits)}"


def hundredths(scores: dict[str, Any], name: str) -> str:
    """``between 49 and 71``."""
    low, high = scores.get(f"{name}_low", math.nan), scores.get(f"{name}_high", math.nan)
    return "" if not math.isfinite(low) else f"between {round(low * 100)} and {round(high * 100)}"


def clock(seconds: float) -> str:
    """``1:07``."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def hertz(value: float) -> str:
    """``350 Hz``, ``1.2 kHz``."""
    return f"{value / 1000:.1f} kHz" if value >= 1000 else f"{round(value, -1):.0f} Hz"


def tag(name: str) -> tuple[str, str]:
    """``word---study`` as its kind and its name; what is asked about liking in words of its own."""
    known = {"appeal---like": ("appeal", "like it"), "appeal---dislike": ("appeal", "dislike it")}
    kind, _, rest = name.partition("---")
    return known.get(name, (kind, rest or kind))


def listed(names: list[str]) -> str:
    """``a, b and c``."""
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1] if names else ""
