"""What an import has found out so far, line by line on disk, so that a killed one goes on where it was."""

import dataclasses
import json
import os
from pathlib import Path
from types import TracebackType
from typing import Any

from earmark.audio.decode import AudioInfo
from earmark.catalogue.inspecting import Finding
from earmark.catalogue.tags import Tags


class Journal:
    """Findings by file; a file counts as the same while its path, size and time of change are.

    Args:
        path: Where the journal lies; it need not exist.
        settings: What the findings depend on besides the file; a journal of other settings is not believed.
    """

    def __init__(self, path: Path, settings: str) -> None:
        self._settings = settings
        self._known: dict[str, dict[str, Any]] = {}
        if path.exists():
            for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
                try:
                    entry = json.loads(line)
                    self._known[entry["key"]] = entry["finding"]
                except (ValueError, KeyError, TypeError):
                    continue  # the line at which the process was killed
        self._file = path.open("a", encoding="utf-8")
        self._file.write("\n")  # ends a line that was cut

    def __enter__(self) -> "Journal":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def recall(self, file: Path) -> Finding | None:
        """What was found out about ``file``, or None."""
        known = self._known.get(self._key(file))
        if known is None:
            return None
        info = None if known["info"] is None else AudioInfo(**known["info"])
        return Finding(**{**known, "info": info, "tags": Tags(**known["tags"])})

    def note(self, file: Path, finding: Finding) -> None:
        """Remember a finding, at once, unless its reason may pass."""
        if finding.passing:
            return
        json.dump({"key": self._key(file), "finding": dataclasses.asdict(finding)}, self._file)
        self._file.write("\n")
        self._file.flush()

    def _key(self, file: Path) -> str:
        try:
            stat = file.stat()
        except OSError:
            return ""
        name = os.fsencode(file.absolute()).decode("utf-8", "backslashreplace")
        return f"{self._settings}|{stat.st_size}|{stat.st_mtime_ns}|{stat.st_ino}|{name}"
