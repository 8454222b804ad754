"""`earmark compare`, `promote`, `rollback`, `history`: run as a user does, with MLflow's own database."""

import json
import socket
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner, Result
from registry_tools import VERSION, alias, aliases, change_splits, write_params

from earmark.cli import main


def earmark(root: Path, *words: str) -> Result:
    return CliRunner().invoke(main, ["--root", str(root), *words])


class TestCompareCommand:
    def test_it_prints_scores_costs_genres_and_tags(self, root: Path) -> None:
        result = earmark(root, "compare", "good", "models/guess")
        assert result.exit_code == 0
        assert result.stdout.startswith("A  run good\nB  models/guess\n")
        for part in ("A is better", "95% interval", "median, ms", "parameters", "high", "word: shrill", "as run "):
            assert part in result.stdout
        assert "looked at by 1 pair of models" in result.stdout
        assert "left out" not in result.stdout  # nothing is

    def test_test_tracks_that_one_was_trained_on_are_told(self, root: Path) -> None:
        def three_more(splits: pd.DataFrame) -> None:
            splits.loc[splits["track_id"].isin(["train00.wav", "train01.wav", "train02.wav"]), "split"] = "test"

        change_splits(root, three_more)
        result = earmark(root, "compare", "good", "models/guess")
        assert "24 tracks, looked at by 1 pair of models. 3 more left out, because one of the two" in result.stdout

    def test_two_names_of_one_model_are_said_to_be_that_and_nothing_is_counted(self, root: Path) -> None:
        alias(root, champion="good", challenger="good")
        result = earmark(root, "compare", "champion", "challenger")
        assert result.exit_code == 0
        assert result.stdout.startswith("champion and challenger: both are version 2 (challenger, champion): there is")
        assert "version 2 (challenger, champion) and run good are one" in earmark(root, "compare", "2", "good").stdout
        told = json.loads(earmark(root, "compare", "2", "models/good", "--json").stdout)
        assert told["same"] is True and told["comparison"] is None and told["run_id"] is None
        assert "looked at by 1 pair of models" in earmark(root, "compare", "2", "1").stdout

    def test_json_is_one_object_with_the_same_and_nothing_else(self, root: Path) -> None:
        told = json.loads(earmark(root, "compare", "2", "1", "--json").stdout)
        assert told["a"] == "version 2" and told["comparison"]["accuracy"]["difference"]["value"] == 0.5
        assert (told["test_set"]["looks"], told["test_set"]["worn"], told["same"]) == (1, 0, False)
        assert len(told["run_id"]) == 32

    def test_an_unknown_name_is_an_error_that_lists_what_there_is(self, root: Path) -> None:
        result = earmark(root, "compare", "good", "nobody")
        assert result.exit_code == 6 and "no model 'nobody'" in result.output and "rarely" in result.output

    def test_a_server_that_is_down_is_named(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))  # bound and not listening: every connection is refused
            monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{taken.getsockname()[1]}")
            result = earmark(root, "promote")
        assert result.exit_code == 6 and "MLFLOW_TRACKING_URI" in result.output


class TestPromoteCommand:
    def test_the_challenger_is_promoted_when_it_passes(self, root: Path) -> None:
        alias(root, champion="guess", challenger="good")
        result = earmark(root, "promote")
        assert result.exit_code == 0 and "Version 2 is champion now; version 1 is kept as previous." in result.stdout
        assert aliases(root) == {"champion": "2", "previous": "1", "challenger": "2"}
        assert "passed" in result.stdout and "FAILED" not in result.stdout

    def test_one_that_fails_is_refused_with_the_gate_and_a_code_of_its_own(self, root: Path) -> None:
        alias(root, champion="good", challenger="guess")
        result = earmark(root, "promote")
        assert result.exit_code == 9 and "does not pass the gates gain, class_drop" in result.output
        assert "FAILED" in result.output and aliases(root)["champion"] == VERSION["good"]

    def test_a_reason_overrides_and_is_kept_with_who_and_what_failed(self, root: Path) -> None:
        alias(root, champion="good", challenger="guess")
        result = earmark(root, "promote", "--because", "the label wants it", "--by", "Ada")
        assert result.exit_code == 0 and aliases(root)["champion"] == VERSION["guess"]
        told = earmark(root, "history").stdout
        assert "although it failed gain, class_drop" in told and "by Ada: the label wants it" in told

    def test_an_empty_reason_is_none(self, root: Path) -> None:
        alias(root, champion="good", challenger="guess")
        result = earmark(root, "promote", "--because", " ")
        assert result.exit_code == 2 and aliases(root)["champion"] == VERSION["good"]

    def test_any_version_can_be_named(self, root: Path) -> None:
        alias(root, champion="guess", challenger="good")
        assert earmark(root, "promote", "3").exit_code == 0
        assert aliases(root)["champion"] == "3"

    def test_the_champion_stays_what_it_is(self, root: Path) -> None:
        alias(root, champion="good")
        result = earmark(root, "promote", "@champion", "--because", "again")
        assert result.exit_code == 0 and "is the champion already" in result.stdout
        assert "again" not in earmark(root, "history").stdout

    def test_without_a_challenger_the_remedy_is_named(self, root: Path) -> None:
        result = earmark(root, "promote")
        assert result.exit_code == 6 and "is the challenger" in result.output

    def test_json_is_the_verdict_also_of_one_that_is_refused(self, root: Path) -> None:
        alias(root, champion="good", challenger="guess")
        result = earmark(root, "promote", "--json")
        told = json.loads(result.stdout)
        assert result.exit_code == 9 and told["promote"] is False and told["gates"][1]["passed"] is False

    def test_a_worn_test_set_is_warned_of_with_the_remedy(self, root: Path) -> None:
        write_params(root, max_looks=1)
        earmark(root, "compare", "3", "1")
        alias(root, champion="guess", challenger="good")
        result = earmark(root, "promote")
        assert result.exit_code == 0 and "Warning: 24 of the 24 test" in result.stdout and "split.seed" in result.stdout


class TestRollbackAndHistory:
    def test_the_previous_champion_comes_back_and_history_tells(self, root: Path) -> None:
        alias(root, champion="guess", challenger="good")
        earmark(root, "promote")
        result = earmark(root, "rollback", "--because", "listeners complain")
        assert result.exit_code == 0 and "Version 1 is champion again" in result.stdout
        assert aliases(root)["champion"] == "1"
        told = earmark(root, "history").stdout.splitlines()
        assert [line.split()[1] for line in told if line.startswith("version")] == ["3", "2", "1"]
        assert "rolled back to version 1: listeners complain" in told[2] and "promoted, after version 1" in told[3]

    def test_without_a_previous_champion_there_is_no_way_back(self, root: Path) -> None:
        alias(root, champion="guess")
        result = earmark(root, "rollback")
        assert result.exit_code == 6 and "no earlier champion" in result.output

    def test_history_in_json_is_a_version_a_line(self, root: Path) -> None:
        alias(root, champion="guess", challenger="good")
        earmark(root, "promote")
        lines = [json.loads(line) for line in earmark(root, "history", "--json").stdout.splitlines()]
        assert [line["version"] for line in lines] == ["3", "2", "1"]
        assert lines[1]["events"][0]["what"] == "promoted" and lines[1]["aliases"] == ["challenger", "champion"]

    def test_nothing_registered_is_said(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
        write_params(tmp_path)
        assert "is registered yet" in earmark(tmp_path, "history").stdout
        assert not (tmp_path / "mlflow.db").exists()
