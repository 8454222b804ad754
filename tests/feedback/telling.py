"""For tests of sources of feedback: exports laid out by a dictionary or packed, and what a source tells of them."""

import io
import zipfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from earmark.feedback.event import Event
from earmark.feedback.sources.source import FeedbackSource, Refused, Row


def lay(folder: Path, files: Mapping[str, str | bytes]) -> Path:
    """Write each file at its path below ``folder``."""
    for name, content in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def packed(files: Mapping[str, str | bytes]) -> bytes:
    """A zip archive of these files."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return content.getvalue()


def told(source: FeedbackSource) -> list[Row]:
    """Every row of every file."""
    return [row for part in source.files() for row in source.rows(part)]


def events(source: FeedbackSource) -> list[Event]:
    """All events, of whichever rows."""
    found: list[Event] = []
    for row in told(source):
        found += [row] if isinstance(row, Event) else [] if isinstance(row, Refused) else row
    return found


def refused(source: FeedbackSource) -> dict[str, str]:
    """Reasons by where the row stands; the same twice is a failure."""
    rows = [row for row in told(source) if isinstance(row, Refused)]
    assert len({row.where for row in rows}) == len(rows)
    return {row.where: row.reason for row in rows}


def us(*when: int) -> int:
    """Year, month, day, hour … in UTC, in microseconds since 1970."""
    return int(datetime(*when, tzinfo=UTC).timestamp()) * 1_000_000
