"""What imports have found out, line by line on disk: a killed one goes on where it was, the next looks only at the new.

One line a file: its state (path, size, time of change), a tab, the finding as JSON. Only the places of the lines are
held in memory, so that a journal of a million files costs little.
"""

import dataclasses
import hashlib
import json
import os
from pathlib import Path
from types import TracebackType
from typing import Any

from earmark.audio.decode import AudioInfo
from earmark.audio.metering import Measures
from earmark.catalogue.addresses import opened
from earmark.catalogue.imports.inspecting import FINDING, Finding
from earmark.catalogue.tags import Tags


class Journal:
    """Findings by file; a file counts as the same while its path, size and time of change are.

    Args:
        path: Where the journal lies; it need not exist.
        settings: What the findings depend on besides the file; findings under other settings are not believed, and
            none of an earmark that looked for something else.
    """

    def __init__(self, path: Path, settings: str) -> None:
        self._settings = f"{FINDING}|{settings}"
        self._places: dict[bytes, int] = {}
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("a+b")
        self._file.seek(0)
        place = 0
        for line in self._file:
            key, tab, _ = line.partition(b"\t")
            if tab:
                self._places[_digest(key)] = place
            place += len(line)
        if place:
            self._file.write(b"\n")  # ends a line that was cut

    def __enter__(self) -> "Journal":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def recall(self, state: bytes) -> Finding | None:
        """What was found out about the file in this `state`, or None."""
        place = self._places.get(_digest(state)) if state else None
        if place is None:
            return None
        self._file.seek(place)
        found, _, line = self._file.readline().partition(b"\t")
        try:
            known = json.loads(line)
        except ValueError:  # the line at which the process was killed
            return None
        return _finding(known) if found == state else None

    def note(self, state: bytes, finding: Finding) -> None:
        """Remember, at once, what was found out about the file in this `state`, unless its reason may pass."""
        if finding.passing or not state:
            return
        line = json.dumps(dataclasses.asdict(finding)).encode()
        self._places[_digest(state)] = self._file.seek(0, os.SEEK_END)
        self._file.write(state + b"\t" + line + b"\n")
        self._file.flush()

    def state(self, file: Path | str) -> bytes:
        """One line that names a file and its state now; empty where nothing tells whether it has changed.

        To be taken before the file is looked at: what changes meanwhile is then looked at again.
        """
        if isinstance(file, str):
            version, name = _version(file), file
        else:
            try:
                stat = file.stat()
            except OSError:
                return b""
            # The time of change too: editors of tags may keep size and time of modification.
            version, name = f"{stat.st_size}|{stat.st_mtime_ns}|{stat.st_ctime_ns}", os.fspath(file.absolute())
        text = f"{self._settings}|{version}|".encode() + os.fsencode(name)
        return text.replace(b"\t", b"\\t").replace(b"\n", b"\\n") if version else b""


def _version(address: str) -> str:
    """What a bucket says of an object's state: its size and its ETag or time of change; empty where it says nothing."""
    try:
        files, path = opened(address)
        info = files.info(path)
    except Exception:  # each kind of storage fails in a way of its own; fetching the file will say why
        return ""
    state = info.get("ETag") or info.get("LastModified") or info.get("mtime") or info.get("created")
    return f"{info.get('size')}|{state}" if state else ""


def _digest(key: bytes) -> bytes:
    return hashlib.blake2b(key, digest_size=12).digest()


def _finding(known: dict[str, Any]) -> Finding:
    parts = {"info": AudioInfo, "measures": Measures, "tags": Tags}
    return Finding(**known | {name: known[name] and part(**known[name]) for name, part in parts.items()})
