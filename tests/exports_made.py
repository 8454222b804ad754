"""For tests of listening histories: exports laid out by a dictionary, and what a source makes of them."""

import io
import json
import tarfile
import zipfile
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from earmark.feedback.event import Event
from earmark.feedback.sources.source import FeedbackSource, Refused


def us(text: str) -> int:
    """Microseconds since 1970 of a date with its zone, by another way than the sources take."""
    return int(datetime.strptime(text, "%Y-%m-%d %H:%M:%S %z").timestamp()) * 1_000_000


def items(source: FeedbackSource) -> list[Any]:
    """One item a row, in order: an event, a tuple of events, or a refusal."""
    return [item for part in source.files() for item in source.rows(part)]


def events(source: FeedbackSource) -> list[Event]:
    """Every event, those of tuples too."""
    found: list[Event] = []
    for item in items(source):
        if isinstance(item, Event):
            found.append(item)
        elif not isinstance(item, Refused):
            found += item
    return found


def refused(source: FeedbackSource) -> dict[str, str]:
    """Reason by place; the same place twice is a failure."""
    found = [item for item in items(source) if isinstance(item, Refused)]
    assert len({item.where for item in found}) == len(found)
    return {item.where: item.reason for item in found}


def lay_out(folder: Path, files: Mapping[str, Any]) -> Path:
    """Write each file below ``folder``: bytes and texts as they are, all else as JSON."""
    for name, content in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(as_bytes(content))
    return folder


def zipped(path: Path, files: Mapping[str, Any]) -> Path:
    """The same as a zip archive at ``path``."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, as_bytes(content))
    return path


def tarred(path: Path, files: Mapping[str, Any]) -> Path:
    """The same as a tar archive at ``path``."""
    with tarfile.open(path, "w") as archive:
        for name, content in files.items():
            entry, data = tarfile.TarInfo(name), as_bytes(content)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return path


def as_bytes(content: Any) -> bytes:
    if isinstance(content, bytes):
        return content
    return (content if isinstance(content, str) else json.dumps(content)).encode()


def json_lines(*rows: Any) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)
