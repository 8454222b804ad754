"""Events told to the service: each is checked by itself, kept once, and goes through the feedback's door."""

import asyncio
import json
import shutil

import pytest
from test_records import PREDICTION

from earmark.feedback.store import Store
from earmark.params import load_params
from earmark.serving.records import Records, Told
from earmark.serving.taking import take
from earmark.serving.telling import TELLING, keep
from scratch import CHECKOUT

LIKE = {"event_id": "e1", "kind": "like", "value": 1, "prediction_id": PREDICTION.prediction_id}


@pytest.fixture
def root(tmp_path, monkeypatch):
    for name in ("params.yaml", "expectations.yaml"):
        shutil.copy(CHECKOUT / name, tmp_path)
    monkeypatch.setenv("EARMARK_LISTENER_KEY", "a key of the tests, long enough")
    monkeypatch.delenv("EARMARK_FEEDBACK_STORE", raising=False)
    return tmp_path


@pytest.fixture
def records(root):
    records = Records.of(root, keep_days=0)
    records.start()
    asyncio.run(records.keep(PREDICTION))
    yield records
    records.stop()


class TestWhatIsTaken:
    def test_the_example_of_the_documentation_is(self, records):
        answer = keep(records, [{**event} for event in TELLING["events"] if "prediction_id" not in event])
        assert (answer.accepted, answer.known, answer.refused) == (1, 0, [])

    def test_the_same_id_counts_once(self, records):
        assert keep(records, [LIKE, LIKE]).model_dump() == {"accepted": 1, "known": 1, "refused": []}
        assert keep(records, [{**LIKE, "value": 0}]).known == 1

    def test_a_bad_one_spoils_no_other(self, records):
        answer = keep(records, [7, LIKE, {**LIKE, "event_id": "e2", "kind": "adore"}])
        assert answer.accepted == 1
        assert [(each.index, each.event_id) for each in answer.refused] == [(0, None), (2, "e2")]

    @pytest.mark.parametrize(
        ("change", "reason"),
        [
            ({"prediction_id": "f" * 32}, "no prediction has this id"),
            ({"prediction_id": None}, "say the song by one of"),
            ({"track_id": "t"}, "say the song by one of"),
            ({"prediction_id": None, "title": "Song"}, "belong together"),
            ({"value": 1.5}, "from 0 to 1"),
            ({"value": float("nan")}, "from 0 to 1"),
            ({"word": "calm"}, "has a word"),
            ({"kind": "rating", "value": None}, "a rating has a value"),
            ({"kind": "play", "value": None}, "has ms_played"),
            ({"kind": "play", "value": 1, "ms_played": 5}, "has no value"),
            ({"ms_played": 5}, "has no ms_played"),
            ({"at": "2026-01-14T20:15:31"}, "time zone"),
            ({"event_id": "a b"}, "event_id"),
            ({"event_id": ""}, "event_id"),
            ({"password": "1"}, "password"),
        ],
    )
    def test_what_makes_no_sense_is_refused_with_its_reason(self, records, change, reason):
        answer = keep(records, [{**LIKE, **change}])
        assert answer.accepted == 0
        assert reason in answer.refused[0].reason

    def test_a_reason_does_not_repeat_what_was_sent(self, records):
        answer = keep(records, [{**LIKE, "listener": {"name": "Anna Blum"}}])
        assert "Anna" not in answer.refused[0].reason


class TestThroughTheDoor:
    def stored(self, root):
        with Store.of(root) as store, store.engine.connect() as connection:
            return connection.exec_driver_sql(
                "SELECT kind, value, ms_played, key, track_id, listener_id, at_us "
                "FROM events JOIN songs USING (song_id)"
            ).all()

    def test_a_thumb_comes_into_the_store_with_the_song_that_was_uploaded(self, root, records):
        keep(records, [LIKE], {PREDICTION.content_hash: "songbook/reel-1"}.get)
        assert take(root, load_params(root / "params.yaml")) == (1, 0)
        [(kind, value, ms_played, key, track_id, listener, at_us)] = self.stored(root)
        assert (kind, value, ms_played, at_us) == ("like", 1.0, None, None)
        assert (key, track_id) == (PREDICTION.content_hash, "songbook/reel-1")
        assert listener > 0
        assert records.told("e1") == Told("taken", None)

    def test_a_thumb_that_is_taken_back_leaves_none(self, root, records):
        keep(records, [LIKE])
        keep(records, [{**LIKE, "event_id": "e2", "value": None}])
        take(root, load_params(root / "params.yaml"))
        [(_, value, *_)] = self.stored(root)
        assert value is None

    def test_a_rule_that_is_broken_is_its_reason(self, root, records):
        play = {"event_id": "p", "kind": "play", "track_id": "t", "listener": "ben", "ms_played": 3_000}
        keep(records, [LIKE, {**play, "at": "2096-01-01T00:00:00Z"}])
        assert take(root, load_params(root / "params.yaml")) == (1, 1)
        assert records.told("p").state == "refused"
        assert records.told("p").reason
        assert records.told("e1").state == "taken"

    def test_a_second_time_there_is_nothing_to_do(self, root, records):
        keep(records, [LIKE])
        take(root, load_params(root / "params.yaml"))
        assert take(root, load_params(root / "params.yaml")) == (0, 0)
        assert len(self.stored(root)) == 1

    def test_no_name_of_a_listener_is_in_the_store(self, root, records):
        keep(records, [{**LIKE, "listener": "Anna Blum"}])
        take(root, load_params(root / "params.yaml"))
        with Store.of(root) as store, store.engine.connect() as connection:
            rows = [
                str(row)
                for table in ("events", "songs", "listeners", "told")
                for row in connection.exec_driver_sql(f"SELECT * FROM {table}")
            ]
        dumped = json.dumps(rows)
        assert "Anna" not in dumped
