"""A whole calibration: learnt from held-out tracks, true of new ones, and kept in a folder to the byte."""

import json
import time

import numpy as np
import pytest
from simulated_answers import answers, shares

from earmark.errors import ModelError
from earmark.model.calibration.abstention import NEVER
from earmark.model.calibration.calibration import Calibration, calibrate, load
from earmark.model.calibration.prediction_sets import SetRule, set_coverage

HOW = {"coverage": 0.9, "by_class": False, "least_accuracy": 0.8, "seed": 1}


def held_out(seed=1, tracks=300, *, labels=4, tags=2, dims=3, artists=150):
    probabilities, actual = answers(seed, tracks, labels, distortion=2.5)
    predicted, observed, weight = shares(seed, tracks, tags, over=1.8)
    rng = np.random.default_rng(seed)
    return {
        "probabilities": probabilities,
        "actual": actual,
        "groups": np.array([f"artist {number}" for number in np.arange(tracks) % artists], dtype=object),
        "shares": predicted,
        "known": np.stack([observed, weight], axis=1).astype(np.float32),
        "embeddings": rng.normal(size=(tracks, dims)).astype(np.float32),
        "training_embeddings": rng.normal(size=(200, dims)).astype(np.float32),
    }


@pytest.fixture(scope="module")
def calibration() -> Calibration:
    return calibrate(**held_out(), **HOW)


class TestCalibrate:
    def test_new_tracks_get_what_was_promised(self):
        of_sets, of_intervals = [], []
        for seed in range(30):
            learnt, new = calibrate(**held_out(seed), **HOW), held_out(1_000 + seed)
            of_sets.append(set_coverage(learnt.genre_sets(new["probabilities"]), new["actual"]).coverage)
            low, high = learnt.share_intervals(new["shares"])
            observed = new["known"][:, 0]
            of_intervals.append(((low <= observed) & (observed <= high)).mean())
        assert np.mean(of_sets) == pytest.approx(0.9, abs=0.02)
        assert np.mean(of_intervals) == pytest.approx(0.9, abs=0.02)

    def test_answers_that_are_given_are_right_as_often_as_asked(self, calibration):
        new = held_out(5, 3_000)
        sure = calibration.sure(new["probabilities"])
        right = new["probabilities"].argmax(axis=1) == new["actual"]
        assert 0.2 < sure.mean() < 1 and right[sure].mean() > 0.8 > right.mean()

    def test_it_finds_the_distortion_and_straightens_the_shares(self, calibration):
        assert calibration.temperature == pytest.approx(2.5, rel=0.2) and calibration.tracks == 300
        new = held_out(6)
        error = [
            ((told - new["known"][:, 0]) ** 2).mean() for told in (calibration.shares(new["shares"]), new["shares"])
        ]
        assert error[0] < 0.9 * error[1]

    def test_the_interval_holds_the_straightened_share(self, calibration):
        raw = held_out(7)["shares"]
        low, high = calibration.share_intervals(raw)
        assert ((low <= calibration.shares(raw)) & (calibration.shares(raw) <= high)).all()

    def test_it_is_the_same_each_time(self, calibration):
        assert calibrate(**held_out(), **HOW).to_dict() == calibration.to_dict()

    def test_without_tags_and_embeddings_there_is_neither(self):
        only = {key: value for key, value in held_out().items() if key in ("probabilities", "actual")}
        found = calibrate(**only, **HOW)
        assert found.intervals is None and found.lines is None and found.familiar is None
        raw = np.array([[0.3, 0.6]])
        np.testing.assert_array_equal(found.shares(raw), raw)
        np.testing.assert_array_equal(found.share_intervals(raw), [[[0, 0]], [[1, 1]]])

    @pytest.mark.parametrize("by_class", [True, False])
    @pytest.mark.parametrize(
        "size",
        [
            {"tracks": 1, "artists": 1},
            {"tracks": 0, "artists": 1},
            {"tracks": 30, "labels": 1},
            {"tracks": 30, "tags": 0},
            {"tracks": 5, "dims": 1, "artists": 1},
        ],
    )
    def test_it_ends_on_tiny_inputs_without_a_nan(self, size, by_class, tmp_path):
        given = held_out(**size)
        given["embeddings"] = np.zeros_like(given["embeddings"])
        given["training_embeddings"] = np.zeros_like(given["training_embeddings"])
        with np.errstate(all="raise"):
            found = calibrate(**given, **HOW | {"by_class": by_class})
        json.dumps(found.to_dict(), allow_nan=False)
        assert found.genre_sets(given["probabilities"]).any(axis=1).all()
        assert np.isfinite(found.share_intervals(given["shares"])).all()
        assert (found.familiar.p_value(given["embeddings"]) == pytest.approx(1.0)) or not size["tracks"]
        found.save(tmp_path)
        assert load(tmp_path).to_dict() == found.to_dict()

    def test_one_track_says_little(self):
        found = calibrate(**held_out(tracks=1), **HOW)
        assert found.threshold == NEVER and found.sets.thresholds == (1.0,)
        assert found.intervals.multiples == (None, None) and 0.5 < found.temperature < 2

    @pytest.mark.parametrize("name", ["shares", "known", "embeddings"])
    def test_arrays_of_other_tracks_are_refused(self, name):
        given = held_out()
        given[name] = given[name][1:]
        with pytest.raises(ModelError, match=f"300 held-out tracks and `{name}` of 299"):
            calibrate(**given, **HOW)

    def test_what_is_known_of_other_tags_is_refused(self):
        with pytest.raises(ModelError, match=r"\(tracks, 2, tags\)"):
            calibrate(**held_out() | {"known": held_out(tags=3)["known"]}, **HOW)


