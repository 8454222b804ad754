"""What the service writes down: predictions and events, by several at a time, and with the database away."""

import asyncio
import threading
import time
from dataclasses import replace

import numpy as np
import pytest

from earmark.serving.records import Predicted, Records, Told

PREDICTION = Predicted(
    prediction_id="a" * 32,
    at_us=1_700_000_000_000_000,
    model="earmark",
    version="3",
    run_id="run",
    role="champion",
    content_hash="0f",
    duration_s=30.0,
    genre="reel",
    probability=0.8,
    appeal=None,
    unlike=0.4,
    abstains=False,
    embedding=np.array([0.5, -2.0], dtype=np.float32),
)


@pytest.fixture
def records(tmp_path):
    records = Records(f"sqlite:///{tmp_path}/feedback.db", keep_days=0)
    records.start()
    yield records
    records.stop()


def keep(records, *predictions):
    async def all_at_once():
        return await asyncio.gather(*(records.keep(each) for each in predictions))

    return asyncio.run(all_at_once())


class TestPredictions:
    def test_what_was_kept_is_found_as_it_was(self, records):
        assert keep(records, PREDICTION) == [True]
        found = records.prediction("a" * 32)
        assert found.embedding.tolist() == [0.5, -2.0]
        assert replace(found, embedding=None) == replace(PREDICTION, embedding=None)

    def test_an_id_that_nobody_gave_is_none(self, records):
        assert records.prediction("b" * 32) is None

    def test_it_is_on_disk_when_keep_returns(self, records, tmp_path):
        keep(records, PREDICTION)
        other = Records(f"sqlite:///{tmp_path}/feedback.db", keep_days=0)
        assert other.prediction("a" * 32) is not None

    def test_several_hundred_at_a_time_are_all_kept(self, records):
        many = [replace(PREDICTION, prediction_id=f"{number:032x}") for number in range(700)]
        assert all(keep(records, *many))
        assert all(records.prediction(each.prediction_id) is not None for each in many)

    def test_two_workers_write_at_a_time(self, records, tmp_path):
        other = Records(f"sqlite:///{tmp_path}/feedback.db", keep_days=0)
        other.start()
        kept = []

        def write(into, start):
            kept.append(keep(into, *(replace(PREDICTION, prediction_id=f"{start + i:032x}") for i in range(200))))

        threads = [threading.Thread(target=write, args=(records, 0)), threading.Thread(target=write, args=(other, 200))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        other.stop()
        assert all(map(all, kept))
        assert all(records.prediction(f"{number:032x}") for number in range(400))

    def test_old_ones_go_after_the_days_that_they_are_kept(self, tmp_path):
        now_us = time.time_ns() // 1000
        records = Records(f"sqlite:///{tmp_path}/feedback.db", keep_days=30)
        records._cleaned = time.monotonic()
        records.start()
        old = replace(PREDICTION, at_us=now_us - 31 * 86_400_000_000)
        young = replace(PREDICTION, prediction_id="b" * 32, at_us=now_us - 29 * 86_400_000_000)
        keep(records, old, young)
        assert records.prediction("a" * 32) is not None
        records._cleaned = -1e9
        keep(records, replace(PREDICTION, prediction_id="c" * 32, at_us=now_us))
        records.stop()
        assert records.prediction("a" * 32) is None
        assert records.prediction("b" * 32) is not None


class TestTheDatabaseIsAway:
    def test_answers_go_on_and_it_is_said(self, tmp_path, caplog):
        (tmp_path / "feedback.db").mkdir()  # where a file should be
        records = Records(f"sqlite:///{tmp_path}/feedback.db", keep_days=0)
        records.start()
        assert keep(records, PREDICTION) == [False]
        assert keep(records, PREDICTION) == [False]
        records.stop()
        assert len([each for each in caplog.records if "without a way back" in each.message]) == 1

    def test_when_it_is_back_all_is_kept_again(self, tmp_path):
        (tmp_path / "feedback.db").mkdir()
        records = Records(f"sqlite:///{tmp_path}/feedback.db", keep_days=0)
        records.start()
        assert keep(records, PREDICTION) == [False]
        (tmp_path / "feedback.db").rmdir()
        records._trouble_until = 0.0  # instead of waiting
        assert keep(records, PREDICTION) == [True]
        records.stop()


class TestEvents:
    def test_an_event_sent_twice_counts_once(self, records):
        assert records.tell([("e1", "{}"), ("e2", "{}"), ("e1", "{}")]) == [True, True, False]
        assert records.tell([("e2", "[]"), ("e3", "{}")]) == [False, True]
        assert records.waiting(10) == [("e1", "{}"), ("e2", "{}"), ("e3", "{}")]

    def test_what_became_of_it_is_known(self, records):
        records.tell([("e1", "{}"), ("e2", "{}")])
        records.settle([("e1", "taken", None), ("e2", "refused", "why")])
        assert records.told("e1") == Told("taken", None)
        assert records.told("e2") == Told("refused", "why")
        assert records.told("e3") is None
        assert records.waiting(10) == []
