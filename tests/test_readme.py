"""What README.md and CONTRIBUTING.md tell a reader to type, exists."""

import re
import shlex
from pathlib import Path

import click
import pytest

from earmark.cli import main
from scratch import CHECKOUT

PAGES = ("README.md", "CONTRIBUTING.md", *sorted(f"docs/{page.name}" for page in (CHECKOUT / "docs").glob("*.md")))


def text(page: str) -> str:
    return (CHECKOUT / page).read_text(encoding="utf-8")


def commands(page: str) -> list[str]:
    blocks = re.findall(r"^```\n(.*?)^```", text(page), flags=re.M | re.S)
    return [line.split("  #")[0].strip() for block in blocks for line in block.splitlines() if line.strip()]


def mentioned(program: str) -> list[list[str]]:
    """Every `program …` in the pages' blocks and in their running text."""
    found = [line for page in PAGES for line in commands(page)]
    found += [span for page in PAGES for span in re.findall(r"`([^`\n]+)`", text(page))]
    words = [shlex.split(line) for line in found if "'" not in line]
    return [line[1:] for line in words if line and Path(line[0]).name == program]


class TestReadme:
    def test_the_two_commands_come_first(self):
        assert [line.split()[:2] for line in commands("README.md")[:2]] == [["make", "demo"], ["make", "test"]]

    def test_every_make_target_exists(self):
        targets = set(re.findall(r"^([a-z-]+):", text("Makefile"), flags=re.M))
        told = {word for line in mentioned("make") for word in line[:1]}
        assert told and told <= targets

    def test_every_earmark_command_exists(self):
        lines = mentioned("earmark")
        assert len(lines) >= 5
        for line in lines:
            command: click.Command = main
            for word in line:
                if not isinstance(command, click.Group) or word.startswith("-"):
                    break
                found = command.get_command(click.Context(command), word)
                assert found is not None, f"earmark {' '.join(line)}"
                command = found

    @pytest.mark.parametrize("page", PAGES)
    def test_every_linked_file_exists(self, page):
        links = re.findall(r"\]\((?!https?:)([^)#]+)\)", text(page))
        missing = [link for link in links if not (CHECKOUT / page).parent.joinpath(link).exists()]
        assert not missing

    def test_every_place_in_the_table_exists(self):
        cells = re.findall(r"^\| (`[^|]+`) \|", text("README.md"), flags=re.M)
        places = [place for cell in cells for place in re.findall(r"`([^`]+)`", cell)]
        assert len(places) > 10
        assert [place for place in places if not (CHECKOUT / place).exists()] == []

    def test_no_place_is_left_to_be_filled_in(self):
        assert not re.search(r"@@|TODO|FIXME", "".join(map(text, PAGES)))
