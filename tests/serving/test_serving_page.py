"""What docs/serving.md shows is what happens: its commands are run against a real service, its tables are complete."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from prometheus_client import Histogram
from prometheus_client.metrics import MetricWrapperBase
from serving_tools import LABELS, Server, environment, export, make_project, serving, tone_wav, untrained

from earmark.model.neighbours import SCHEMA, Neighbours
from earmark.params import Rollout, Service, load_params
from earmark.serving import metrics
from earmark.serving.errors import KINDS
from made_audio import encode_tone
from scratch import CHECKOUT

PAGE = (CHECKOUT / "docs/serving.md").read_text(encoding="utf-8")
ADDRESS = "http://127.0.0.1:3000"
# Below this a part of the page was surely not found.
FEWEST = 25


@dataclass(frozen=True)
class Shown:
    """A command of the page and what stands below it."""

    command: str
    answer: str


def shown() -> list[Shown]:
    """All commands in the page's console blocks, in order."""
    found: list[Shown] = []
    for block in re.findall(r"^```console\n(.*?)^```", PAGE, flags=re.M | re.S):
        for part in re.split(r"^\$ ", block, flags=re.M)[1:]:
            command, _, answer = part.partition("\n")
            found.append(Shown(command, answer.strip("\n")))
    return found


def rows(head: str) -> list[list[str]]:
    """The cells of the table whose first line begins with ``head``."""
    table = PAGE[PAGE.index(f"\n{head}") + 1 :].split("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in table]


def names(head: str) -> set[str]:
    """What stands in backquotes in the first column."""
    return {name for row in rows(head) for name in re.findall(r"`([^`]+)`", row[0])}


def catalogue(dims: int) -> Neighbours:
    """Three songs, the second of which listeners know."""
    song = {
        "track_id": "jig/a",
        "title": "A Jig",
        "artist": "Anna",
        "genre": "jig",
        "part": "train",
        "listeners": 12,
        "liked": 0.5,
        "liked_low": 0.3,
        "liked_high": 0.7,
        "tags": [{"tag": "feeling---calmness", "share": 0.4}],
        "appeal": 0.5,
    }
    songs = pd.DataFrame(
        [song | {"track_id": f"jig/{name}", "content_hash": name * 64} for name in "abc"], columns=SCHEMA.names
    )
    return Neighbours.of(songs, np.random.default_rng(1).normal(size=(3, dims)))


@pytest.fixture(scope="module")
def documented(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Path]]:
    """A service as the page describes it, with a catalogue; the folder that its commands are run in."""
    root = make_project(tmp_path_factory.mktemp("documented"))
    shutil.copy(CHECKOUT / "expectations.yaml", root)
    predictor = untrained()
    export(root, predictor, version="3")
    embedding = predictor.tell(predictor.inputs(torch.rand(32_000) - 0.5)).embedding
    catalogue(len(embedding)).save(root / "models/champion/neighbours")
    (root / "song.mp3").write_bytes(encode_tone("mp3"))
    (root / "concert.mp3").write_bytes(tone_wav(130.0))
    (root / "notes.txt").write_text("no music")
    with serving(root, home=root / "bentoml", log=root / "log") as server:
        server.wait_until(lambda: server.answers("/readyz"))
        yield server, root


@pytest.fixture(scope="module")
def said(documented: tuple[Server, Path]) -> dict[int, tuple[int, str]]:
    """What each command ended with and wrote, all run one after another in one shell."""
    server, root = documented
    script = "set -o pipefail\n"
    for number, each in enumerate(shown()):
        script += f"printf '\\000%d\\n' {number}\n{each.command}\nprintf '\\n\\001%d' $?\n"
    script = script.replace(ADDRESS, str(server.client.base_url).rstrip("/"))
    env = environment(root / "bentoml")
    env["PATH"] = f"{Path(sys.executable).parent}:{env['PATH']}"
    assert shutil.which("curl"), "these examples need curl: apt-get install curl"
    done = subprocess.run(["bash", "-c", script], cwd=root, env=env, capture_output=True, timeout=300)
    told = {}
    for part in done.stdout.decode().split("\0")[1:]:
        number, _, output = part.partition("\n")
        output, _, code = output.rpartition("\1")
        told[int(number)] = int(code), output.strip("\n")
    return told


