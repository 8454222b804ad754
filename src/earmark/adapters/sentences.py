"""Sentences with {names} in them, as the rules of expectations.yaml give reasons: filled for many rows at once.

`str.format` would do for one row; a catalogue of a million has many offenders, and values that are missing.
"""

import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

UNKNOWN = "unknown"


@dataclass(frozen=True)
class Template:
    """A sentence to fill.

    Attributes:
        pieces: Text, and the name, conversion (``r`` or ``s``) and format that follow it, as in `str.format`; the name
            of the last piece may be None.
    """

    pieces: tuple[tuple[str, str | None, str, str], ...]

    @classmethod
    def parse(cls, text: str) -> "Template":
        """Read ``text``.

        Raises:
            ValueError: A brace too many or too few, or something else than a name in braces.
        """
        pieces = []
        for before, name, spec, conversion in string.Formatter().parse(text):
            if name is not None and not name.isidentifier():
                raise ValueError(f"{{{name}}} is no name (for a brace itself, write two)")
            pieces.append((before, name, conversion or "", spec or ""))
        return cls(tuple(pieces))

    @property
    def names(self) -> list[str]:
        """What stands in braces."""
        return [name for _, name, _, _ in self.pieces if name is not None]

    def fill(self, values: Mapping[str, Sequence[Any]], count: int) -> list[str]:
        """``count`` sentences, from ``count`` values for each name; what is missing is called unknown.

        Raises:
            ValueError: A format does not fit its value.
        """
        columns: list[list[str]] = []
        for before, name, conversion, spec in self.pieces:
            columns.append([before] * count)
            if name is not None:
                columns.append([_written(value, conversion, spec) for value in values[name]])
        return ["".join(parts) for parts in zip(*columns, strict=True)] if columns else [""] * count


def _written(value: Any, conversion: str, spec: str) -> str:
    if value is None or value != value:  # NaN alone differs from itself
        return UNKNOWN
    if conversion == "r":
        value = repr(value)
    if spec:
        return format(value, spec)
    if isinstance(value, float):
        return f"{value:.6g}"
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
