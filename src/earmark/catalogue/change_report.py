"""A comparison of two catalogues as text for people, and as JSON for programs."""

import json
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

from earmark.catalogue.changes import AUDIO, MEASURED, PLACE, Changes, Edit

if TYPE_CHECKING:
    import pyarrow as pa

_SHOWN = 10
_BATCH = 10_000
_HASH_DIGITS = 12
_CALLED = {AUDIO: "audio", "audio_hash": "decoded audio"}


def counts(changes: Changes) -> str:
    """One line: how many tracks came, went, moved and changed."""
    parts = [f"+{len(changes.came):,} came", f"−{len(changes.went):,} went"]
    parts += [f"{changes.moved:,} moved"] if changes.moved else []
    return ", ".join([*parts, f"~{changes.changed:,} changed"])


def text(changes: Changes, *, whole: bool) -> Iterator[str]:
    """Lines for people: the counts, then the first tracks of each kind, or all of them."""
    yield counts(changes)
    fields = {name: int(where.sum()) for name, where in changes.differs.items() if name != "track_id"}
    if fields:
        often = sorted(fields.items(), key=lambda each: -each[1])
        yield "differing: " + ", ".join(f"{_called(name)} {count:,}" for name, count in often)
    yield from _part("came", len(changes.came), (f"  + {_track(row)}" for row in _rows(changes.came)), whole)
    yield from _part("went", len(changes.went), (f"  − {_track(row)}" for row in _rows(changes.went)), whole)
    yield from _part("moved", changes.moved, map(_edit, changes.edits(moved=True)), whole)
    yield from _part("changed", changes.changed, map(_edit, changes.edits(moved=False)), whole)


def lines_of_json(changes: Changes) -> Iterator[str]:
    """One JSON object a line for each track: ``change`` is came, went, moved or changed."""
    for kind, table in (("came", changes.came), ("went", changes.went)):
        for row in _rows(table):
            yield _json({"change": kind, **row})
    for moved in (True, False):
        for edit in changes.edits(moved=moved):
            fields = {name: {"old": old, "new": new} for name, (old, new) in edit.fields.items()}
            was = {"was": edit.was} if moved else {}
            yield _json({"change": "moved" if moved else "changed", "track_id": edit.track_id, **was, "fields": fields})


def _part(name: str, count: int, lines: Iterator[str], whole: bool) -> Iterator[str]:
    if not count:
        return
    yield f"\n{name}"
    yield from lines if whole else islice(lines, _SHOWN)
    if not whole and count > _SHOWN:
        yield f"  … and {count - _SHOWN:,} more; --all shows them"


def _rows(table: "pa.Table") -> Iterator[dict[str, Any]]:
    for batch in table.to_batches(max_chunksize=_BATCH):
        yield from batch.to_pylist()


def _track(row: dict[str, Any]) -> str:
    named = ": ".join(row[name] for name in ("artist", "title") if row[name])
    return _plain(row["track_id"]) + (f"  ({_plain(named)})" if named else "")


def _edit(edit: Edit) -> str:
    head = f"  {_plain(edit.was)} → {_plain(edit.track_id)}" if edit.moved else f"  {_plain(edit.track_id)}"
    fields = edit.fields
    if AUDIO in fields:  # other audio measures otherwise; --json has the numbers
        fields = {name: values for name, values in fields.items() if name not in MEASURED}
    if edit.moved:
        fields = {name: values for name, values in fields.items() if name != PLACE}
    return "\n".join(
        [
            head,
            *(
                f"      {_called(name)}: {_value(name, old)} → {_value(name, new)}"
                for name, (old, new) in fields.items()
            ),
        ]
    )


def _called(name: str) -> str:
    return _CALLED.get(name, name)


def _value(name: str, value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, list):
        return "[" + ", ".join(map(_plain, value)) + "]"
    if isinstance(value, float):
        return f"{value:g}"
    return value[:_HASH_DIGITS] + "…" if name in _CALLED else _plain(str(value))


def _plain(words: str) -> str:
    """As it is, unless it would disturb a terminal."""
    return words if words.isprintable() else ascii(words)


def _json(content: dict[str, Any]) -> str:
    return json.dumps({name: None if value != value else value for name, value in content.items()}, ensure_ascii=False)