@pytest.mark.slow
class TestCommands:
    @pytest.mark.parametrize(("number", "each"), enumerate(shown()))
    def test_each_answers_as_it_is_shown(self, said, number, each):
        code, output = said[number]
        assert code == 0, output
        pattern = ".*?".join(re.escape(part) for part in each.answer.split("…"))
        assert re.fullmatch(pattern, output, flags=re.S), f"shown:\n{each.answer}\nfound:\n{output}"

    def test_the_python_example_works(self, documented, said):
        server, root = documented
        (code,) = re.findall(r"^```python\n(.*?)^```", PAGE, flags=re.M | re.S)
        code = code.replace(ADDRESS, str(server.client.base_url))
        done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert done.stdout.split()[0] in LABELS and done.stdout.split()[1] == "3"


class TestTables:
    def test_every_way_to_be_refused_is_told(self):
        told = {(int(row[0]), row[1].strip("`")) for row in rows("| status | code |")}
        assert told == {(kind.status.value, code) for code, kind in KINDS.items()}

    @pytest.mark.parametrize(("head", "section"), [("| `service.`", Service), ("| `rollout.`", Rollout)])
    def test_every_setting_is_told(self, head, section):
        assert names(head) == {field.name for field in fields(section)}

    def test_every_variable_is_told(self):
        code = "".join(path.read_text() for path in (CHECKOUT / "src/earmark/serving").rglob("*.py"))
        code += (CHECKOUT / "src/earmark/feedback/tables.py").read_text()
        code += (CHECKOUT / "src/earmark/feedback/identity.py").read_text()
        tags = re.compile(r'"EARMARK_(GENRES|TAGS|APPEAL\w*|TEMPO|LOUDNESS|MODEL)"')  # these are of files
        read = set(re.findall(r'"(EARMARK_[A-Z_]+)"', tags.sub("", code)))
        assert {name for name in names("| variable |") if name.startswith("EARMARK_")} == read

    def test_every_metric_is_told_with_its_labels(self):
        counted = {}
        for metric in vars(metrics).values():
            if isinstance(metric, MetricWrapperBase):
                name = metric._name + ("_total" if metric._type == "counter" else "")
                counted[name] = set(metric._labelnames)
        told = {}
        for text in names("| metric |"):
            name, _, labels = text.partition("{")
            told[name] = set(labels.rstrip("}").split(",")) - {""}
        assert told == counted
        assert any(isinstance(metric, Histogram) for metric in vars(metrics).values())


class TestNumbers:
    def test_limits_are_those_of_params_yaml(self):
        service = load_params(CHECKOUT / "params.yaml").service
        text = " ".join(PAGE.split())
        for words in (
            f"Up to {service.max_seconds:,.0f} s and {service.max_bytes / 1e6:.0f} MB are answered at once",
            f"Up to {service.max_files} files",
            f"Up to {service.long_max_seconds / 3600:.0f} hours and {service.long_max_bytes / 1e9:.0f} GB",
        ):
            assert words in text

    def test_the_proxy_lets_through_what_the_service_accepts_and_waits_longer(self):
        (mebibytes,) = re.findall(r"client_max_body_size (\d+)m", PAGE)
        assert int(mebibytes) * 2**20 >= load_params(CHECKOUT / "params.yaml").service.long_max_bytes
        source = (CHECKOUT / "src/earmark/serving/service.py").read_text()
        (timeout,) = re.findall(r'"timeout": (\d+)', source)
        assert f"gives up after {timeout} s" in PAGE
        assert all(int(seconds) > int(timeout) for seconds in re.findall(r"proxy_\w+_timeout (\d+)s", PAGE))

    def test_the_page_was_found(self):
        assert len(shown()) >= FEWEST
