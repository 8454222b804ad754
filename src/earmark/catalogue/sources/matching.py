"""A table and a folder brought together: each listed track finds its file, each file its row, the rest is said."""

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from earmark.catalogue.sources.source import Candidate, Refusal
from earmark.catalogue.sources.walking import claims_audio, walk


@dataclass(frozen=True, slots=True)
class Listed:
    """A track that a row tells of.

    Attributes:
        where: The row (``tracks.csv:17``).
        key: By which its file is found.
        track: What the row says; ``file`` and ``path`` are filled in from the file found.
    """

    where: str
    key: str
    track: Candidate


def listed(where: str, key: str, **known: object) -> Listed:
    """A `Listed` whose track has no file yet; ``known`` as in `Candidate`."""
    return Listed(where, key, Candidate(Path(), key, **known))  # type: ignore[arg-type]


def matched(
    rows: Iterable[Listed | Refusal],
    audio: Path,
    *,
    key: Callable[[str], str] = str,
    unlisted: Callable[[str], Refusal],
    tables: Collection[Path] = (),
) -> Iterator[Candidate | Refusal]:
    """Every row and every file below ``audio``, once each (a candidate stands for its row and its file).

    Args:
        rows: What the tables list.
        audio: The folder.
        key: From a file's path below ``audio`` to the key of its row.
        unlisted: What to say of a recording that has no row.
        tables: Files below ``audio`` that were read as tables, and are no recordings.
    """
    wanted: dict[str, Listed] = {}
    for row in rows:
        if isinstance(row, Refusal):
            yield row
        elif row.key in wanted:
            yield Refusal(row.where, "row", f"it lists the same track as {wanted[row.key].where}")
        else:
            wanted[row.key] = row
    found: dict[str, str] = {}
    for entry in walk(audio):
        if isinstance(entry, Refusal):
            yield entry
            continue
        file, path = entry
        its_key = key(path)
        if its_key in found:
            yield Refusal(path, "ignored", f"the same track as {found[its_key]!r}")
        elif its_key in wanted:
            found[its_key] = path
            yield replace(wanted[its_key].track, file=file, path=path)
        elif not claims_audio(path):
            if file not in tables:
                yield Refusal(path, "ignored", "no recording by its name, and in no table")
        else:
            yield unlisted(path)
    for its_key, row in wanted.items():
        if its_key not in found:
            yield Refusal(row.where, "row", f"there is no audio for it: {row.key}")
