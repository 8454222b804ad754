"""A comparison and its gates as people read them: lines for a terminal, Markdown for MLflow and Prefect."""

from collections.abc import Iterator, Sequence

from earmark.model.comparing.comparison import LOWER_IS_BETTER, Comparison, Measure
from earmark.model.comparing.cost import Cost
from earmark.model.comparing.promises import Promise
from earmark.model.comparing.promotion import Gate
from earmark.model.metrics import Score

Table = list[list[str]]

_NAMES = {"accuracy": "accuracy", "f1_macro": "macro-F1", "log_loss": "log loss", "ece": "calibration error"}
_PROMISES = {
    "set_coverage": "sets hold the genre",
    "set_size": "genres in a set",
    "interval_coverage": "intervals hold the share",
    "abstention": "not answered",
}


def lines(found: Comparison) -> Iterator[str]:
    """For a terminal; the two are A and B."""
    for title, table in _parts(found):
        yield ""
        yield title
        yield from aligned(table)


def markdown(found: Comparison) -> str:
    """The same tables in Markdown."""
    return "\n\n".join(f"**{title}**\n\n{as_markdown(table)}" for title, table in _parts(found))


def gate_table(gates: Sequence[Gate]) -> Table:
    """A row for each gate, below a head."""
    rows = [[gate.name, "passed" if gate.passed else "FAILED", gate.found, gate.needed, gate.why] for gate in gates]
    return [["gate", "verdict", "found", "needed", "why"], *rows]


def aligned(table: Table) -> Iterator[str]:
    """Columns as wide as they need to be: the first and every column of words to the left, numbers to the right."""
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    left = [column == 0 or not _is_number(table[-1][column]) for column in range(len(widths))]
    for row in table:
        cells = [
            f"{cell:<{width}}" if to_left else f"{cell:>{width}}"
            for cell, width, to_left in zip(row, widths, left, strict=True)
        ]
        yield ("  " + "  ".join(cells)).rstrip()


def as_markdown(table: Table) -> str:
    """The table in Markdown, its first row as the head."""
    rows = [table[0], ["---"] * len(table[0]), *table[1:]]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows)


def _parts(found: Comparison) -> Iterator[tuple[str, Table]]:
    interval = f"{found.confidence:.0%} interval"
    yield f"On {found.tracks} tracks of {found.groups} groups", _quality(found, interval)
    if found.our_cost and found.their_cost:
        yield "Cost of a song of 30 s on this machine", _cost(found.our_cost, found.their_cost)
    elif found.our_cost:
        yield "Cost of a song of 30 s on this machine", _cost(found.our_cost, None)
    yield "By genre", _classes(found, interval)
    if found.tags:
        yield "Tags: correlation with the listeners' shares", _tags(found, interval)


def _quality(found: Comparison, interval: str) -> Table:
    table = [["", "A", "B", "A − B", interval, ""]]
    for name, said in _NAMES.items():
        measure = getattr(found, name)
        table.append([said, *_both(measure), _shown(measure, lower=name in LOWER_IS_BETTER)])
    return [*table, *([_PROMISES[each.name], *_each(each), _promised(each)] for each in found.promises)]


def _classes(found: Comparison, interval: str) -> Table:
    table = [["genre", "tracks", "recall A", "B", "A − B", interval, "F1 A", "B", "A − B", interval]]
    for each in found.classes:
        table.append([each.genre, str(each.tracks), *_both(each.recall), *_both(each.f1)])
    return table


def _tags(found: Comparison, interval: str) -> Table:
    rows = [[each.tag.replace("---", ": "), str(each.r.tracks), *_both(each.r)] for each in found.tags]
    return [["tag", "tracks", "r A", "B", "A − B", interval], *rows]


def _cost(ours: Cost, theirs: Cost | None) -> Table:
    table = [["", "A", "B", "A / B"]]
    rows = (
        ("median, ms", "median_ms", 1),
        ("95 % below, ms", "p95_ms", 1),
        ("size, MiB", "mib", 2),
        ("parameters", "parameters", 0),
    )
    for said, name, digits in rows:
        table.append([said, *_ratio(getattr(ours, name), getattr(theirs, name) if theirs else None, digits)])
    return table


def _ratio(ours: float, theirs: float | None, digits: int) -> list[str]:
    if theirs is None:
        return [f"{ours:,.{digits}f}", "–", "–"]
    return [f"{ours:,.{digits}f}", f"{theirs:,.{digits}f}", f"{ours / theirs:.2f}" if theirs else "–"]


def _both(measure: Measure) -> list[str]:
    return [
        f"{measure.ours.value:.3f}",
        f"{measure.theirs.value:.3f}",
        f"{measure.difference.value:+.3f}",
        f"[{measure.difference.low:+.3f}, {measure.difference.high:+.3f}]",
    ]


def _each(promise: Promise) -> list[str]:
    """As `_both`; a model that does not promise it has a dash."""
    gain = promise.difference
    return [
        *("–" if score is None else f"{score.value:.3f}" for score in (promise.ours, promise.theirs)),
        *(["–", "–"] if gain is None else [f"{gain.value:+.3f}", f"[{gain.low:+.3f}, {gain.high:+.3f}]"]),
    ]


def _promised(promise: Promise) -> str:
    """Neither more nor less is better here, but what was promised."""
    said = [None if each is None else f"{each:g}" for each in promise.promised]
    known = [each for each in said if each is not None]
    if len(known) == 2 and known[0] != known[1]:
        return f"promised: {known[0]} by A, {known[1]} by B"
    return f"promised: {known[0]}" if known else ""


def _shown(measure: Measure, *, lower: bool) -> str:
    gain = measure.difference
    if gain.low <= 0 <= gain.high:
        return "no clear difference"
    return "A is better" if _above(gain) != lower else "B is better"


def _above(score: Score) -> bool:
    return score.low > 0


def _is_number(cell: str) -> bool:
    return cell[:1] in "+-–[0123456789" and cell != ""
