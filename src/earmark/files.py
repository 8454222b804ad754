"""Writing files so that a killed process leaves either the old file or the new one, never half of one; and locks.

And reading YAML that people write, so that an error can name the line.
"""

import fcntl
import hashlib
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from earmark.errors import ParamsError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path to write to; when the block ends well it takes the place of ``path`` in one step, else it is removed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.parent / f".{path.name}.{secrets.token_hex(8)}.part"
    os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))  # rights as the user's umask wants them
    try:
        yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def locked(path: Path, *, wait: bool = True) -> Iterator[None]:
    """Hold the lock of the file ``path``, made if need be; it falls with the process, even by kill -9.

    Raises:
        BlockingIOError: Somebody else holds it and ``wait`` is false.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield


def write_json(path: Path, content: Any) -> None:
    """Write ``content`` as indented JSON, all or nothing."""
    with replacing(path) as part:
        part.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def read_json(path: Path) -> Any:
    """The content of a JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal; read in pieces, so its size does not matter."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class Lined(dict[Any, Any]):
    """A mapping from a YAML file that knows the ``line`` (from 1) on which it begins."""

    line: int = 0


def read_yaml(path: Path) -> Any:
    """The content of the YAML file at ``path``; each mapping is a `Lined`.

    Raises:
        ParamsError: It is missing or no YAML, or a key stands twice in one mapping (YAML itself would silently take the
            last one).
    """
    import yaml

    class Loader(yaml.SafeLoader):
        pass

    def mapping(loader: Any, node: Any) -> Iterator[Lined]:
        found = Lined()
        found.line = node.start_mark.line + 1
        yield found
        keys = [key.value for key, _ in node.value]
        for at, (key, _) in enumerate(node.value):
            if key.tag != "tag:yaml.org,2002:merge" and key.value in keys[:at]:
                raise ParamsError(f"{path}, line {key.start_mark.line + 1}: {key.value!r} stands here a second time.")
        found.update(loader.construct_mapping(node))

    Loader.add_constructor("tag:yaml.org,2002:map", mapping)
    try:
        return yaml.load(path.read_text(encoding="utf-8"), Loader)
    except FileNotFoundError:
        raise ParamsError(
            f"There is no {path}. Get it back from git, or write one: docs/validation.md says how."
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ParamsError(f"{path} is not valid YAML: {error}") from None
