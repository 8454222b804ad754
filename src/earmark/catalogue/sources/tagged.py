"""Files whose tags say all: ID3, Vorbis comments, MP4, ASF or APE. Folders mean nothing here.

Artist, title, album, ISRC and genre are what `earmark.catalogue.tags` reads. A file that states no genre is taken
without one; of several genres in one file the first counts.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from earmark.catalogue.sources.folder import FolderSource
from earmark.catalogue.sources.source import Candidate


@dataclass(frozen=True)
class TaggedSource(FolderSource):
    """A folder of tagged files, however sorted; genre, artist, title, album and ISRC come from the tags."""

    name: ClassVar[str] = "tagged"
    expects: ClassVar[str] = "Any folder with audio files that carry tags (ID3, Vorbis comments, MP4, ASF or APE)."

    def describe(self) -> str:
        """What this is, in one line."""
        return f"the folder {self.path}, genres by the files' tags"

    def _candidate(self, file: Path | str, path: str) -> Candidate:
        return Candidate(file, path, genre_from_tags=True)
