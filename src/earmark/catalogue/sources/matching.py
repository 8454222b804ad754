"""A table and a folder brought together: each listed track finds its file, each file its row, the rest is said.

A row without a file of exactly its name gets the one whose name differs in capitals or in how accents are written
(``000009.MP3``; macOS takes letters and accents apart), where no other row could mean it.
"""

import os
import unicodedata
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
    alike: dict[str, str | None] = {}
    for each in wanted:
        alike[folded(each)] = None if folded(each) in alike else each

    def row_of(path: str) -> str:
        its_key = key(path)
        return its_key if its_key in wanted else alike.get(folded(its_key)) or its_key

    read = {os.path.abspath(table) for table in tables}  # noqa: PTH100  one may be given from elsewhere, with ".."
    entries = list(walk(audio))
    paths = [entry[1] for entry in entries if not isinstance(entry, Refusal)]
    chosen: dict[str, str] = {}
    for path in sorted(paths, key=lambda path: key(path) not in wanted):  # those of exactly the row's name first
        chosen.setdefault(row_of(path), path)
    for entry in entries:
        if isinstance(entry, Refusal):
            yield entry
            continue
        file, path = entry
        its_key = row_of(path)
        if its_key in wanted:
            if chosen[its_key] == path:
                yield replace(wanted[its_key].track, file=file, path=path)
            else:
                yield Refusal(path, "ignored", f"the same track as {chosen[its_key]!r}")
        elif not claims_audio(path):
            if os.path.abspath(file) not in read:  # noqa: PTH100
                yield Refusal(path, "ignored", "no recording by its name, and in no table")
        else:
            yield unlisted(path)
    for its_key, row in wanted.items():
        if its_key not in chosen:
            yield Refusal(row.where, "row", f"there is no audio for it: {row.key}")


def folded(path: str) -> str:
    """What two writings of one name have in common, whatever their capitals and accents are made of."""
    return unicodedata.normalize("NFC", path.casefold())
