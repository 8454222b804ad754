"""A package adds a source of feedback; what is wrong with one is told with the package's name, and harms no other."""

import sys

import pytest
from click.testing import CliRunner, Result

from earmark.cli import main
from earmark.errors import FeedbackError
from earmark.feedback.sources.registry import feedback_source_names, load_feedback_source
from exports_made import lay_out

RADIO = """
from dataclasses import dataclass
from earmark.feedback.sources.source import FeedbackSource

@dataclass(frozen=True)
class Radio(FeedbackSource):
    "What a radio station's listeners heard."
    name = "radio"
    service = "radio"
    expects = "Anything."
"""


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """``installed("package", "source", "module:Class", "the module's text")``: a package, as an installer leaves it."""

    def install(package: str, source: str, where: str, text: str) -> None:
        site, module = tmp_path / package, where.partition(":")[0]
        lay_out(
            site,
            {
                f"{package}-1.0.dist-info/METADATA": f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n",
                f"{package}-1.0.dist-info/entry_points.txt": f"[earmark.feedback]\n{source} = {where}\n",
                f"{module}.py": text,
            },
        )
        monkeypatch.syspath_prepend(site)
        monkeypatch.delitem(sys.modules, module, raising=False)

    return install


def run(*words: str) -> Result:
    return CliRunner().invoke(main, ["feedback", "import", *words])


def test_is_listed_and_loaded_beside_earmarks_own(installed):
    installed("radio-package", "radio", "radio:Radio", RADIO)
    assert {"radio", "spotify"} <= set(feedback_source_names())
    assert load_feedback_source("radio").service == "radio"
    assert "What a radio station's listeners heard." in run("--help").output


@pytest.mark.parametrize(
    ("where", "text", "needle"),
    [
        ("broken:Source", "import nothing_of_that_name", "ModuleNotFoundError.*nothing_of_that_name"),
        ("broken:Gone", "", "AttributeError.*Gone"),
        ("broken:Source", "class Source: pass", r"no subclass of earmark\.feedback\.sources\.source\.FeedbackSource"),
        ("broken:Mute", RADIO + "class Mute(FeedbackSource): pass", "does not say its name and service and expects"),
    ],
)
def test_that_is_broken_is_named_and_leaves_the_others_alone(installed, where, text, needle):
    installed("bad-package", "broken", where, text)
    with pytest.raises(FeedbackError, match=f"'broken' of the package bad-package.*{needle}"):
        load_feedback_source("broken")
    used = run("broken", "PATH", "--option", "x")
    assert used.exit_code == FeedbackError.exit_code and "bad-package" in used.output
    listed = run("--help")
    assert listed.exit_code == 0 and "cannot be used" in listed.output and "\n  spotify " in listed.output


def test_cannot_have_a_name_that_is_taken(installed):
    installed("greedy", "spotify", "greedy:Radio", RADIO)
    with pytest.raises(FeedbackError, match="package greedy adds a source 'spotify', but earmark has one"):
        load_feedback_source("spotify")


def test_cannot_share_a_name_with_another_packages(installed):
    installed("first", "radio", "first:Radio", RADIO)
    installed("second", "radio", "second:Radio", RADIO)
    with pytest.raises(FeedbackError, match=r"Several packages add .* 'radio': (first, second|second, first)"):
        load_feedback_source("radio")


def test_that_is_not_there_is_answered_with_those_that_are():
    with pytest.raises(FeedbackError, match=r"no source 'sporify'\. Known are .*spotify"):
        load_feedback_source("sporify")
