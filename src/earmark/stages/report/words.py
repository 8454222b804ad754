"""Numbers as a music person says them."""

import math
from typing import Any

from earmark.audio.descriptors import CONTRAST_EDGES_HZ

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


_TIMES = {"mean": "on average", "std": "how much it varies", "range": "from soft to loud"}
_CURVES = {
    "centroid_hz": "brightness",
    "bandwidth_hz": "spread of frequencies",
    "rolloff_hz": "how far up it reaches",
    "flatness": "noisiness",
    "zero_crossings": "roughness of the wave",
    "rms": "loudness",
    "onset": "strength of attacks",
    "chroma_flux": "change of harmony",
    "chroma_peak": "how clear the pitches are",
}


def descriptor(name: str) -> str:
    """A descriptor of `earmark.audio.descriptors` in words; one that is not known, by its name."""
    known = {
        "onset_rate_hz": "attacks a second",
        "tempo_bpm": "tempo",
        "tempo_strength": "how clear the tempo is",
    }
    if name in known:
        return known[name]
    stem, _, end = name.rpartition("_")
    if name.startswith("tempogram_"):
        return f"pulse at {end} a minute"
    if name.startswith("chroma_") and end.isdigit():
        return f"share of the {_nth(int(end) + 1)}strongest pitch"
    if end not in _TIMES:
        return name.replace("_", " ")
    if stem in _CURVES:
        return f"{_CURVES[stem]}, {_TIMES[end]}"
    kind, _, which = stem.rpartition("_")
    if not which.isdigit():
        return name.replace("_", " ")
    if kind == "mfcc_change":
        return f"timbre {which}, how fast it moves"
    if kind == "contrast":
        return f"tones against noise {_octave(int(which))}, {_TIMES[end]}"
    kinds = {"mfcc": "timbre {}", "interval": "harmony, {} semitones apart"}
    return f"{kinds[kind].format(which)}, {_TIMES[end]}" if kind in kinds else name.replace("_", " ")


def _octave(place: int) -> str:
    edges = [hertz(edge) for edge in CONTRAST_EDGES_HZ]
    if place in (0, len(edges)):
        return f"below {edges[0]}" if place == 0 else f"above {edges[-1]}"
    return f"from {edges[place - 1]} to {edges[place]}"


def _nth(place: int) -> str:
    return "" if place == 1 else {2: "2nd ", 3: "3rd "}.get(place, f"{place}th ")


def listed(names: list[str]) -> str:
    """``a, b and c``."""
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1] if names else ""
