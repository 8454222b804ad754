"""Who and what, as numbers: listeners as keyed hashes, songs and events as plain ones, all of 63 bits.

A listener's number is HMAC-SHA256 of service and name under a key that lies outside the project (RFC 2104). Without the
key nobody can find out whether a name is in the data, not even by trying all names; with it, the same name gives the
same number, so that imports add up. If the key is lost, the data stay as useful as before and are nearer to anonymous:
only, imports begin new listeners, and `earmark feedback forget` finds the old ones no more.

An event's number follows from what it is, so that the same event, imported again from whatever file, is the same.
Of 63 bits two in a billion collide with a chance of 5 %; events are told apart within a day, which makes it nothing.
"""

import hashlib
import hmac
import os
import secrets
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from earmark.errors import FeedbackError
from earmark.feedback.event import Song

KEY = "EARMARK_LISTENER_KEY"
_SHORTEST = 16  # characters
_HIGHEST = (1 << 63) - 1

NOBODY = 0  # the listener where none is told apart
ANYWHERE = "\0"  # in place of a service: the name at whichever there is, for who was forgotten
UNDATED = 0  # the day of what has no time

Ids = npt.NDArray[np.int64]

# Without a time each is one state: a later like takes an earlier one's place, counts are brought up to date.
_STATES = {"play": 1, "skip": 2, "like": 3, "dislike": 4, "rating": 5, "feeling": 6, "tag": 7, "comment": 8}


@dataclass(frozen=True)
class ListenerKey:
    """The secret under which listeners are hashed."""

    secret: bytes

    @property
    def fingerprint(self) -> str:
        """By which a store knows its key, and from which nobody can make it."""
        return hmac.new(self.secret, b"earmark listener key", "sha256").hexdigest()[:16]

    def id_of(self, service: str, name: str) -> int:
        """The number of a listener of a service; of a name that the team itself gave, ``service`` is empty."""
        whole = unicodedata.normalize("NFC", f"{service}\0{name}")  # as macOS names folders, an é is two signs
        digest = hmac.new(self.secret, whole.encode("utf-8", "surrogatepass"), "sha256").digest()
        return int.from_bytes(digest[:8], "big") & _HIGHEST or 1


def key_file() -> Path:
    """Where the key lies if the environment does not hold it: in the user's settings, outside every project."""
    home = os.environ.get("XDG_CONFIG_HOME")
    return (Path(home) if home else Path.home() / ".config") / "earmark" / "listener.key"


def load_key() -> ListenerKey:
    """The key in the environment, else in `key_file`, which is made where there is none.

    Raises:
        FeedbackError: The key is too short, or cannot be read or written.
    """
    if text := os.environ.get(KEY, ""):
        return _checked(text, f"the environment variable {KEY}")
    path = key_file()
    try:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            _write_once(path, secrets.token_hex(32))
        return _checked(path.read_text(encoding="utf-8").strip(), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise FeedbackError(
            f"The key for listeners' names cannot be read or made at {path} ({error}). Put one of your own, at least "
            f"{_SHORTEST} characters that nobody can guess, into the environment variable {KEY}."
        ) from None


def _write_once(path: Path, text: str) -> None:
    """As a file that only its owner reads, complete or not there; of two processes the first one's stays."""
    part = path.with_name(f".{path.name}.{secrets.token_hex(8)}.part")
    with os.fdopen(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w", encoding="utf-8") as file:
        file.write(text + "\n")
    try:
        os.link(part, path)
    except FileExistsError:
        pass
    finally:
        part.unlink()


def _checked(text: str, where: str) -> ListenerKey:
    if len(text) < _SHORTEST:
        raise FeedbackError(
            f"The key for listeners' names in {where} has {len(text)} characters; at least {_SHORTEST} are needed, and "
            "nobody should be able to guess them."
        )
    return ListenerKey(text.encode())


def song_id(song: Song) -> int:
    """The number of a song, by its service and what identifies it there."""
    return _hashed(f"{song.service}\0{song.key}")


def word_id(word: str) -> int:
    """The number of a word, for `event_ids`."""
    return _hashed(word)


def event_ids(
    listeners: Ids, songs: Ids, kinds: Sequence[str], at_us: Ids, ms_played: Ids, values: npt.NDArray[Any], words: Ids
) -> Ids:
    """The number of each event, all arguments of shape ``(events,)``.

    Args:
        listeners: Numbers of the listeners, `NOBODY` where none is told apart.
        songs: Numbers of the songs.
        kinds: As `Event.kind`.
        at_us: Microseconds since 1970; negative where no time is known: how long and how much is left out then, because
            it is a state that may change.
        ms_played: Negative where it is not known.
        values: NaN where there is none.
        words: Numbers of the words, 0 where there is none.
    """
    dated = at_us >= 0
    codes = np.array([_STATES[kind] for kind in kinds], dtype=np.uint64)
    with np.errstate(invalid="ignore", over="ignore"):
        graded = np.where(np.isnan(values), -1.0, values * 1_000_000).astype(np.int64)
    found = np.full(len(codes), 0x9E3779B97F4A7C15, dtype=np.uint64)
    for column in (
        listeners,
        songs,
        codes,
        np.where(dated, at_us, -1),
        np.where(dated, ms_played, -1),
        np.where(dated, graded, -1),
        words,
    ):
        found = _mixed(found ^ column.astype(np.uint64))
    return (found & np.uint64(_HIGHEST)).astype(np.int64)


def _mixed(values: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """SplitMix64's finaliser (Steele, Lea, Flood 2014): a bijection that spreads every bit over all."""
    values = values + np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def _hashed(text: str) -> int:
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big") & _HIGHEST or 1
