"""The search: a planted good value is found, and one that is killed and carried on is as if it had run through."""

import json
import math
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from earmark.adapters.optuna import Attempt, Search
from earmark.errors import ToolError
from earmark.model.tuning.search_space import Choice, Space, Spread

SPACE = Space(
    {
        "training.learning_rate": Spread(0.0001, 0.1, log=True, whole=False),
        "augmentation.time_mask": Spread(0, 50, log=False, whole=True),
        "network.pooling": Choice(("mean_max", "attention")),
    }
)
FIRST = {"training.learning_rate": 0.05, "augmentation.time_mask": 40, "network.pooling": "mean_max"}


def planted(values) -> float:
    """Lowest, 0, at 0.002, 12 and attention; the rate matters most."""
    off = abs(math.log10(values["training.learning_rate"] / 0.002))
    return 3 * off + 0.01 * abs(values["augmentation.time_mask"] - 12) + 0.2 * (values["network.pooling"] == "mean_max")


def tried(database: Path) -> list[tuple[str, dict]]:
    """State and values of each trial, as anybody can read them from the database."""
    with sqlite3.connect(database) as connection:
        states = connection.execute("select trial_id, state from trials order by number").fetchall()
        found = []
        for trial_id, state in states:
            rows = connection.execute(
                "select param_name, param_value from trial_params where trial_id = ?", (trial_id,)
            ).fetchall()
            found.append((state, dict(rows)))
    return found


def search(database: Path, **options) -> Search:
    return Search(database, "a search", SPACE, seed=3, **options)


class TestSearch:
    def test_it_finds_a_planted_good_value_and_says_what_matters(self, tmp_path):
        found = search(tmp_path / "t.db")
        found.run(lambda attempt: planted(attempt.values), trials=40, first=FIRST)
        assert planted(found.best()) < 0.5 < planted(FIRST)
        assert 0.0008 < found.best()["training.learning_rate"] < 0.005
        importance = found.importance()
        assert max(importance, key=importance.get) == "training.learning_rate"
        assert sum(importance.values()) == pytest.approx(1)

    def test_it_begins_with_the_values_of_params_yaml(self, tmp_path):
        seen = []
        search(tmp_path / "t.db").run(lambda attempt: seen.append(attempt.values) or 1.0, trials=2, first=FIRST)
        assert seen[0] == FIRST != seen[1]

    def test_values_outside_of_the_space_are_no_beginning(self, tmp_path):
        seen = []
        outside = FIRST | {"augmentation.time_mask": 51}
        search(tmp_path / "t.db").run(lambda attempt: seen.append(attempt.values) or 1.0, trials=1, first=outside)
        assert seen[0]["augmentation.time_mask"] <= 50

    def test_a_hopeless_trial_is_broken_off_early(self, tmp_path):
        steps = {}

        def objective(attempt: Attempt) -> float:
            steps[attempt.number] = 0
            for step in range(1, 11):
                steps[attempt.number] = step
                attempt.report(step, 9.0 if attempt.number == 6 else 1.0 + attempt.number / 100)
            return 1.0

        found = search(tmp_path / "t.db")
        found.run(objective, trials=7)
        assert steps[6] < 5 and steps[0] == 10
        assert found.counts()[0] >= 4 and found.counts()[1] >= 1

    def test_a_loss_that_is_no_number_counts_as_broken_off(self, tmp_path):
        ended = []
        found = search(tmp_path / "t.db")
        found.run(
            lambda attempt: float("nan") if attempt.number else 1.0,
            trials=2,
            on_end=lambda attempt, state, value: ended.append((state, value)),
        )
        assert ended == [("complete", 1.0), ("pruned", None)]

    def test_trials_of_earlier_runs_count(self, tmp_path):
        calls = []
        for trials in (3, 3, 5):
            search(tmp_path / "t.db").run(lambda attempt: calls.append(attempt.values) or 1.0, trials=trials)
        assert len(calls) == 5 and len({json.dumps(each) for each in calls}) == 5

    def test_an_error_ends_it_and_its_values_are_not_tried_again(self, tmp_path):
        def broken(attempt):
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            search(tmp_path / "t.db").run(broken, trials=3, first=FIRST)
        seen = []
        search(tmp_path / "t.db").run(lambda attempt: seen.append(attempt.values) or 1.0, trials=1)
        assert seen[0] != FIRST

    def test_stopped_by_ctrl_c_and_carried_on_it_is_as_if_it_had_run_through(self, tmp_path):
        whole, parts = [], []
        search(tmp_path / "whole.db").run(
            lambda attempt: whole.append(attempt.values) or planted(attempt.values), trials=14
        )

        def objective(attempt):
            if len(parts) in (4, 11) and not stopped[len(parts)]:
                stopped[len(parts)] = True
                raise KeyboardInterrupt
            parts.append(attempt.values)
            return planted(attempt.values)

        stopped = {4: False, 11: False}
        for ending in (KeyboardInterrupt, KeyboardInterrupt, None):
            again = search(tmp_path / "parts.db")
            if ending:
                with pytest.raises(ending):
                    again.run(objective, trials=14)
            else:
                again.run(objective, trials=14)
        assert parts == whole
        assert again.best() == search(tmp_path / "whole.db").best()

    def test_values_that_kill_the_process_each_time_are_given_up(self, tmp_path):
        def deadly(attempt):
            raise KeyboardInterrupt

        for _ in range(3):
            with pytest.raises(KeyboardInterrupt):
                search(tmp_path / "t.db").run(deadly, trials=3, first=FIRST)
        seen = []
        search(tmp_path / "t.db").run(lambda attempt: seen.append(attempt.values) or 1.0, trials=2)
        assert FIRST not in seen

    def test_pruning_can_be_left_out(self, tmp_path):
        def objective(attempt):
            for step in range(1, 6):
                attempt.report(step, float(attempt.number))
            return 1.0

        found = search(tmp_path / "t.db", prune=False)
        found.run(objective, trials=8)
        assert found.counts() == (8, 0)

    def test_a_file_that_is_no_database_is_named_with_what_helps(self, tmp_path):
        (tmp_path / "t.db").write_text("no database, and long enough to be taken for one " * 10)
        with pytest.raises(ToolError, match=r"t\.db cannot be used.*move it aside"):
            search(tmp_path / "t.db")


