"""The Echo Nest's Taste Profile of the Million Song Dataset: which listener played which song how often.

Published as ``train_triplets.txt`` (48,373,586 rows of 1,019,318 listeners and 384,546 songs); the challenge's visible
and hidden triplets are laid out alike. No header; a line is ``user<TAB>song<TAB>count``. Neither when nor how a song
was played is told, and a song is an id (``SO…``) alone. Its names stand in ``unique_tracks.txt`` of the Million Song
Dataset (``--titles``), ``track_id<SEP>song_id<SEP>artist<SEP>title``; of a song with several tracks the first names it.

The licence is from memory, not checked against its page.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import ClassVar

from earmark.catalogue.sources.library import as_text
from earmark.feedback.event import Event, Song
from earmark.feedback.sources.reading import Part, not_found, parts_or_itself, some_of, text_of
from earmark.feedback.sources.source import FeedbackSource, Refused, Row
from earmark.feedback.sources.values import whole

_REMEMBERED = 400_000  # songs, which is all of them
_SEPARATOR = "<SEP>"


@dataclass(frozen=True)
class TasteProfile(FeedbackSource):
    """The Taste Profile of the Million Song Dataset: play counts of a million listeners (train_triplets.txt)."""

    name: ClassVar[str] = "taste-profile"
    service: ClassVar[str] = "millionsong"
    licence: ClassVar[str | None] = "The Echo Nest's terms: for research, not for commercial use."
    citation: ClassVar[str | None] = (
        "T. Bertin-Mahieux, D. P. W. Ellis, B. Whitman, P. Lamere: The Million Song Dataset. ISMIR 2011. "
        "B. McFee, T. Bertin-Mahieux, D. P. W. Ellis, G. R. G. Lanckriet: The Million Song Dataset Challenge. "
        "AdMIRe 2012."
    )
    expects: ClassVar[str] = "train_triplets.txt, or the folder or zip archive that holds it."
    tells_listener: ClassVar[bool] = True
    names_later: ClassVar[bool] = True

    titles: Path | None = field(
        default=None, metadata={"help": "unique_tracks.txt of the Million Song Dataset, which names the songs."}
    )

    def files(self) -> list[Part]:
        """The files of triplets.

        Raises:
            FeedbackError: There is none.
        """
        return some_of(parts_or_itself(self.path, "*triplets*.txt"), self.path, "train_triplets.txt")

    def rows(self, part: Part) -> Iterator[Row]:
        """Every count of one file.

        Raises:
            FeedbackError: It is no text, or the file with the titles cannot be read.
        """
        names, label = self._names, part.label
        songs: dict[str, Song] = {}
        for number, line in enumerate(text_of(part), start=1):
            fields = line.split("\t")
            where = f"{label}:{number}"
            if len(fields) != 3:
                if line.strip():
                    yield Refused(where, f"wrong number of fields: {len(fields)} instead of 3")
                continue
            user, key, count = fields
            if not user or not key or not key.isprintable():
                yield Refused(where, "it lacks the listener or the song")
                continue
            times = whole(count)
            if times is None or times < 1:
                yield Refused(where, "count: it is no number from 1")
                continue
            song = songs.get(key)
            if song is None:
                if len(songs) >= _REMEMBERED:
                    songs.clear()
                songs[key] = song = _song(key, names.get(key))
            yield Event(where, song, "play", user, None, None, None, None, times)

    @cached_property
    def _names(self) -> dict[str, str]:
        """Artist and title of each song, as they stand in one line; empty where no file names them.

        Raises:
            FeedbackError: The file cannot be read, or is another one.
        """
        return {} if self.titles is None else _named_songs(self.titles)


def _named_songs(path: Path) -> dict[str, str]:
    names: dict[str, str] = {}
    for part in parts_or_itself(path, "*unique_tracks*.txt"):
        for line in text_of(part):
            _, _, rest = line.rstrip("\r\n").partition(_SEPARATOR)
            song, _, artist_and_title = rest.partition(_SEPARATOR)
            if artist_and_title:
                names.setdefault(song, artist_and_title)
    if not names:
        raise not_found(path, "unique_tracks.txt (lines of track<SEP>song<SEP>artist<SEP>title)")
    return names


def _song(key: str, artist_and_title: str | None) -> Song:
    artist, _, title = (artist_and_title or "").partition(_SEPARATOR)
    return Song("millionsong", key, as_text(title), as_text(artist))
