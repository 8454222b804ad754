"""How a collection keeps its audio: as files, packed into archives, or left where it is.

DVC spends its time on files, not on bytes: ten thousand small ones take it longer than ten archives of the same size
(bench/results/catalogue.json). Archives are only ever added, never changed, so that a new import leaves the old ones,
and what DVC has stored of them, untouched.
"""

import os
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from earmark.catalogue.reading import archived, is_address
from earmark.errors import CatalogueError
from earmark.files import replacing

Store = Literal["auto", "files", "archives", "outside"]
STORES: tuple[str, ...] = get_args(Store)

FILES_AT_MOST = 1_000  # "auto" keeps more than these in archives
_ARCHIVE_FILES, _ARCHIVE_BYTES = 1_000, 1 << 30
_WHEN = (1980, 1, 1, 0, 0, 0)  # equal content gives equal archives


def choose(store: Store, incoming: int, paths: Iterable[str]) -> Store:
    """What ``auto`` means for ``incoming`` files in a collection that holds ``paths``."""
    if store != "auto":
        return store
    return "archives" if incoming > FILES_AT_MOST or any(path.startswith("zip://") for path in paths) else "files"


def outside(file: Path | str) -> str:
    """The ``Track.path`` of a recording that stays where it is.

    Raises:
        CatalogueError: Its name is no text (UTF-8), so no table can hold it.
    """
    if isinstance(file, str):
        return file
    path = file.absolute().as_posix()
    try:
        path.encode()
    except UnicodeEncodeError:
        raise CatalogueError("its name is no text (UTF-8), so it cannot be left outside; rename it") from None
    return path


@dataclass(frozen=True)
class Packed:
    """One file on its way into an archive: its name there, and where it lies now."""

    member: str
    file: Path


def pack(files: Sequence[Packed], folder: Path, root: Path) -> dict[str, str]:
    """Put ``files`` into new archives in ``folder``, uncompressed, in the given order.

    Args:
        files: In the order in which they are packed; equal files in equal order give equal archives.
        folder: The collection's ``audio/``.
        root: The project's folder, to which paths are relative.

    Returns:
        The ``Track.path`` of each, by member.
    """
    paths: dict[str, str] = {}
    numbers = [int(archive.stem) for archive in folder.glob("*.zip") if archive.stem.isdecimal()]
    number = max(numbers, default=0)
    for chosen in _shares(files):
        number += 1
        archive = folder / f"{number:04}.zip"
        with replacing(archive) as part, zipfile.ZipFile(part, "w", zipfile.ZIP_STORED) as into:
            for each in chosen:
                entry = zipfile.ZipInfo(each.member, _WHEN)
                entry.external_attr = 0o644 << 16
                with each.file.open("rb") as source, into.open(entry, "w", force_zip64=True) as target:
                    while piece := source.read(1 << 20):
                        target.write(piece)
        place = archive.relative_to(root).as_posix()
        paths |= {each.member: archived(each.member, place) for each in chosen}
    return paths


def _shares(files: Sequence[Packed]) -> list[list[Packed]]:
    shares: list[list[Packed]] = []
    size = 0
    for each in files:
        bytes_now = each.file.stat().st_size
        if not shares or len(shares[-1]) >= _ARCHIVE_FILES or size + bytes_now > _ARCHIVE_BYTES:
            shares.append([])
            size = 0
        shares[-1].append(each)
        size += bytes_now
    return shares


def remove_unnamed(folder: Path, paths: Iterable[str]) -> None:
    """Remove archives that no track's path names: what a run that was killed has left."""
    named = {path.rpartition("/")[2] for path in paths if path.startswith("zip://")}
    for archive in folder.glob("*.zip"):
        if archive.stem.isdecimal() and archive.name not in named:
            archive.unlink()


def remove_unused(folder: Path, root: Path, paths: Iterable[str]) -> None:
    """Remove audio in the collection that no track's path names: of tracks that are over, or that lie elsewhere now."""
    named = {root / path.rpartition("::")[2] for path in paths if in_project(path)}
    for place, _, files in os.walk(folder, topdown=False):
        for file in files:
            if Path(place, file) not in named:
                Path(place, file).unlink()
        if place != os.fspath(folder) and not any(Path(place).iterdir()):
            Path(place).rmdir()


def in_project(path: str) -> bool:
    """Whether this ``Track.path`` lies in the project, as a file or in an archive."""
    return path.startswith("zip://") or not (is_address(path) or Path(path).is_absolute())


def is_there(root: Path, path: str) -> bool:
    """Whether the file, or the archive, of this ``Track.path`` in the project is there."""
    return (root / path.rpartition("::")[2]).is_file()
