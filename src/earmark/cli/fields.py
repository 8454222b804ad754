"""Commands out of dataclasses: a source's or a library's own fields become its arguments and options."""

import dataclasses
import inspect
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click


class _Place(click.ParamType):  # type: ignore[type-arg]  # only newer versions of click have an argument here
    """A path; or an address (s3://bucket/music) as the text it is, where the source reads addresses."""

    name = "path"

    def __init__(self, *, addresses: bool) -> None:
        self.addresses = addresses

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path | str:
        if isinstance(value, Path) or "://" not in value:
            return Path(value)
        if not self.addresses:
            self.fail(
                f"{value} is an address; this importer reads a folder on this machine, or on a mount.", param, ctx
            )
        return str(value)


def command_of(cls: Any) -> Callable[[Callable[..., None]], click.Command]:
    """A command named and described by a source or a library."""
    return click.command(name=cls.name, help=_described(cls), short_help=cls.__doc__.splitlines()[0])


def with_fields(command: click.Command, cls: Any) -> click.Command:
    """The command with the fields of the dataclass ``cls``: ``path`` as an argument, every other as an option."""
    hints = typing.get_type_hints(cls)
    for field in dataclasses.fields(cls):
        if field.name == "path":
            click.argument("path", type=_Place(addresses=str in typing.get_args(hints["path"])))(command)
        else:
            _option(field, hints[field.name])(command)
    return command


def _option(field: dataclasses.Field[Any], hint: Any) -> Callable[[Any], Any]:
    """A click option for a source's field: a choice for a Literal, a flag for a bool, else text, a number or a path."""
    required = field.default is dataclasses.MISSING
    named: dict[str, Any] = {"help": field.metadata.get("help"), "required": required}
    if not required:
        named |= {"default": field.default, "show_default": field.default is not None}
    flag = "--" + field.name.replace("_", "-")
    if typing.get_origin(hint) is typing.Literal:
        return click.option(flag, type=click.Choice(typing.get_args(hint)), **named)
    if hint is bool:
        return click.option(f"{flag}/--no-{flag[2:]}", **named)
    plain = next((kind for kind in typing.get_args(hint) if kind is not type(None)), hint)  # X from "X | None"
    return click.option(flag, type=click.Path(path_type=Path) if plain is Path else plain, **named)


def _described(cls: Any) -> str:
    parts = [inspect.cleandoc(cls.__doc__), f"Expects: {cls.expects}"]
    licence = cls.licence or getattr(cls, "rights", None)  # a library of labels has no rights in recordings
    parts += [f"Licence: {licence}"] if licence else []
    parts += [f"Please cite: {cls.citation}"] if cls.citation else []
    return "\n\n".join(parts)
