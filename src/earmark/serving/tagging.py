"""What the model heard, written into the files' own tags: `earmark predict --write-tags`.

==================  ======================  =================  ===================
what                ID3 (mp3, aiff, wav)    Vorbis comments    MP4
==================  ======================  =================  ===================
the probable genre  TCON                    GENRE              ``©gen``
tempo, whole BPM    TBPM                    BPM                ``tmpo``
key (Am, F#, Eb)    TKEY                    INITIALKEY         ``initialkey``
all else            TXXX                    by its name        ``----`` (iTunes)
==================  ======================  =================  ===================

All else: EARMARK_GENRES and EARMARK_TAGS (JSON: name → probability or share), EARMARK_APPEAL, _LOW and _HIGH,
EARMARK_TEMPO, EARMARK_LOUDNESS, EARMARK_MODEL (name and version).

Genre, tempo and key of people are left as they are, unless ``overwrite``. What earmark has written it knows again by
EARMARK_WROTE_GENRE, _BPM and _KEY: the value as it was written. Where both agree, it is earmark's and follows the
model; where somebody has changed it since, it is theirs. So `earmark import` tells machines' genres from people's and
does not learn from its own answers (`earmark.catalogue.tags`).

A file is written beside itself, compared, and put in its own place in one step. Its sound stays the same to the bit;
its time of change is new, so that backups and imports notice; rights and owner stay.

Method: mutagen writes; the packets of both files, read by PyAV and not decoded, have to be equal.
"""

import contextlib
import hashlib
import json
import os
import shutil
import stat
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from earmark.catalogue.tags import WROTE
from earmark.errors import AudioError, EarmarkError, ToolError
from earmark.files import replacing
from earmark.serving.answers import Answer
from earmark.workspace import COLLECTIONS

FORMATS = "mp3, m4a, mp4, flac, ogg, opus, aiff, wav"
_ITUNES = "----:com.apple.iTunes:"


class NoTags(AudioError):
    """The file's format has no tags that are written here."""


class TagsNotWritten(EarmarkError):
    """The file keeps the tags that it has."""

    exit_code = ToolError.exit_code


@dataclass(frozen=True)
class Said:
    """What is to stand in a file.

    Attributes:
        shared: ``genre``, ``bpm``, ``key``: what other programs read and people write, too; None where the model says
            nothing.
        own: What nobody else writes: the field's name → its text; None where there is nothing to say.
    """

    shared: Mapping[str, str | None]
    own: Mapping[str, str | None]


def said_of(answer: Answer) -> Said:
    """What an answer says, as texts. A model that abstains names no genre."""
    facts, appeal = answer.facts, answer.appeal
    return Said(
        shared={
            "genre": None if answer.abstains else answer.genres[0].genre,
            "bpm": None if facts.tempo is None else str(max(1, round(facts.tempo.bpm))),
            "key": None if facts.key is None else _key(facts.key.tonic, facts.key.mode),
        },
        own={
            "EARMARK_GENRES": _shares({each.genre: each.probability for each in answer.genres}),
            "EARMARK_TAGS": _shares({each.tag: each.share for each in answer.tags}),
            "EARMARK_APPEAL": None if appeal is None else _share(appeal.share),
            "EARMARK_APPEAL_LOW": None if appeal is None else _share(appeal.low),
            "EARMARK_APPEAL_HIGH": None if appeal is None else _share(appeal.high),
            "EARMARK_TEMPO": None if facts.tempo is None else f"{facts.tempo.bpm:.1f}",
            "EARMARK_LOUDNESS": None if facts.loudness is None else f"{facts.loudness.lufs:.1f}",
            "EARMARK_MODEL": f"{answer.model.name} {answer.model.version}",
        },
    )


def write_tags(file: Path, said: Said, *, overwrite: bool = False, root: Path | None = None) -> bool:
    """Bring the tags of ``file`` to what is ``said``.

    Args:
        file: A recording; where it is a link, what it leads to is written.
        said: What shall stand there.
        overwrite: Also in place of a genre, tempo or key that is not earmark's.
        root: A project whose collections are not to be touched.

    Returns:
        Whether anything was to be changed; else the file was not touched.

    Raises:
        NoTags: The format has none.
        TagsNotWritten: The file may not or cannot be written, belongs to the catalogue, or its tags are damaged.
    """
    path = file.resolve()
    try:
        if not _bring(_tags_of(path), said, overwrite=overwrite):
            return False
        _check(path, root)
        with replacing(path) as part:
            shutil.copyfile(path, part)
            tags = _tags_of(part)
            _bring(tags, said, overwrite=overwrite)
            tags.save(part)
            if _packets(part) != _packets(path):
                raise TagsNotWritten(
                    "its sound would not be the same with other tags, so nothing was written. Its container is "
                    "unusual; convert it (ffmpeg -i IN -c copy OUT) and try again."
                )
            _like(part, path)
        _sync_folder(path.parent)
    except OSError as error:
        raise TagsNotWritten(f"its tags cannot be written: {error.strerror or error}.") from None
    return True