SLOW = """
import sys, time
sys.path[:0] = {path!r}
from pathlib import Path
from test_optuna import planted, search

def objective(attempt):
    print(attempt.number, flush=True)
    time.sleep(0.2)
    return planted(attempt.values)

search(Path({database!r})).run(objective, trials=10)
"""


def test_after_kills_in_the_middle_of_trials_none_is_lost_and_none_counts_twice(tmp_path):
    database = tmp_path / "t.db"
    code = SLOW.format(path=[str(Path(__file__).parent)], database=str(database))
    for killed_in in (3, 6):
        process = subprocess.Popen(
            [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        for line in process.stdout:
            if int(line) >= killed_in:
                break
        time.sleep(0.05)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    before = tried(database)
    assert before[-1][0] == "RUNNING"
    seen, dead = [], []
    again = search(database)
    again.run(
        lambda attempt: seen.append(attempt) or planted(attempt.values), trials=10, on_dead=lambda notes: dead.append(1)
    )
    after = tried(database)
    assert len(dead) == 1
    assert [state for state, _ in after].count("COMPLETE") == 10 and "RUNNING" not in dict(after)
    done = [json.dumps(values, sort_keys=True) for state, values in after if state == "COMPLETE"]
    assert len(set(done)) == 10
    lost = [json.dumps(values, sort_keys=True) for state, values in after if state == "FAIL"]
    assert len(lost) == 2 and set(lost) <= set(done)
    whole = search(tmp_path / "whole.db")
    whole.run(lambda attempt: planted(attempt.values), trials=10)
    assert set(done) == {json.dumps(values, sort_keys=True) for _, values in tried(tmp_path / "whole.db")}
