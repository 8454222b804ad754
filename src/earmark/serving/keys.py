"""API keys: who may ask, where not everybody may. `earmark keys` makes and revokes them; the door asks a `KeyRing`.

A key is 32 random bytes, and is shown once. The file ``.earmark/keys.json`` (EARMARK_KEYS names another) keeps its
HMAC-SHA-256 under a random key of the file, the pepper. bcrypt and its kin are slow so that people's passwords, of
which there are few, cannot be tried out one by one; nobody tries out 2^256 keys, so slowness would protect nothing
here, and each request would pay for it. The pepper makes the hashes of two installations different.

No file: everybody may ask, as on a laptop. A file, even one whose last key was revoked: only who has a key. A file that
cannot be read: nobody, until it is mended.
"""

import base64
import hmac
import json
import logging
import os
import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from earmark.errors import ParamsError
from earmark.files import locked, replacing

KEYS = Path(".earmark/keys.json")
VARIABLE = "EARMARK_KEYS"
PREFIX = "earmark_"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
# More than any key has; what is longer is not worth hashing.
_LONGEST = 128
_VERSION = 1

logger = logging.getLogger("bentoml.earmark")


class KeysDamaged(ParamsError):
    """The file of keys cannot be read, so that nobody can be let in."""


@dataclass(frozen=True)
class ApiKey:
    """What is known of a key.

    Attributes:
        name: Whose it is, in the operator's words; it stands in the log.
        hash: HMAC-SHA-256 of the key under the file's pepper, in hexadecimal.
        created: ISO 8601, UTC.
        requests_per_minute: None: as params.yaml says; 0: as many as they like.
    """

    name: str
    hash: str
    created: str
    requests_per_minute: int | None = None


@dataclass(frozen=True)
class KeysFile:
    """The content of the file: the pepper, in hexadecimal, and the keys in the order in which they were made."""

    pepper: str
    keys: tuple[ApiKey, ...] = ()

    def hash_of(self, key: str) -> str:
        """How ``key`` is kept."""
        return hmac.digest(bytes.fromhex(self.pepper), key.encode(), "sha256").hex()

    def holder(self, key: str) -> ApiKey | None:
        """Whose key this is. Every key is compared in full, so that the time it takes tells nothing."""
        if len(key) > _LONGEST:
            return None
        presented = self.hash_of(key)
        found = None
        for known in self.keys:
            if hmac.compare_digest(known.hash, presented):
                found = known
        return found


def keys_path(root: Path) -> Path:
    """Where the keys of the project ``root`` are."""
    return root / os.environ.get(VARIABLE, KEYS)


