"""What lies beside a predictor is not taken for a part of it."""

from pathlib import Path

import pytest

from earmark.model.beside import EXCERPTS, copy_predictor, files_of_predictor
from earmark.model.network.predictor import GRAPH

OWN = {"predictor.json", "calibration.json", "network/predictor.json", "network/weights.pt", "network/examples/x"}
BESIDE = {"champion.json", "neighbours/songs.parquet", "examples/example-1.opus", "network/excerpts.onnx"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in OWN | BESIDE:
        (tmp_path / "whole" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "whole" / name).write_text(name)
    return tmp_path / "whole"


def test_the_predictors_own_files_are_told_from_the_others(folder):
    assert [str(path.relative_to(folder)) for path in files_of_predictor(folder)] == sorted(OWN)


def test_a_copy_has_these_alone(folder, tmp_path):
    copy_predictor(folder, tmp_path / "bare")
    copied = {
        str(path.relative_to(tmp_path / "bare")): path.read_text()
        for path in (tmp_path / "bare").rglob("*")
        if path.is_file()
    }
    assert copied == {name: name for name in OWN}


def test_the_engines_file_is_called_as_the_network_calls_it():
    assert EXCERPTS == GRAPH
