"""The first page of the Data Docs: the verdict, the rules, what was refused and what is warned of, and what is there.

Plain HTML without a script; whatever grows with the catalogue is counted, and a few examples are shown.
"""

import html
import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from earmark.adapters.suites import SUITES
from earmark.catalogue.judged import genre_table
from earmark.catalogue.splits import SIDES
from earmark.stages.validate import Judgement, RuleOutcome
from earmark.workspace import EXPECTATIONS, GENRE_NAMES, QUARANTINE, TAXONOMY, WARNINGS

_EXAMPLES = 5
_ROWS = 200
_BARS = 48
_BAR_WIDTH, _HEIGHT = 6, 84  # of a histogram, in pixels

# Column → its name, its unit, and what to look for.
_MEASURES = {
    "duration_s": ("Duration", "s", "Clips of one length stand out; so do mixes and cut-off files."),
    "loudness_lufs": ("Loudness", "LUFS", "EBU R 128. Modern masters lie near −9, classical recordings near −23."),
    "peak_dbfs": ("Peak", "dBFS", "A heap at 0 is full-scale mastering, or clipping."),
    "bandwidth_hz": ("Bandwidth", "Hz", "A heap at 16,000 or 19,000 is what mp3 leaves."),
}


def index_page(
    judgement: Judgement, tracks: pd.DataFrame, sides: pd.Series, names: pd.DataFrame, suites: Sequence[str]
) -> str:
    """The page; arguments as for `earmark.adapters.data_docs.write_docs`, ``suites`` those that have pages."""
    accepted = tracks[judgement.accepted.to_numpy()]
    warned = judgement.warnings
    sections = [
        _verdict(judgement),
        _figures(
            {
                "tracks judged": len(tracks),
                "accepted": len(accepted),
                "refused": len(tracks) - len(accepted),
                "with a warning": warned.loc[warned["severity"] == "warning", "track_id"].nunique(),
                "genres": accepted["genre"].nunique(),
                "artists known": accepted["artist_key"].nunique(),
                "hours of sound": f"{accepted['duration_s'].sum() / 3600:,.1f}",
            }
        ),
        _section("The rules", _rules(judgement), f"They stand in <code>{EXPECTATIONS}</code>, to be edited there."),
        _section("Refused", _by_rule(judgement.quarantine, judgement), f"All of it: <code>{QUARANTINE}</code>."),
        _section("Warnings", _by_rule(warned, judgement), f"They stop nothing. All of them: <code>{WARNINGS}</code>."),
        _section("Genres", _genres(tracks, judgement.accepted, sides)),
        _section("Genre names that the taxonomy does not know", _unmapped(names), _about(names)),
        _section("Measures at a glance", _measures(tracks), "Of all tracks judged."),
        _section("Great Expectations' own pages", _links(suites)),
    ]
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="UTF-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Data Docs · earmark</title>
<link rel="stylesheet" href="static/earmark.css">
</head>
<body>
<nav class="navbar"><div class="navbar-brand">earmark · Data Docs</div></nav>
<main class="page">
<h1>What may enter the catalogue</h1>
{"".join(sections)}</main>
</body>
</html>
"""


def _verdict(judgement: Judgement) -> str:
    refused = int((~judgement.accepted).sum())
    if judgement.problems:
        said, look = "Not fit to learn from", "bad"
    elif refused:
        said, look = f"Fit, without {refused:,} refused {'track' if refused == 1 else 'tracks'}", "warn"
    else:
        said, look = "Fit to learn from", "good"
    listed = "".join(f"<li>{_text(problem)}</li>" for problem in judgement.problems)
    problems = f"<ul>{listed}</ul>" if listed else ""
    return f'<section class="verdict {look}">\n<strong>{said}</strong>\n{problems}</section>\n'


def _figures(figures: dict[str, int | str]) -> str:
    boxes = "\n".join(f"<div><b>{_number(value)}</b> {name}</div>" for name, value in figures.items())
    return f'<div class="figures">\n{boxes}\n</div>\n'


def _rules(judgement: Judgement) -> str:
    rows: list[str] = []
    for suite, title in SUITES.items():
        rules = {name: rule for name, rule in judgement.rules.items() if rule.suite == suite}
        if rules:
            rows.append(f'<tr class="suite"><th colspan="5">{title}</th></tr>')
            rows += [_rule(name, rule) for name, rule in rules.items()]
    heads = '<th></th><th>Rule</th><th>Demands</th><th>Severity</th><th class="number">Unexpected</th>'
    return (
        f'<div class="wide"><table class="table rules">\n<thead><tr>{heads}</tr></thead>\n'
        f"<tbody>\n{_lines(rows)}\n</tbody></table></div>\n"
    )


def _rule(name: str, rule: RuleOutcome) -> str:
    if rule.success is None:
        look, sign, count = "off", "–", '<span class="muted">not judged</span>'
    else:
        look = "good" if rule.success else {"critical": "bad", "warning": "warn"}.get(rule.severity, "off")
        sign, count = {"good": "✓", "bad": "✗", "warn": "!", "off": "i"}[look], f"{rule.unexpected:,}"
    return (
        f'<tr><td><span class="mark {look}">{sign}</span></td><td><code>{_text(name)}</code></td>'
        f"<td>{_prose(rule.demands)}</td>"
        f'<td><span class="severity {rule.severity}">{rule.severity}</span></td><td class="number">{count}</td></tr>'
    )


def _by_rule(verdicts: pd.DataFrame, judgement: Judgement) -> str:
    """For each rule its number of verdicts, and the first few of them."""
    if verdicts.empty:
        return '<p class="muted">None.</p>\n'
    parts = []
    counts = verdicts["rule"].value_counts()
    for name in judgement.rules:
        if name not in counts:
            continue
        examples = verdicts[verdicts["rule"] == name].head(_EXAMPLES)
        about = examples["track_id"].notna()
        count = f"{counts[name]:,}" + (f" · the first {_EXAMPLES}" if counts[name] > _EXAMPLES else "")
        rows = [
            f'<tr><td class="track">{_text(row.track_id)}</td><td>{_text(row.reason)}</td></tr>'
            if known
            else f'<tr><td colspan="2">{_text(row.reason)}</td></tr>'
            for row, known in zip(examples.itertuples(), about, strict=True)
        ]
        parts.append(
            f'<div class="broken"><h3><code>{_text(name)}</code> <span class="muted">{count}</span></h3>\n'
            f'<table class="table"><tbody>\n{_lines(rows)}\n</tbody></table></div>\n'
        )
    return "".join(parts)


def _genres(tracks: pd.DataFrame, accepted: pd.Series, sides: pd.Series) -> str:
    fit = tracks[accepted.to_numpy()]
    given = tracks.groupby("genre").size().rename("given").to_frame()
    by_side = pd.crosstab(fit["genre"], sides.reindex(fit.index)).reindex(columns=list(SIDES), fill_value=0)
    table = given.join(genre_table(fit).set_index("genre")).join(by_side).fillna(0).reset_index()
    table = table.assign(refused=table["given"] - table["tracks"])
    table = table.sort_values(["tracks", "given"], ascending=False, kind="stable")
    if table.empty:
        return '<p class="muted">None.</p>\n'
    most = max(1, int(table["tracks"].max()))
    rows = [
        f'<tr><td>{_text(row["genre"])}</td><td class="number">{_number(int(row["tracks"]))}</td>'
        f'<td class="share"><i style="width:{row["tracks"] / most:.1%}"></i></td>'
        + "".join(f'<td class="number">{_number(int(row[name]))}</td>' for name in ("refused", "artists", "groups"))
        + f'<td class="number">{row["hours"]:,.1f}</td>'
        + "".join(f'<td class="number">{_number(int(row[side]))}</td>' for side in SIDES)
        + "</tr>"
        for row in table.head(_ROWS).to_dict("records")
    ]
    heads = ["Tracks", None, "Refused", "Artists", "Groups", "Hours", *(side.capitalize() for side in SIDES)]
    head = "".join(f'<th class="number">{head}</th>' if head else "<th></th>" for head in heads)
    return (
        f'<div class="wide"><table class="table"><thead><tr><th>Genre</th>{head}</tr></thead>\n<tbody>\n'
        f"{_lines(rows)}\n</tbody></table></div>\n{_first_of(len(table))}"
    )


def _about(names: pd.DataFrame) -> str:
    each = names.drop_duplicates(["source", "name"])  # a label and a tag may be one name
    known = int(each["mapped_to"].notna().sum())
    return (
        f"{known:,} of {len(each):,} names have a genre in <code>{TAXONOMY}</code>, or stand for themselves. "
        f"All of them: <code>{GENRE_NAMES}</code>."
    )


def _unmapped(names: pd.DataFrame) -> str:
    unmapped = names[names["mapped_to"].isna()].sort_values("tracks", ascending=False, kind="stable")
    if unmapped.empty:
        return '<p class="muted">None.</p>\n'
    rows = [
        f"<tr><td>{_text(row.name)}</td><td>{_text(row.source)}</td><td>{row.kind}</td>"
        f'<td class="number">{row.tracks:,}</td></tr>'
        for row in unmapped.head(_ROWS).itertuples(index=False)
    ]
    return (
        '<table class="table"><thead><tr><th>Name</th><th>Source</th><th>As</th><th class="number">Tracks</th></tr>'
        f"</thead>\n<tbody>\n{_lines(rows)}\n</tbody></table>\n{_first_of(len(unmapped))}"
    )


def _measures(tracks: pd.DataFrame) -> str:
    boxes = [_measure(tracks[column], *words) for column, words in _MEASURES.items()]
    return f'<div class="measures">\n{"".join(boxes)}</div>\n'


def _measure(values: pd.Series, name: str, unit: str, hint: str) -> str:
    known = values.dropna().to_numpy(dtype=float)
    if not len(known):
        return f'<figure><figcaption><b>{name}</b> <span class="muted">not measured</span></figcaption></figure>\n'
    low, middle, high = np.quantile(known, (0.005, 0.5, 0.995))
    if high - low < 1e-9 * max(1.0, abs(high)):
        low, high = low - 0.5, high + 0.5
    counts, _ = np.histogram(np.clip(known, low, high), bins=_BARS, range=(low, high))
    bars = "".join(
        f'<rect x="{at * _BAR_WIDTH}" y="{_HEIGHT - tall}" width="{_BAR_WIDTH - 1}" height="{tall}"/>'
        for at, tall in enumerate(np.ceil(counts / counts.max() * _HEIGHT).astype(int))
        if tall
    )
    missing = len(values) - len(known)
    span = f"{_short(known.min())} … median {_short(middle)} … {_short(known.max())}"
    return (
        f'<figure><figcaption><b>{name}</b> in {unit} <span class="muted">{span}'
        f"{f' · {missing:,} not measured' if missing else ''}</span></figcaption>\n"
        f'<svg viewBox="0 0 {_BARS * _BAR_WIDTH} {_HEIGHT}" preserveAspectRatio="none" role="img" '
        f'aria-label="Histogram of {name.lower()}">{bars}</svg>\n'
        f'<div class="axis"><span>{_short(low)}</span><span>{_short(high)}</span></div>\n'
        f'<p class="muted">{hint}</p></figure>\n'
    )


def _links(suites: Sequence[str]) -> str:
    links = "".join(
        f'<li><a href="validations/{suite}.html">{SUITES[suite]}</a> <span class="muted">results</span> · '
        f'<a href="expectations/{suite}.html">suite <code>{suite}</code></a> · '
        f'<a href="results/{suite}.json">as JSON</a></li>\n'
        for suite in suites
    )
    return f'<ul class="links">\n{links}</ul>\n'


def _section(title: str, content: str, about: str = "") -> str:
    return f"<h2>{title}</h2>\n" + (f'<p class="muted">{about}</p>\n' if about else "") + content


def _first_of(count: int) -> str:
    return f'<p class="muted">The first {_ROWS} of {count:,}.</p>\n' if count > _ROWS else ""


def _lines(rows: Iterable[str]) -> str:
    return "\n".join(rows)


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{round(value, 2) + 0.0:g}"


def _number(value: int | str) -> str:
    return value if isinstance(value, str) else f"{value:,}"


def _prose(text: str) -> str:
    """Text in which `this` is code."""
    return re.sub("`([^`]+)`", r"<code>\1</code>", _text(text))


def _text(value: Any) -> str:
    return html.escape(str(value))
