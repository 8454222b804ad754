"""One file of an import, in a process of its own: is it a recording, what is it, and its copy in the collection.

Many files at once, without one of them stopping the others: a file on which the decoder itself dies is tried once more
alone, and then refused.
"""

import errno
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from earmark.audio.decode import AudioInfo, TruncatedAudio, UnreadableFile
from earmark.audio.fingerprint import Fingerprinter
from earmark.audio.fingerprint_cache import FingerprintCache
from earmark.audio.metering import Measures, measure
from earmark.catalogue.addresses import opened, why
from earmark.catalogue.sources.walking import claims_audio
from earmark.catalogue.tags import Tags, read_tags
from earmark.errors import AudioError, CatalogueError
from earmark.files import sha256_of
from earmark.workers import Workers

# Raise it when a Finding gets other fields, or measures otherwise: earlier ones in the journal are then not believed.
FINDING = 1

_COPY_BYTES = 1 << 20
_DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)  # no fault of the file: the import stops


@dataclass(frozen=True)
class Task:
    """One file to look at.

    Attributes:
        file: Where it lies: a path, or an address.
        copy: Where it goes if it is taken; None leaves it where it is.
        scratch: A folder on the same disk as ``copy``, for what is half-written.
        min_duration_s: Shorter ones are refused.
        features: The feature cache, which gets the fingerprint, heard in the same pass; None keeps none.
    """

    file: Path | str
    copy: Path | None
    scratch: Path
    min_duration_s: float
    features: Path | None = None


@dataclass(frozen=True)
class Finding:
    """A recording, now in the collection; or the reason why it is none.

    Attributes:
        measures: What its sound measures; None where the owner's facts were believed.
        reason: Why it is refused, or None.
        ignored: It never claimed to be a recording.
        passing: The reason may be gone the next time (rights, a disk), so it is not to be remembered.
    """

    content_hash: str = ""
    info: AudioInfo | None = None
    measures: Measures | None = None
    tags: Tags = field(default_factory=Tags)
    reason: str | None = None
    ignored: bool = False
    passing: bool = False


def inspect(task: Task) -> Finding:
    """Probe the file and store it, all or nothing; a copy that is already there stays.

    Raises:
        CatalogueError: The disk is full or cannot be written.
    """
    try:
        with _at_hand(task) as file:
            return _inspect(file, task)
    except AudioError as error:
        claims = claims_audio(str(task.file)) or isinstance(error, TruncatedAudio | UnreadableFile)
        return Finding(reason=str(error), ignored=not claims, passing=isinstance(error, UnreadableFile))
    except OSError as error:
        if error.errno in _DISK_ERRORS:
            raise CatalogueError(
                f"The collection cannot be written to {task.scratch.parent} ({error.strerror}). Make room there, and "
                "run the same import again: it goes on where it stopped."
            ) from None
        name = (task.copy or Path(str(task.file))).name
        return Finding(reason=f"it cannot be copied to {name!r}: {error.strerror or error}", passing=True)


def _inspect(file: Path, task: Task) -> Finding:
    fingerprinter = Fingerprinter()
    probe = measure(file, listener=(lambda samples, _: fingerprinter.push(samples)) if task.features else None)
    if probe.info.duration_s < task.min_duration_s:
        return Finding(
            reason=f"too short: it lasts {probe.info.duration_s:.2f} s, and validation.min_duration_s asks for "
            f"{task.min_duration_s:.2f} s"
        )
    try:
        content_hash = sha256_of(file)
    except OSError as error:
        raise _unreadable(file, error) from None
    there = task.copy is None or (task.copy.is_file() and sha256_of(task.copy) == content_hash)
    if task.copy and not there and _copy(file, task.copy, task.scratch) != content_hash:
        return Finding(reason="it changed while it was read; import it again when nothing writes to it", passing=True)
    if task.features:
        FingerprintCache(task.features).store(content_hash, fingerprinter.finish())
    return Finding(content_hash, probe.info, probe.measures, read_tags(file))


