"""Where `earmark tune` searches: names of parameters with what to try, checked against what params.yaml allows.

Only what decides how the network turns out can be searched: a training has to show the difference.
"""

import dataclasses
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union

from earmark.errors import ParamsError
from earmark.files import read_yaml
from earmark.params import Among, Augmentation, Between, Frontend, Network, Params, Training, from_dict, to_dict

Value = bool | int | float | str
Entry = Between | Among

SECTIONS: dict[str, type] = {
    "frontend": Frontend,
    "network": Network,
    "training": Training,
    "augmentation": Augmentation,
}
_REFUSED = {
    "training.seed": "a seed is luck, which does not come again",
    "training.devices": "it says where to train, not how well",
    "training.nodes": "it says where to train, not how well",
    "training.relabelling": "held-out songs are answered by networks that learn the labels as they are",
    "network.embedding": "what an embedding is worth, the loss of genre and tags does not say",
    "training.embedding_share": "what an embedding is worth, the loss of genre and tags does not say",
}
_DIGITS = 3  # significant ones: more are noise, and nobody wants to read them in params.yaml


@dataclass(frozen=True)
class Spread:
    """A number to search for.

    Attributes:
        low: The lowest.
        high: The highest.
        log: Whether ratios count, not differences.
        whole: Whether it is an integer.
    """

    low: float
    high: float
    log: bool
    whole: bool

    def tidy(self, value: float) -> Value:
        """``value`` with as many digits as are worth writing down, still between the ends."""
        if self.whole:
            return int(value)
        return min(max(float(f"{value:.{_DIGITS}g}"), self.low), self.high)


@dataclass(frozen=True)
class Choice:
    """A value to choose."""

    choices: tuple[Value, ...]

    def tidy(self, value: Value) -> Value:
        """As it is."""
        return value


@dataclass(frozen=True)
class Space:
    """What is searched, by dotted names."""

    dimensions: Mapping[str, Spread | Choice]

    def present(self, params: Params) -> dict[str, Value]:
        """The values that ``params`` has now."""
        flat = {}
        for name in self.dimensions:
            section, key = name.split(".")
            flat[name] = getattr(getattr(params, section), key)
        return flat

    def holds(self, values: Mapping[str, Value]) -> bool:
        """Whether a search could come upon these values."""
        return all(_within(dimension, values[name]) for name, dimension in self.dimensions.items())

    def tidy(self, values: Mapping[str, Any]) -> dict[str, Value]:
        """Values as they are written into params.yaml."""
        return {name: dimension.tidy(values[name]) for name, dimension in self.dimensions.items()}


def space_of(entries: Sequence[Entry], params: Params) -> Space:
    """What ``entries`` say, checked name by name and end by end.

    Raises:
        ParamsError: There are none, a name is unknown, stands twice or cannot be searched, or a value is one that
            params.yaml would not take.
    """
    if not entries:
        raise ParamsError(
            "tuning.space is empty, so there is nothing to search. Name parameters there, or give --space."
        )
    dimensions: dict[str, Spread | Choice] = {}
    for entry in entries:
        if entry.name in dimensions:
            raise ParamsError(f"tuning.space: {entry.name} stands there twice. Take one of the two out.")
        dimensions[entry.name] = _dimension(entry, params)
    return Space(dimensions)


def read_space(path: Path) -> list[Entry]:
    """A list of entries from a YAML file, as ``tuning.space`` of params.yaml has them.

    Raises:
        ParamsError: The file is missing, no YAML, or no such list.
    """
    found = read_yaml(path)
    if not isinstance(found, list):
        raise ParamsError(
            f"{path} should be a list of entries such as {{name: network.dropout, low: 0.0, high: 0.6, log: false}}, "
            f"but is {found!r}."
        )
    return [_entry(each, where=f"{path}[{place}]") for place, each in enumerate(found)]


def with_values(params: Params, values: Mapping[str, Value]) -> Params:
    """``params`` with other values, by dotted names; checked as params.yaml is.

    Raises:
        ParamsError: A value is impossible.
    """
    for name, value in values.items():
        section, _, key = name.partition(".")
        changed: Any = from_dict(SECTIONS[section], {**to_dict(getattr(params, section)), key: value}, where=section)
        params = dataclasses.replace(params, **{section: changed})
    return params


def _entry(found: Any, *, where: str) -> Entry:
    kind: type[Entry] = Among if isinstance(found, Mapping) and "choices" in found else Between
    return from_dict(kind, found, where=where)


def _dimension(entry: Entry, params: Params) -> Spread | Choice:
    name, where = entry.name, f"tuning.space: {entry.name}"
    section, _, key = name.partition(".")
    names = [field.name for field in dataclasses.fields(SECTIONS[section])] if section in SECTIONS else []
    if key not in names:
        known = ", ".join(names) if names else f"those of {', '.join(SECTIONS)}"
        raise ParamsError(f"{where} is no parameter that can be searched. Known here: {known}.")
    if name in _REFUSED:
        raise ParamsError(f"{where} cannot be searched: {_REFUSED[name]}. Take it out.")
    kind = _plain(typing.get_type_hints(SECTIONS[section])[key])
    if isinstance(entry, Among):
        if len(set(entry.choices)) < 2 or len(set(map(str, entry.choices))) < len(entry.choices):
            raise ParamsError(f"{where} needs two or more choices, all different, but has {entry.choices!r}.")
        for choice in entry.choices:
            _check(params, name, choice)
        return Choice(tuple(entry.choices))
    if kind not in (int, float):
        raise ParamsError(f"{where} is no number, so it has no low and high. Give it choices: [...].")
    if not entry.low < entry.high:
        raise ParamsError(f"{where} should have a low below its high, but goes from {entry.low} to {entry.high}.")
    if entry.log and entry.low <= 0:
        raise ParamsError(f"{where} goes by ratios (log: true), so its low should be above 0, but is {entry.low}.")
    whole = kind is int
    if whole and (entry.low % 1 or entry.high % 1):
        raise ParamsError(f"{where} is a whole number, but goes from {entry.low} to {entry.high}.")
    for end in (entry.low, entry.high):
        _check(params, name, int(end) if whole else end)
    return Spread(entry.low, entry.high, entry.log, whole)


def _check(params: Params, name: str, value: Value) -> None:
    try:
        with_values(params, {name: value})
    except ParamsError as error:
        raise ParamsError(f"tuning.space: {name}: {value!r} is not possible: {error}") from None


def _plain(kind: Any) -> Any:
    """The type behind an annotation; none of int and float where there are several."""
    return object if typing.get_origin(kind) in (Union, UnionType, Literal) else kind


def _within(dimension: Spread | Choice, value: Value) -> bool:
    if isinstance(dimension, Choice):
        return value in dimension.choices
    return not isinstance(value, str) and dimension.low <= value <= dimension.high
