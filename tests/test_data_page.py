"""What docs/data.md tells a data engineer to type is known to earmark, to DVC and to git, with these very options."""

import re
import shlex

import click
import pytest

from earmark.cli import main
from scratch import CHECKOUT

PAGE = (CHECKOUT / "docs" / "data.md").read_text(encoding="utf-8")


def commands(program: str) -> list[list[str]]:
    blocks = re.findall(r"^```\n(.*?)^```", PAGE, flags=re.M | re.S)
    lines = [line.removeprefix("$ ") for block in blocks for line in block.splitlines()]
    prose = re.sub(r"^```.*?^```", "", PAGE, flags=re.M | re.S)
    lines += re.findall(r"`([^`\n]+)`", prose)
    return [shlex.split(line)[1:] for line in lines if line.startswith(f"{program} ")]


@pytest.mark.parametrize("words", commands("earmark"), ids=" ".join)
def test_earmark_knows(words):
    command: click.Command = main
    while isinstance(command, click.Group) and words:
        name, *words = words
        found = command.get_command(click.Context(command), name)
        assert found is not None, name
        command = found
    known = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= known


@pytest.mark.parametrize("words", commands("dvc"), ids=" ".join)
def test_dvc_knows(words):
    from dvc.cli.parser import get_main_parser

    get_main_parser().parse_args(words)  # ends the process where it does not know a word


def test_there_are_many():
    assert len(commands("earmark")) >= 6 and len(commands("dvc")) >= 10
