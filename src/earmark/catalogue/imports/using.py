"""Which collection and which snapshot are in use: single lines of params.yaml, which belongs to people."""

import json
import re
from collections.abc import Mapping
from pathlib import Path

import yaml

from earmark.errors import ParamsError
from earmark.files import replacing
from earmark.params import load_params
from earmark.workspace import PARAMS, SILENCE, SONGBOOK


def use_collection(root: Path, name: str) -> None:
    """Make ``name`` the catalogue in params.yaml, as `use` does.

    The songbook's made-up listeners go with the songbook alone: another catalogue begins without feedback.
    """
    use(root, "catalogue", "collection", name)
    snapshot = load_params(root / PARAMS).feedback.snapshot
    if name == SONGBOOK and snapshot == SILENCE:
        use(root, "feedback", "snapshot", SONGBOOK)
    elif name != SONGBOOK and snapshot == SONGBOOK:
        use(root, "feedback", "snapshot", SILENCE)


def use(root: Path, section: str, key: str, name: str) -> None:
    """Let ``key`` of ``section`` be ``name`` in params.yaml; every other line, and the comments, stay as they are.

    Raises:
        ParamsError: params.yaml has no such line.
    """
    use_values(root, {f"{section}.{key}": name})


def use_values(root: Path, values: Mapping[str, str | float | bool]) -> None:
    """As `use`, several at once: by dotted names, all or none.

    Raises:
        ParamsError: params.yaml has no such line.
    """
    path = root / PARAMS
    text = changed = path.read_text(encoding="utf-8")
    for name, value in values.items():
        section, _, key = name.partition(".")
        changed = _changed(changed, section, key, _scalar(value), path)
    if changed != text:
        with replacing(path) as part:
            part.write_text(changed, encoding="utf-8")


def _scalar(value: str | float | bool) -> str:
    """As YAML reads it back."""
    if not isinstance(value, str):
        return yaml.safe_dump(value).splitlines()[0]  # 1.0e-05: YAML takes 1e-05 for a text
    return value if yaml.safe_load(value) == value else json.dumps(value)  # a name such as 2024 must stay text


def _changed(text: str, section: str, key: str, value: str, path: Path) -> str:
    # Within the section: what is indented, empty or a comment, until the line.
    line = re.compile(
        rf"(^{section}:[^\n]*\n(?:[ \t#][^\n]*\n|\n)*?[ \t]+{key}:[ \t]*)([^\s#]+|'[^'\n]*'|\"[^\"\n]*\")([ \t]*)",
        re.M,
    )
    found = line.search(text)
    if not found:
        raise ParamsError(f"{path} has no line `{key}:` under `{section}:`. Write there: {key}: {value}")
    room = len(found[2]) + len(found[3])  # keeps a comment in its column
    gap = " " * max(room - len(value), 1) if found[3] else ""
    return text[: found.start()] + found[1] + value + gap + text[found.end() :]