@contextmanager
def _at_hand(task: Task) -> Iterator[Path]:
    """The file on this machine; what lies at an address is fetched into the scratch folder for as long as it takes."""
    if isinstance(task.file, Path):
        yield task.file
        return
    # What is fetched keeps the object's name, because messages show it.
    with tempfile.TemporaryDirectory(dir=task.scratch, suffix=".part") as folder:
        file = Path(folder) / (task.file.rpartition("/")[2] or "audio")
        try:
            files, path = opened(task.file)
            with files.open(path, "rb") as remote, file.open("wb") as into:
                shutil.copyfileobj(remote, into, _COPY_BYTES)
        except Exception as error:  # each kind of storage fails in a way of its own
            if isinstance(error, OSError) and error.errno in _DISK_ERRORS:
                raise
            raise UnreadableFile(f"{task.file} cannot be fetched: {why(task.file, error)}") from None
        yield file


def _copy(file: Path, copy: Path, scratch: Path) -> str:
    """Copy by way of the scratch folder, so that the name appears only when all is there; return the copy's hash."""
    digest = hashlib.sha256()
    handle, name = tempfile.mkstemp(dir=scratch, suffix=".part")
    part = Path(name)
    try:
        with os.fdopen(handle, "wb") as into:
            for piece in _pieces(file):
                digest.update(piece)
                into.write(piece)
            into.flush()
            os.fsync(into.fileno())
        part.chmod(0o644)
        copy.parent.mkdir(parents=True, exist_ok=True)
        part.replace(copy)
    finally:
        part.unlink(missing_ok=True)
    return digest.hexdigest()


def _pieces(file: Path) -> Iterator[bytes]:
    """The file's bytes. A disk that fails here is the source's, and one bad sector no reason to stop the import."""
    try:
        with file.open("rb") as source:
            while piece := source.read(_COPY_BYTES):
                yield piece
    except OSError as error:
        raise _unreadable(file, error) from None


def _unreadable(file: Path, error: OSError) -> UnreadableFile:
    return UnreadableFile(
        f"{file} cannot be read to its end: {error.strerror or error}. Check the disk it lies on, and import it again."
    )


def inspect_all(tasks: Sequence[Task], *, processes: int) -> Iterator[tuple[int, Finding]]:
    """Findings in the order in which they come, each with its task's number.

    Raises:
        CatalogueError: The disk is full or cannot be written.
        KeyboardInterrupt: Ctrl-C; what was begun is finished or undone, and the processes are gone.
    """
    waiting = iter(range(len(tasks)))
    orphans: list[int] = []
    executor = Workers(processes)
    running: dict[Future[Finding], int] = {}
    try:
        while True:
            while len(running) < 4 * processes and (number := next(waiting, None)) is not None:
                try:
                    running[executor.submit(inspect, tasks[number])] = number
                except BrokenProcessPool:
                    orphans.append(number)
                    break
            if not running:
                break
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                number = running.pop(future)
                try:
                    yield number, future.result()
                except BrokenProcessPool:  # one of those under way killed its process; which one is not known
                    orphans.append(number)
            if orphans:
                wait(running)
                for future, number in running.items():
                    if future.exception() is None:
                        yield number, future.result()
                    else:
                        orphans.append(number)
                running.clear()
                executor.shutdown()
                for number in sorted(orphans):
                    yield number, _alone(tasks[number])
                orphans.clear()
                executor = Workers(processes)
    finally:
        executor.shutdown(wait=True, cancel_futures=True)


def _alone(task: Task) -> Finding:
    with Workers(1) as executor:
        try:
            finding: Finding = executor.submit(inspect, task).result()
            return finding
        except BrokenProcessPool:
            return Finding(
                reason="the decoder died on it (out of memory, or a fault in FFmpeg): it is damaged or hostile"
            )