class TestFolder:
    def test_what_is_loaded_answers_to_the_bit(self, calibration, tmp_path):
        calibration.save(tmp_path)
        loaded, new = load(tmp_path), held_out(8)
        assert loaded.to_dict() == calibration.to_dict()
        for answer in ("probabilities", "genre_sets", "sure"):
            of = new["probabilities"]
            np.testing.assert_array_equal(getattr(loaded, answer)(of), getattr(calibration, answer)(of))
        np.testing.assert_array_equal(loaded.share_intervals(new["shares"]), calibration.share_intervals(new["shares"]))
        np.testing.assert_array_equal(
            loaded.familiar.p_value(new["embeddings"]), calibration.familiar.p_value(new["embeddings"])
        )

    def test_saved_at_another_time_it_has_the_same_bytes(self, calibration, tmp_path, monkeypatch):
        calibration.save(tmp_path / "one")
        later = time.localtime(time.time() + 1e8)
        monkeypatch.setattr(time, "localtime", lambda *_: later)
        calibration.save(tmp_path / "two")
        names = sorted(file.name for file in (tmp_path / "one").iterdir())
        assert names == ["calibration.json", "calibration.npz"]
        for name in names:
            assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()

    def test_numpy_reads_its_arrays(self, calibration, tmp_path):
        calibration.save(tmp_path)
        with np.load(tmp_path / "calibration.npz") as arrays:
            np.testing.assert_array_equal(arrays["reference"], calibration.familiar.reference)

    def test_a_folder_without_one_has_none(self, tmp_path):
        assert load(tmp_path) is None

    def test_saved_without_embeddings_no_older_arrays_stay(self, calibration, tmp_path):
        calibration.save(tmp_path)
        Calibration(1.0, SetRule(0.9, (1.0,)), None, 0.0, None, 0).save(tmp_path)
        assert [file.name for file in tmp_path.iterdir()] == ["calibration.json"]
        assert load(tmp_path).familiar is None

    def test_arrays_of_another_save_are_noticed(self, calibration, tmp_path):
        calibration.save(tmp_path)
        calibrate(**held_out(2), **HOW).save(tmp_path / "other")
        (tmp_path / "other" / "calibration.npz").replace(tmp_path / "calibration.npz")
        with pytest.raises(ModelError, match="not the one"):
            load(tmp_path)

    def test_missing_arrays_are_noticed(self, calibration, tmp_path):
        calibration.save(tmp_path)
        (tmp_path / "calibration.npz").unlink()
        with pytest.raises(ModelError, match="cannot be read"):
            load(tmp_path)

    @pytest.mark.parametrize("content", ['{"format": 1}', '{"format": 1, "temp', '{"format": 99}', "[]"])
    def test_a_damaged_file_is_noticed(self, content, tmp_path):
        (tmp_path / "calibration.json").write_text(content)
        with pytest.raises(ModelError, match=r"cannot be read|has format"):
            load(tmp_path)