def _bring(tags: "_Tags", said: Said, *, overwrite: bool) -> bool:
    """Change what has to be changed; whether anything had to."""
    changed = False
    for name, value in said.shared.items():
        there, wrote = tags.get(name), tags.get(WROTE[name])
        ours = bool(there) and there == wrote
        if there and not ours and not (overwrite and value):
            kept, mark = there, ""
        else:
            kept = mark = value or ""
        changed |= tags.put(name, kept) | tags.put(WROTE[name], mark)
    for name, value in said.own.items():
        changed |= tags.put(name, value or "")
    return changed


class _Tags(ABC):
    """A file's tags of one format: fields with one text each."""

    names: ClassVar[Mapping[str, tuple[str, ...]]] = {}  # ours → the format's; the first is written

    def __init__(self, file: Any) -> None:
        self.file = file

    def put(self, name: str, text: str) -> bool:
        """Make the field's text this one, or remove it where it is empty; whether that was needed."""
        if self.get(name) == text:
            return False
        for each in self._named(name):
            self._remove(each)
        if text:
            self._write(self._named(name)[0], text)
        return True

    def get(self, name: str) -> str:
        """The field's text, empty where there is none; of several the first."""
        return next((text for each in self._named(name) if (text := self._read(each))), "")

    def _named(self, name: str) -> tuple[str, ...]:
        return self.names.get(name, (self._own(name),))

    def save(self, part: Path) -> None:
        """Write all into the file ``part``, of which they were read."""
        self.file.save(part)

    @abstractmethod
    def _own(self, name: str) -> str:
        """How a field is called that other programs do not know."""

    @abstractmethod
    def _read(self, name: str) -> str: ...

    @abstractmethod
    def _write(self, name: str, text: str) -> None: ...

    @abstractmethod
    def _remove(self, name: str) -> None: ...


class _Id3(_Tags):
    names: ClassVar = {"genre": ("TCON",), "bpm": ("TBPM",), "key": ("TKEY",)}

    def __init__(self, file: Any) -> None:
        super().__init__(file)
        if file.tags is None:
            file.add_tags()
        self._v23 = file.tags.version[:2] <= (2, 3)

    def save(self, part: Path) -> None:
        # Programs that read no 2.4 stay able to; several values stay apart, as they were.
        self.file.save(part, v2_version=3 if self._v23 else 4, v23_sep=None)

    def _own(self, name: str) -> str:
        return f"TXXX:{name}"

    def _read(self, name: str) -> str:
        frame = self.file.tags.get(name)
        texts = getattr(frame, "genres", None) or getattr(frame, "text", [])
        return next((str(text).strip() for text in texts if str(text).strip()), "")

    def _write(self, name: str, text: str) -> None:
        from mutagen import id3

        kind, _, described = name.partition(":")
        frame = getattr(id3, kind)(encoding=id3.Encoding.UTF8, text=[text])
        if described:
            frame.desc = described
        self.file.tags.add(frame)

    def _remove(self, name: str) -> None:
        self.file.tags.pop(name, None)


class _Vorbis(_Tags):
    names: ClassVar = {"genre": ("GENRE",), "bpm": ("BPM", "TEMPO"), "key": ("INITIALKEY", "KEY")}

    def __init__(self, file: Any) -> None:
        super().__init__(file)
        if file.tags is None:
            file.add_tags()

    def _own(self, name: str) -> str:
        return name

    def _read(self, name: str) -> str:
        return next((text.strip() for text in self.file.tags.get(name, []) if text.strip()), "")

    def _write(self, name: str, text: str) -> None:
        self.file.tags[name] = [text]

    def _remove(self, name: str) -> None:
        with contextlib.suppress(KeyError):
            del self.file.tags[name]