def read_keys(path: Path) -> KeysFile:
    """The keys in the file at ``path``.

    Raises:
        FileNotFoundError: There is no such file.
        KeysDamaged: It cannot be read, or is no file of keys.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        found = KeysFile(content["pepper"], tuple(_checked(key) for key in content["keys"]))
        if content["version"] != _VERSION or len(bytes.fromhex(found.pepper)) < 16:
            raise ValueError("another version, or no pepper")
    except FileNotFoundError:
        raise
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise KeysDamaged(
            f"{path} is no file of API keys that can be read ({type(error).__name__}), so nobody is let in. Get it "
            "back from a backup; or remove it, and make new keys with `earmark keys add`."
        ) from error
    return found


def _checked(entry: Mapping[str, Any]) -> ApiKey:
    key = ApiKey(**entry)
    whole = isinstance(key.requests_per_minute, int) and not isinstance(key.requests_per_minute, bool)
    if not (
        isinstance(key.name, str)
        and isinstance(key.created, str)
        and isinstance(key.hash, str)
        and len(bytes.fromhex(key.hash)) == 32
        and (key.requests_per_minute is None or (whole and key.requests_per_minute >= 0))
    ):
        raise ValueError("an entry that no command wrote")
    return key


def add_key(path: Path, name: str, *, requests_per_minute: int | None = None) -> str:
    """Make a key called ``name`` and keep its hash in the file at ``path``; the key itself, which is nowhere else.

    Raises:
        ParamsError: The name is taken or no name, the limit is negative, or the file is damaged.
    """
    if not _NAME.fullmatch(name):
        raise ParamsError(
            f"{name!r} cannot be the name of a key: it stands in the log, so it has up to 64 letters (a to z), digits "
            "and . _ @ -, and begins with a letter or digit."
        )
    if requests_per_minute is not None and requests_per_minute < 0:
        raise ParamsError(
            f"{requests_per_minute} requests a minute are found; at least 0 are needed, and 0 means no limit."
        )
    key = PREFIX + base64.b32encode(secrets.token_bytes(32)).decode().rstrip("=").lower()
    with _changing(path) as before:
        if any(known.name == name for known in before.keys):
            raise ParamsError(
                f"There is a key called {name!r} already, and it cannot be shown again. Choose another name, "
                f"or `earmark keys revoke {name}` first."
            )
        made = ApiKey(name, before.hash_of(key), datetime.now(UTC).isoformat(timespec="seconds"), requests_per_minute)
        _write(path, KeysFile(before.pepper, (*before.keys, made)))
    return key


def revoke_key(path: Path, name: str) -> int:
    """Let the key called ``name`` open nothing any more; how many are left.

    Raises:
        ParamsError: There is no such key, or the file is damaged.
    """
    with _changing(path) as before:
        left = tuple(key for key in before.keys if key.name != name)
        if len(left) == len(before.keys):
            names = ", ".join(key.name for key in before.keys) or "none"
            raise ParamsError(f"There is no key called {name!r}; there are: {names}.")
        _write(path, KeysFile(before.pepper, left))
    return len(left)


@contextmanager
def _changing(path: Path) -> Iterator[KeysFile]:
    """What stands in the file, which nobody else changes until the block ends."""
    with locked(path.with_name(f".{path.name}.lock")):
        try:
            yield read_keys(path)
        except FileNotFoundError:
            yield KeysFile(secrets.token_hex(32))


def _write(path: Path, content: KeysFile) -> None:
    with replacing(path) as part:
        part.chmod(0o600)
        with part.open("w", encoding="utf-8") as file:
            json.dump({"version": _VERSION, **asdict(content)}, file, indent=2)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())  # a key that was shown is kept, whatever happens to the machine next


class KeyRing:
    """The keys of a file as they are now: looked at for each request, read again when the file is another one.

    Attributes:
        expected: Somebody said that there is such a file (EARMARK_KEYS), so without one nobody is let in.
    """

    def __init__(self, path: Path, *, expected: bool = False) -> None:
        self.path = path
        self.expected = expected
        self._seen: tuple[int, ...] | None = ()
        self._keys: KeysFile | KeysDamaged | None = None

    @classmethod
    def of(cls, root: Path) -> "KeyRing":
        """That of the project ``root``."""
        return cls(keys_path(root), expected=VARIABLE in os.environ)

    def keys(self) -> KeysFile | None:
        """The keys; None where everybody may ask.

        Raises:
            KeysDamaged: Nobody can be let in.
        """
        seen = self._mark()
        if seen != self._seen:
            self._seen = seen
            self._keys = self._read()
            if isinstance(self._keys, KeysDamaged):
                logger.error("the service is closed: %s", self._keys)
            elif self._keys is not None:
                logger.info("%d API keys are known", len(self._keys.keys))
        if isinstance(self._keys, KeysDamaged):
            raise self._keys
        return self._keys

    def _mark(self) -> tuple[int, ...] | None:
        """Another one for another content; about a microsecond."""
        try:
            found = self.path.stat()
        except FileNotFoundError:
            return None
        except OSError as error:
            return (error.errno or 0,)
        return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns

    def _read(self) -> KeysFile | KeysDamaged | None:
        try:
            return read_keys(self.path)
        except KeysDamaged as damaged:
            return damaged
        except FileNotFoundError:
            if not self.expected:
                return None
            return KeysDamaged(
                f"There is no {self.path}, which {VARIABLE} names, so nobody is let in. `earmark keys add` makes it."
            )


def presented_key(headers: Mapping[bytes, bytes]) -> str | None:
    """The key that a request brings: ``Authorization: Bearer KEY`` or ``X-API-Key: KEY``."""
    scheme, _, credentials = headers.get(b"authorization", b"").strip().partition(b" ")
    bearer = credentials.strip() if scheme.lower() == b"bearer" else b""
    key = bearer or headers.get(b"x-api-key", b"").strip()
    return key.decode("latin-1") or None
