"""A package adds a source without touching earmark: the example of README.md, as it stands there."""

import json
import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from earmark.catalogue.sources.registry import entries_of, load_source, source_names
from earmark.catalogue.track import read_tracks
from earmark.cli import main
from earmark.errors import CatalogueError
from scratch import CHECKOUT, scratch_project
from source_tools import candidates, kinds, lay_out, tone

PAGE = (CHECKOUT / "README.md").read_text(encoding="utf-8")
BUILT_IN = {"ballroom", "emotify", "folder", "fma", "gtzan", "magnatagatune", "mtg-jamendo", "table", "tagged"}


def block(language: str) -> str:
    (found,) = re.findall(rf"^```{language}\n(.*?)^```", PAGE, flags=re.M | re.S)
    return found


def package(folder: Path, name: str, sources: dict[str, str], **modules: str) -> Path:
    """What an installer leaves of a package: its modules, and the folder with its metadata."""
    points = "".join(f"{source} = {where}\n" for source, where in sources.items())
    return lay_out(
        folder,
        {
            f"{name}-1.0.dist-info/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
            f"{name}-1.0.dist-info/entry_points.txt": f"[earmark.sources]\n{points}",
        }
        | {f"{module}.py": text for module, text in modules.items()},
    )


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """``installed("name", {"source": "module:Class"}, module="…")`` puts a package on the path."""
    site = tmp_path / "site"

    def install(name: str, sources: dict[str, str], **modules: str) -> Path:
        monkeypatch.syspath_prepend(package(site, name, sources, **modules))
        for module in modules:
            monkeypatch.delitem(sys.modules, module, raising=False)
        return site

    return install


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


class TestTheExampleOfThePage:
    SOURCES = tomllib.loads(block("toml"))["project"]["entry-points"]["earmark.sources"]

    def test_has_20_lines(self):
        assert len([line for line in block("python").splitlines() if line.strip()]) <= 20

    def test_goes_the_whole_way_through_the_command_line(self, tmp_path):
        site = package(tmp_path / "site", "our-labels", self.SOURCES, our_labels=block("python"))
        music = lay_out(
            tmp_path / "Our Music",
            {
                "a.flac": tone("flac", 1), "x/b.wav": tone("wav", 2), "stray.wav": tone("wav", 3),
                "other.json": json.dumps(
                    {"a.flac": {"genre": "Soul", "artist": "Nina"}, "x/b.wav": {"genre": "Jazz"}, "c.wav": {}}
                ),
            },
        )  # fmt: skip
        root = scratch_project(tmp_path)
        command = ["--root", root, "import", "labels", music, "--labels", "other.json", "--name", "mine-too"]
        done = subprocess.run(
            [sys.executable, "-m", "earmark.cli", *command],
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(site), *filter(None, sys.path)])},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        assert "mine-too: 2 tracks taken from labels in" in done.stdout
        tracks = read_tracks(root / "data/collections/mine-too/tracks.parquet").set_index("track_id")
        assert tracks["genre"].to_dict() == {"a.flac": "Soul", "x/b.wav": "Jazz"}
        assert tracks.loc["a.flac", "group"] == "artist:nina" and set(tracks["source"]) == {"labels"}
        refused = (root / "data/collections/mine-too/refused.csv").read_text(encoding="utf-8")
        assert "stray.wav,refused,no label" in refused and "other.json:c.wav,row,there is no audio for it" in refused
        assert (root / "data/collections/mine-too.dvc").is_file()

    def test_is_listed_with_its_options_beside_earmarks_own(self, installed):
        installed("our-labels", self.SOURCES, our_labels=block("python"))
        listed = run("import", "--help").output
        assert all(f"\n  {name} " in listed for name in BUILT_IN | {"labels"})
        help_text = run("import", "labels", "--help").output
        assert "--labels TEXT" in help_text and "The file with the labels. [default: labels.json]" in " ".join(
            help_text.split()
        )

    def test_says_every_entry_and_every_file_once(self, tmp_path, installed):
        installed("our-labels", self.SOURCES, our_labels=block("python"))
        lay_out(tmp_path / "music", {"a.wav": b"", "b.wav": b"", "labels.json": '{"a.wav": {}, "c.wav": {}}'})
        source = load_source("labels")(tmp_path / "music")
        assert list(candidates(source)) == ["a.wav"]
        assert kinds(source) == {"b.wav": "refused", "labels.json:c.wav": "row"}