class _Mp4(_Tags):
    names: ClassVar = {"genre": ("\xa9gen",), "bpm": ("tmpo",), "key": (f"{_ITUNES}initialkey", f"{_ITUNES}KEY")}

    def __init__(self, file: Any) -> None:
        super().__init__(file)
        if file.tags is None:
            file.add_tags()

    def _own(self, name: str) -> str:
        return f"{_ITUNES}{name}"

    def _read(self, name: str) -> str:
        for value in self.file.tags.get(name, []):
            text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
            if text.strip() and not (name == "tmpo" and text == "0"):
                return text.strip()
        return ""

    def _write(self, name: str, text: str) -> None:
        from mutagen.mp4 import MP4FreeForm

        value: Any = int(text) if name == "tmpo" else MP4FreeForm(text.encode()) if name.startswith("----") else text
        self.file.tags[name] = [value]

    def _remove(self, name: str) -> None:
        self.file.tags.pop(name, None)


def _tags_of(path: Path) -> _Tags:
    """The tags of the file, whatever its name says it is.

    Raises:
        NoTags, TagsNotWritten: As `write_tags` says.
    """
    import mutagen
    from mutagen.aiff import AIFF
    from mutagen.flac import FLAC
    from mutagen.mp3 import MP3
    from mutagen.mp4 import MP4
    from mutagen.oggflac import OggFLAC
    from mutagen.oggopus import OggOpus
    from mutagen.oggvorbis import OggVorbis
    from mutagen.wave import WAVE

    kinds: dict[Any, type[_Tags]] = dict.fromkeys((MP3, AIFF, WAVE), _Id3)
    kinds |= dict.fromkeys((FLAC, OggFLAC, OggOpus, OggVorbis), _Vorbis) | {MP4: _Mp4}
    try:
        with path.open("rb") as file:
            found = mutagen.File(file)
        if (kind := kinds.get(type(found))) is None:
            raise NoTags(f"earmark writes no tags into files of this kind, only into {FORMATS}.")
        if kind is not _Id3:
            return kind(found)
        if found.tags is not None and found.tags.version < (2, 3):
            found.tags.update_to_v23()
        else:
            found = type(found)(path, translate=False)  # frames that stay are not to be rewritten
        return kind(found)
    except (mutagen.MutagenError, ValueError, KeyError, EOFError) as error:
        raise TagsNotWritten(
            f"its tags are damaged ({error}); nothing was written. A tag editor may mend them."
        ) from None


def _check(path: Path, root: Path | None) -> None:
    if root is not None and path.is_relative_to((root / COLLECTIONS).resolve()):
        raise TagsNotWritten(
            f"it belongs to the catalogue ({COLLECTIONS}), where a file's bytes are its version. Tag the files that it "
            "was imported from, or a copy."
        )
    if not path.stat().st_mode & (stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH) or not os.access(path, os.W_OK):
        raise TagsNotWritten("it is write-protected. `chmod u+w` allows it, if it is yours.")


def _packets(path: Path) -> str:
    """SHA-256 over the coded sound, without what stands around it."""
    import av

    from earmark.audio.truncation import CHECKS

    digest = hashlib.sha256()
    options = {"format_whitelist": ",".join(CHECKS), "protocol_whitelist": "none"}
    with (
        path.open("rb") as file,
        av.open(file, options=options, metadata_errors="ignore", io_open=_refuse) as container,
    ):
        for packet in container.demux(container.streams.audio[0]):
            if packet.size:
                digest.update(packet)
    return digest.hexdigest()


def _refuse(url: str, *_: Any, **__: Any) -> Any:
    raise PermissionError(f"{url}: no recording may open another file")


def _like(part: Path, path: Path) -> None:
    """Give ``part`` the rights, the owner and the attributes of ``path``, and have the disk hold all of it."""
    about = path.stat()
    with contextlib.suppress(PermissionError):  # only root may give files away
        os.chown(part, about.st_uid, about.st_gid)
    shutil.copystat(path, part)
    os.utime(part)
    with part.open("rb") as file:
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _key(tonic: str, mode: str) -> str:
    """As ID3 has it: C, F#, Ebm."""
    return tonic.replace("♯", "#").replace("♭", "b") + ("m" if mode == "minor" else "")


def _share(share: float | None) -> str | None:
    return None if share is None else f"{share:.3f}"


def _shares(named: Mapping[str, float]) -> str | None:
    return json.dumps({name: round(share, 3) for name, share in named.items()}, ensure_ascii=False) if named else None
