"""A folder of audio: ``PATH/<genre>/…/song.mp3``. The first folder below PATH is the genre; tags tell the rest.

PATH may be an address, such as ``s3://bucket/music``. A file that lies directly in PATH has no genre. It is taken all
the same, because the catalogue has room for tracks without a label; `dvc repro` then decides whether they are fit to
learn from.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from earmark.catalogue.sources.source import Candidate, Refusal, Source, check_folder, collection_of
from earmark.catalogue.sources.walking import top_folder, walk, walk_address


@dataclass(frozen=True)
class FolderSource(Source):
    """A folder of audio: PATH/<genre>/…; artist, title and album come from the files' own tags."""

    path: Path | str  # type: ignore[assignment]  # wider than other sources': this one reads addresses too

    name: ClassVar[str] = "folder"
    expects: ClassVar[str] = (
        "Any folder with audio files, or an address such as s3://bucket/music; the first folder below it is the genre."
    )

    @property
    def collection(self) -> str:
        """The folder's name, as far as it can name a collection."""
        path = self.path
        last = path.rstrip("/").rpartition("/")[2] if isinstance(path, str) else path.absolute().name
        return collection_of(last) or self.name

    def describe(self) -> str:
        """What this is, in one line."""
        return f"the folder {self.path}, genres by folder name"

    def candidates(self) -> Iterator[Candidate | Refusal]:
        """Every entry below the folder.

        Raises:
            CatalogueError: There is no such folder, or the address cannot be listed.
        """
        entries: Iterator[tuple[Path | str, str] | Refusal]
        if isinstance(self.path, str):
            entries = walk_address(self.path)
        else:
            check_folder(self.path)
            entries = walk(self.path)
        for entry in entries:
            if isinstance(entry, Refusal):
                yield entry
            else:
                yield self._candidate(*entry)

    def _candidate(self, file: Path | str, path: str) -> Candidate:
        return Candidate(file, path, genre=top_folder(path))