SOUND = """
from dataclasses import dataclass
from earmark.catalogue.sources.source import Source

@dataclass(frozen=True)
class Sound(Source):
    "Sound."
    token: str
    name = "sound"
    expects = "Anything."
    def candidates(self):
        return iter(())
"""


class TestErrors:
    @pytest.mark.parametrize(
        ("where", "module", "needle"),
        [
            ("broken:Source", "import nothing_of_that_name", "ModuleNotFoundError.*nothing_of_that_name"),
            ("broken:Gone", "", "AttributeError.*Gone"),
            ("broken:Source", "Source = 5", "is 5, no subclass"),
            ("broken:Source", "class Source: pass", "no subclass"),
            ("broken:Source", "raise SystemError('at home')", "SystemError: at home"),
            ("broken:Mute", SOUND + "class Mute(Source): pass", "does not say its name and expects"),
        ],
    )
    def test_of_a_broken_package_name_it_and_leave_the_others_alone(self, installed, where, module, needle):
        installed("bad-package", {"broken": where}, broken=module)
        with pytest.raises(CatalogueError, match=f"'broken' of the package bad-package.*{needle}"):
            load_source("broken")
        used = run("import", "broken", "PATH", "--option", "x")
        assert used.exit_code == CatalogueError.exit_code and "bad-package" in used.output
        assert "Traceback" not in used.output
        listed = run("import", "--help")
        assert listed.exit_code == 0 and "cannot be used" in listed.output and "\n  gtzan " in listed.output
        assert "bad-package" in run("import", "broken", "--help").output

    @pytest.mark.parametrize(
        ("fault", "needle"),
        [
            ("open('/gone/labels.json')", r"FileNotFoundError: .*/gone/labels\.json"),
            ("len(5)", "TypeError: object of type 'int'"),
            ("None", "TypeError: 'NoneType' object is not iterable"),
        ],
    )
    def test_of_a_source_at_work_name_its_package(self, tmp_path, installed, fault, needle):
        installed("bad-package", {"sound": "faulty:Sound"}, faulty=SOUND.replace("iter(())", fault))
        with pytest.raises(CatalogueError, match=f"'sound' of the package bad-package failed .*{needle}"):
            list(entries_of(load_source("sound")(tmp_path, token="x")))

    def test_that_a_source_raises_itself_stay_as_they_are(self, tmp_path):
        with pytest.raises(CatalogueError, match="no folder"):
            list(entries_of(load_source("folder")(tmp_path / "gone")))

    def test_a_name_of_earmarks_own_is_taken(self, installed):
        installed("greedy", {"gtzan": "greedy:Sound"}, greedy=SOUND)
        with pytest.raises(CatalogueError, match=r"package greedy adds a source 'gtzan', but earmark has one"):
            load_source("gtzan")

    def test_two_packages_cannot_share_a_name(self, installed):
        installed("first", {"sound": "first:Sound"}, first=SOUND)
        installed("second", {"sound": "second:Sound"}, second=SOUND)
        with pytest.raises(CatalogueError, match=r"Several packages add .* 'sound': (first, second|second, first)"):
            load_source("sound")

    def test_an_unknown_name_is_answered_with_those_that_are_known(self):
        with pytest.raises(CatalogueError, match=r"no source 'gztan'\. Known are .*gtzan"):
            load_source("gztan")

    def test_a_field_without_a_default_is_a_required_option(self, tmp_path, installed):
        installed("needs", {"sound": "needs:Sound"}, needs=SOUND)
        result = run("import", "sound", tmp_path)
        assert result.exit_code == 2 and "Missing option '--token'" in result.output


class TestEarmarksOwn:
    def test_are_these_and_the_page_has_a_line_for_each(self):
        added = {point.name for point in entry_points(group="earmark.sources")}
        assert set(source_names()) - added == BUILT_IN
        page = (CHECKOUT / "docs/sources.md").read_text(encoding="utf-8")
        assert set(re.findall(r"^\| `([a-z-]+)` \|", page, flags=re.M)) == BUILT_IN

    @pytest.mark.parametrize("name", sorted(BUILT_IN))
    def test_each_says_what_it_is_before_any_file_is_looked_at(self, name):
        source = load_source(name)
        assert source.name == name and source.expects.endswith(".")
        published = name not in ("folder", "tagged", "table")
        assert [bool(source.licence or source.rights), bool(source.citation)] == [published] * 2
        assert not (source.licence and source.rights)
        help_text = run("import", name, "--help")
        assert help_text.exit_code == 0 and "Expects:" in help_text.output
        assert ("Licence: " in help_text.output) == ("Please cite: " in help_text.output) == published
