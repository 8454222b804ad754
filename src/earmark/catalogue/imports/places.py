"""Where the audio of an import goes, and where it is already."""

from pathlib import Path

import pyarrow as pa

from earmark.catalogue.imports import storing
from earmark.catalogue.imports.storing import Packed, Store
from earmark.catalogue.sources.source import Candidate
from earmark.catalogue.track import SCHEMA
from earmark.files import sha256_of


class Places:
    """Where the audio of this import goes, and where it is already."""

    def __init__(
        self, root: Path, folder: Path, scratch: Path, store: Store, earlier: dict[str, tuple[str, str]]
    ) -> None:
        self.root, self.folder, self.scratch, self.store = root, folder, scratch, store
        self._earlier = earlier  # track_id → path and content hash, before this import
        self._waiting = scratch / "kept"  # for archives: whole copies, until all are there

    def copy(self, candidate: Candidate) -> Path | None:
        """Where to copy it, or None if it stays outside."""
        if self.store == "outside":
            return None
        return (self.folder / "audio" if self.store == "files" else self._waiting) / candidate.path

    def holds(self, candidate: Candidate, content_hash: str) -> bool:
        """Whether this very content lies where this import wants it, or where an earlier one has put it."""
        copy = self.copy(candidate)
        if copy is None or self._stays(candidate.path, content_hash):
            return True
        return copy.is_file() and sha256_of(copy) == content_hash  # of a run that was killed

    def path(self, candidate: Candidate) -> str:
        """Its ``Track.path``, as far as it is known yet; archives are packed at the end, by `settled`."""
        if self.store == "outside":
            return storing.outside(candidate.file)
        return (self.folder / "audio" / candidate.path).relative_to(self.root).as_posix()

    def settled(self, taken: pa.Table) -> pa.Table:
        """The tracks with the paths at which they lie in the end."""
        if self.store == "outside":
            return taken
        columns = (taken[name].to_pylist() for name in ("track_id", "path", "content_hash"))
        paths: dict[str, str] = {}
        waiting: list[Packed] = []
        for track_id, path, content_hash in zip(*columns, strict=True):
            stays = self._stays(track_id, content_hash)
            paths[track_id] = stays or path
            if self.store == "archives" and not stays:
                waiting.append(Packed(track_id, self._waiting / track_id))
        paths |= storing.pack(waiting, self.folder / "audio", self.root)
        column = pa.array(paths.values(), pa.string())
        return taken.set_column(taken.schema.get_field_index("path"), SCHEMA.field("path"), column)

    def _stays(self, track_id: str, content_hash: str) -> str | None:
        """The path at which an earlier import has stored this very content in the project, or None."""
        path, known = self._earlier.get(track_id, ("", ""))
        return (
            path if known == content_hash and storing.in_project(path) and storing.is_there(self.root, path) else None
        )
