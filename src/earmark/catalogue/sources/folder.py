"""A folder of audio: ``PATH/<genre>/…/song.mp3``. The first folder below PATH is the genre; tags tell the rest.

A file that lies directly in PATH has no genre. It is taken all the same, because the catalogue has room for tracks
without a label; `dvc repro` then decides whether they are fit to learn from.
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import pandas as pd

from earmark.catalogue.sources.source import Candidate, Refusal, check_folder
from earmark.catalogue.sources.walking import walk


class FolderSource:
    """Any folder whose first level of folders are genres."""

    name = "folder"
    licence: str | None = None
    citation: str | None = None

    def __init__(self, path: Path) -> None:
        self.path = path
        self.collection = re.sub(r"[^\w.-]+", "-", path.absolute().name).strip("-._").lower() or "folder"

    def describe(self) -> str:
        """What this is, in one line."""
        return f"the folder {self.path}, genres by folder name"

    def candidates(self) -> Iterator[Candidate | Refusal]:
        """Every entry below the folder.

        Raises:
            CatalogueError: There is no such folder.
        """
        check_folder(self.path)
        for entry in walk(self.path):
            if isinstance(entry, Refusal):
                yield entry
            else:
                file, path = entry
                genre, slash, _ = path.partition("/")
                yield Candidate(file, path, genre=genre if slash else None)

    def answers(self, track_ids: Iterable[str]) -> tuple[pd.DataFrame, list[Refusal]] | None:
        """None: a folder knows of no listeners."""
        return None
