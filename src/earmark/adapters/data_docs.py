"""Data Docs that open anywhere: Great Expectations' pages, made to stand on their own, under an index of earmark's.

As built, the pages fetch their style, scripts and logo from seven hosts, so that without a network they are bare text
and their index is empty; and each build has other time stamps and ids in it. Here the pages get a style of their own,
the index is written out, and equal catalogues give equal files, byte for byte.
"""

import html
import re
import shutil
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from earmark.stages.validate import Judgement

_SUITES = {
    "tracks": "Each track by itself",
    "genres": "Enough to learn each genre from",
    "catalogue": "What is left, as a whole",
}
_SHOWN = 200

# Everything that would be fetched, scripts that need what was fetched, and the advertisement at the foot.
_FOREIGN = re.compile(
    r"<script\b.*?</script>|<link\b[^>]*>|<footer>.*?</footer>|<img\b[^>]*greatexpectations[^>]*>|<img\b[^>]*great-expectations[^>]*>",
    re.DOTALL,
)
# Batch markers: a time stamp and Python object names, different at each build and of no use to a reader.
_MORE_INFO = re.compile(
    r'<div id="section-1-content-block-3" class="col-12 p-1" >.*?(?=<div id="section-2")', re.DOTALL
)
# The filter "Failed Only", which needs the scripts.
_ACTIONS = re.compile(
    r'<div class="card mb-3">\s*<div class="card-header p-2">.*?(?=<div class="card d-md-block)', re.DOTALL
)
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_CRUMB = re.compile(r'(<li class="ge-breadcrumbs-item breadcrumb-item active"[^>]*>).*?(</li>)', re.DOTALL)


def finish(docs: Path, judgement: "Judgement") -> None:
    """Rewrite the site in ``docs``: index.html, validations/SUITE.html, expectations/SUITE.html and their style."""
    pages = {}
    for suite in _SUITES:
        (validation,) = (docs / "validations" / suite).rglob("*.html")
        pages[f"validations/{suite}.html"] = _own(validation.read_text(encoding="utf-8"), suite, "Validation of")
        pages[f"expectations/{suite}.html"] = _own(
            (docs / "expectations" / f"{suite}.html").read_text(encoding="utf-8"), suite, "Suite"
        )

    shutil.rmtree(docs)
    pages["index.html"] = _index(judgement)
    pages["static/earmark.css"] = (files("earmark.adapters") / "data_docs.css").read_text(encoding="utf-8")
    for name, content in pages.items():
        (docs / name).parent.mkdir(parents=True, exist_ok=True)
        (docs / name).write_text(content, encoding="utf-8")


def _own(page: str, suite: str, kind: str) -> str:
    page = _FOREIGN.sub("", page)
    page = re.sub(r"<style>.*?</style>", "", page, flags=re.DOTALL)
    page = _MORE_INFO.sub("</div></div>", page)
    page = _CRUMB.sub(rf"\g<1>{kind} {suite}\g<2>", page)
    page = re.sub(r'href="(?:\.\./)+', 'href="../', page)
    page = re.sub(r'href="#"', 'href="../index.html"', page)
    page = re.sub(r"<title>.*?</title>", "", page, flags=re.DOTALL)
    page = page.replace("<h4>Expectation Validation Result</h4>", f"<h4>{_SUITES[suite]}</h4>")
    page = page.replace("Data asset: None<br>", f"Data asset: {suite}<br>")
    # A disclosure needs no script: what Bootstrap would unfold is simply shown.
    page = re.sub(r'<p class="m-0">\s*<a data-toggle="collapse".*?</p>', "", page, flags=re.DOTALL)
    page = re.sub(r'<span class="m-0">\s*<a data-toggle="collapse".*?</a>\s*</span>', "", page, flags=re.DOTALL)
    page = _ACTIONS.sub("", page)
    page = page.replace(
        '<div class="float-left navbar-brand m-0 h-100">', '<div class="navbar-brand">earmark · Data Docs'
    )
    numbers: dict[str, str] = {}
    page = _UUID.sub(lambda match: numbers.setdefault(match[0], f"id-{len(numbers) + 1}"), page)
    head = f'<head>\n<title>{kind} {suite} · earmark</title>\n<link rel="stylesheet" href="../static/earmark.css">'
    page = page.replace("<head>", head, 1)
    return "\n".join(line.rstrip() for line in page.splitlines() if line.strip()) + "\n"


def _index(judgement: "Judgement") -> str:
    total, accepted = len(judgement.accepted), int(judgement.accepted.sum())
    refused = total - accepted
    if judgement.problems:
        verdict, look = "Not fit to learn from", "bad"
    elif refused:
        verdict, look = f"Fit, without {refused} refused {'track' if refused == 1 else 'tracks'}", "warn"
    else:
        verdict, look = "Fit to learn from", "good"
    problems = "".join(f"<li>{html.escape(problem)}</li>" for problem in judgement.problems)
    links = "".join(
        f'<li><a href="validations/{suite}.html">{title}</a> <span class="muted">results</span> · '
        f'<a href="expectations/{suite}.html">suite <code>{suite}</code></a></li>'
        for suite, title in _SUITES.items()
    )
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
<section class="verdict {look}">
<strong>{verdict}</strong>
{f"<ul>{problems}</ul>" if problems else ""}
</section>
<div class="figures">
<div><b>{total:,}</b> tracks judged</div>
<div><b>{accepted:,}</b> accepted</div>
<div><b>{refused:,}</b> refused</div>
</div>
<h2>The rules</h2>
<table class="table rules">
<thead><tr><th></th><th>Rule</th><th>Demands</th><th>Severity</th><th class="number">Unexpected</th></tr></thead>
<tbody>
{_rule_rows(judgement)}
</tbody>
</table>
<h2>The refused tracks</h2>
{_quarantine(judgement)}
<h2>Great Expectations' own pages</h2>
<ul class="links">{links}</ul>
</main>
</body>
</html>
"""


def _rule_rows(judgement: "Judgement") -> str:
    rows = []
    for name, rule in judgement.rules.items():
        mark = "good" if rule.success else "bad" if rule.severity == "critical" else "warn"
        sign = {"good": "✓", "warn": "!", "bad": "✗"}[mark]
        rows.append(
            f'<tr><td><span class="mark {mark}">{sign}</span></td><td><code>{name}</code></td>'
            f"<td>{html.escape(rule.demands)}</td>"
            f'<td><span class="severity {rule.severity}">{rule.severity}</span></td>'
            f'<td class="number">{rule.unexpected:,}</td></tr>'
        )
    return "\n".join(rows)


def _quarantine(judgement: "Judgement") -> str:
    refusals = judgement.quarantine
    if refusals.empty:
        return '<p class="muted">None: every track is fit.</p>'
    rows = "\n".join(
        f"<tr><td>{html.escape(str(row.track_id))}</td><td><code>{row.rule}</code></td><td>{html.escape(str(row.reason))}</td></tr>"
        for row in refusals.head(_SHOWN).itertuples()
    )
    more = f'<p class="muted">The first {_SHOWN} of {len(refusals):,}.</p>' if len(refusals) > _SHOWN else ""
    return (
        '<p class="muted">All of them, for other programs: <code>data/quarantine.csv</code>.</p>\n'
        '<table class="table"><thead><tr><th>Track</th><th>Rule</th><th>Reason</th></tr></thead>\n'
        f"<tbody>\n{rows}\n</tbody></table>\n{more}"
    )
