"""The page's pictures as SVG, drawn by hand: small, sharp on any screen, in the page's colours by day and by night.

They are as wide as a phone, so that their words stay readable there; colours are those of the page's style sheet.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from markupsafe import Markup, escape

from earmark.model.reasons.attribution import Why
from earmark.stages.report.reasons import as_rows
from earmark.stages.report.words import clock, hertz

_WIDE, _HIGH = 340, 280
_TALL = 104  # of small pictures
_LEFT, _RIGHT, _TOP, _BOTTOM = 40, 12, 28, 44
_DASHES = {"network": "none", "forest": "7 4", "machine": "10 3 2 3", "blend": "2 3"}  # told apart without colours, too


def reliability(rows: pd.DataFrame, kind: str) -> Markup:
    """How often songs about equally sure are right: on the line is as sure as it should be."""
    marks, said = [_line([(0, 0), (1, 1)], "ideal")], []
    columns = (rows[name].astype(float) for name in ("confidence", "accuracy", "low", "high", "count"))
    for sure, right, low, high, count in zip(*columns, strict=True):
        marks.append(_line([(sure, low), (sure, high)], f"whisker {kind}"))
        x, y = _at(sure, right)
        said.append(f"{sure:.0%} sure, {right:.0%} right")
        marks.append(
            f'<circle class="dot {kind}" cx="{x}" cy="{y}" r="5"><title>{count:.0f} songs: {said[-1]}</title></circle>'
        )
    return _framed(marks, "how sure it is", "share right", f"Reliability of the {kind}: {', '.join(said)}.")


def risk_coverage(curves: Mapping[str, pd.DataFrame]) -> Markup:
    """How often the surest answers are right, from the surest few to all of them."""
    marks = []
    for kind, rows in curves.items():
        points = list(zip(rows["coverage"].astype(float), rows["accuracy"].astype(float), strict=True))
        marks.append(_line(points, f"curve {kind}", dashes=_DASHES.get(kind, "none")))
    ends = ", ".join(f"the {kind} ends at {rows['accuracy'].iloc[-1]:.0%}" for kind, rows in curves.items())
    return _framed(marks, "share of songs answered", "share right", f"Right answers among the surest: {ends}.")


@dataclass(frozen=True)
class Bars:
    """Bars up and down: what they say, and what stands under their first and their last one."""

    svg: Markup
    said: str
    first: str
    last: str


def bands(why: Why, genre: str, other: str) -> Bars:
    """What each range of frequencies adds."""
    rows = as_rows(why)
    names = [f"{hertz(low)} to {hertz(high)}" for low, high in zip(rows["low_hz"], rows["high_hz"], strict=True)]
    ends = hertz(float(rows["low_hz"].iloc[0])), hertz(float(rows["high_hz"].iloc[-1]))
    said = f"By frequency: {_most(rows['adds'], names, genre, other)}"
    return Bars(_bars(list(rows["adds"]), names, said), said, *ends)


def moments(why: Why, genre: str, other: str, heard: tuple[float, float] | None) -> Bars:
    """What each moment of the song adds; ``heard``: from where to where one can listen, in seconds."""
    step = float(why.moment_seconds[1] - why.moment_seconds[0]) if len(why.moment_seconds) > 1 else 1.0
    whole = step * len(why.moment_seconds)
    names = [clock(middle) for middle in why.moment_seconds]
    part = None if heard is None else (heard[0] / whole, min(1.0, heard[1] / whole))
    said = f"By moment: {_most(pd.Series(why.moments), names, genre, other)}"
    silent = why.heard == 0
    said += " Dotted: not listened to." if silent.any() else ""
    return Bars(_bars(list(why.moments), names, said, part, silent.tolist()), said, clock(0), clock(whole))


def scale_of(tables: Sequence[Mapping[str, Sequence[float]]]) -> tuple[float, float]:
    """From where to where pictures of several genres have to reach, so that their heights can be compared."""
    low = min(0.0, *(min(one["low"]) for one in tables))
    high = max(0.0, *(max(one["high"]) for one in tables))
    return low, high if high > low else low + 1.0


def heeded_bands(table: Mapping[str, Sequence[float]], genre: str, scale: tuple[float, float]) -> Bars:
    """What each band of frequencies adds for a genre, with its interval as a ribbon; spaced as one hears."""
    count = len(table["band_hz"])
    at = [(place + 0.5) / count * _WIDE for place in range(count)]
    mean, low, high = ([_tall(value, scale) for value in table[name]] for name in ("importance", "low", "high"))
    edge = [*zip(at, high, strict=True), *reversed(list(zip(at, low, strict=True)))]
    marks = [
        f'<polygon class="ribbon" points="{_points(edge)}"/>',
        _zero(scale),
        f'<polyline class="mean" points="{_points(list(zip(at, mean, strict=True)))}"/>',
    ]
    for tick in (250.0, 1000.0, 2000.0, 4000.0, 8000.0):
        if table["band_hz"][0] < tick < table["band_hz"][-1]:
            x = float(np.interp(tick, table["band_hz"], at))
            marks.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="0" y2="{_TALL}"/>')
            marks.append(f'<text x="{x:.1f}" y="{_TALL + 14}" text-anchor="middle">{hertz(tick)}</text>')
    best = int(np.argmax(table["importance"]))
    said = f"Most speaks for {genre} around {hertz(table['band_hz'][best])}."
    return Bars(_svg(marks, _TALL + 18, said), said, hertz(table["band_hz"][0]), hertz(table["band_hz"][-1]))


def heeded_moments(table: Mapping[str, Sequence[float]], genre: str, scale: tuple[float, float]) -> Bars:
    """What each tenth of a song adds for a genre, with whiskers for its interval."""
    middles, width = table["moment"], _WIDE / len(table["moment"])
    marks = []
    for x, value, low, high in zip(middles, *(table[name] for name in ("importance", "low", "high")), strict=True):
        top, bottom = sorted((_tall(value, scale), _tall(0.0, scale)))
        marks.append(
            f'<rect class="{"for" if value > 0 else "against"}" x="{x * _WIDE - width * 0.38:.1f}" y="{top:.1f}" '
            f'width="{width * 0.76:.1f}" height="{bottom - top:.1f}"/>'
            f'<line class="whisker" x1="{x * _WIDE:.1f}" x2="{x * _WIDE:.1f}" y1="{_tall(high, scale):.1f}" '
            f'y2="{_tall(low, scale):.1f}"/>'
        )
    marks.append(_zero(scale))
    for x, text, anchor in ((0, "start", "start"), (_WIDE / 2, "middle of the song", "middle"), (_WIDE, "end", "end")):
        marks.append(f'<text x="{x:.0f}" y="{_TALL + 14}" text-anchor="{anchor}">{text}</text>')
    best = int(np.argmax(table["importance"]))
    said = f"Most speaks for {genre} about {middles[best]:.0%} into the song."
    return Bars(_svg(marks, _TALL + 18, said), said, "start", "end")


def _tall(value: float, scale: tuple[float, float]) -> float:
    """From a value to pixels from above."""
    return round((scale[1] - value) / (scale[1] - scale[0]) * _TALL, 1)


def _zero(scale: tuple[float, float]) -> str:
    return f'<line class="zero" x1="0" x2="{_WIDE}" y1="{_tall(0.0, scale)}" y2="{_tall(0.0, scale)}"/>'


def _points(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y}" for x, y in points)


def _most(adds: "pd.Series[float]", names: list[str], genre: str, other: str) -> str:
    best, worst = int(adds.to_numpy().argmax()), int(adds.to_numpy().argmin())
    said = [f"most for {genre} at {names[best]}"] if adds.iloc[best] > 0 else []
    said += [f"most for {other} at {names[worst]}"] if adds.iloc[worst] < 0 else []
    return ", ".join(said) + "."


def _bars(
    values: Sequence[float],
    names: Sequence[str],
    said: str,
    part: tuple[float, float] | None = None,
    silent: Sequence[bool] = (),
) -> Markup:
    """Bars up and down from a line in the middle, dotted where ``silent``; ``part`` of the width is shaded."""
    high, middle = 84.0, 42.0
    largest = max((abs(value) for value in values), default=0.0) or 1.0
    width = _WIDE / len(values)
    marks = []
    if part:
        marks.append(
            f'<rect class="heard" x="{part[0] * _WIDE:.1f}" y="0" width="{(part[1] - part[0]) * _WIDE:.1f}" '
            f'height="{high}"/>'
        )
    for place, (value, name) in enumerate(zip(values, names, strict=True)):
        tall = abs(value) / largest * (middle - 2)
        marks.append(
            f'<rect class="{"for" if value > 0 else "against"}" x="{place * width + 0.5:.1f}" '
            f'y="{middle - tall if value > 0 else middle:.1f}" width="{width - 1:.1f}" height="{tall:.1f}">'
            f"<title>{escape(name)}</title></rect>"
        )
    for place in range(len(values)):
        look, ends = "zero dotted" if any(silent[place : place + 1]) else "zero", (place * width, (place + 1) * width)
        marks.append(f'<line class="{look}" x1="{ends[0]:.1f}" x2="{ends[1]:.1f}" y1="{middle}" y2="{middle}"/>')
    return _svg(marks, high, said, stretched=True)


def _framed(marks: list[str], x: str, y: str, said: str) -> Markup:
    """Axes from 0 to 1 with percent."""
    lines = []
    for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
        (at_x, at_y), percent = _at(tick, tick), f"{tick:.0%}"
        lines.append(_line([(0, tick), (1, tick)], "grid"))
        lines.append(f'<text x="{_LEFT - 6}" y="{at_y + 4}" text-anchor="end">{percent}</text>')
        lines.append(f'<text x="{at_x}" y="{_HIGH - _BOTTOM + 18}" text-anchor="middle">{percent}</text>')
    middle = (_LEFT + _WIDE - _RIGHT) / 2
    lines.append(f'<text class="name" x="{middle}" y="{_HIGH - 6}" text-anchor="middle">{escape(x)} →</text>')
    lines.append(f'<text class="name" x="0" y="11">↑ {escape(y)}</text>')
    return _svg([*lines, *marks], _HIGH, said)


def _line(points: Sequence[tuple[float, float]], look: str, *, dashes: str = "none") -> str:
    where = " ".join("{},{}".format(*_at(*point)) for point in points)
    style = "" if dashes == "none" else f' stroke-dasharray="{dashes}"'
    return f'<polyline class="{look}" points="{where}"{style}/>'


def _at(x: float, y: float) -> tuple[float, float]:
    """From shares to pixels."""
    wide, high = _WIDE - _LEFT - _RIGHT, _HIGH - _TOP - _BOTTOM
    return round(_LEFT + x * wide, 1), round(_TOP + (1 - y) * high, 1)


def _svg(marks: Sequence[str], high: float, said: str, *, stretched: bool = False) -> Markup:
    look = ' class="stretched" preserveAspectRatio="none"' if stretched else ""
    return Markup(
        f'<svg viewBox="0 0 {_WIDE} {high:g}"{look} role="img" aria-label="{escape(said)}">{"".join(marks)}</svg>'
    )
