"""Whether models are as right as they are sure: honest ones, boasters, promises kept, and what may be declined."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import log_loss
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import StandardScaler
from tested_songs import HOW, asked, calibrated, said

from earmark.model.calibration.novelty import fit_familiar
from earmark.model.evaluation.sureness import reliability, risk_coverage_curves, sureness


def of(told, actual, **other) -> dict[str, float]:
    return sureness(asked(actual, {"ear": told}, **other), HOW)["ear"]


class TestProbabilities:
    def test_log_loss_and_brier_score_are_those_of_the_textbook(self):
        told, actual, _, _ = calibrated()
        found = of(told, actual)
        assert found["log_loss"] == pytest.approx(log_loss(actual, told.genres), rel=1e-6)
        assert found["brier"] == pytest.approx(((told.genres - np.eye(3)[actual]) ** 2).sum(axis=1).mean())
        assert found["log_loss_low"] < found["log_loss"] < found["log_loss_high"]

    def test_an_honest_model_misses_by_no_more_than_chance_allows(self):
        told, actual, _, _ = calibrated(seed=5)
        found = of(told, actual)
        assert found["ece"] < found["ece_by_chance_high"]
        assert found["ece_by_chance"] < found["ece_by_chance_high"]

    def test_a_boaster_misses_by_more(self):
        actual = np.arange(200) % 3
        boaster = said(np.where(np.arange(200) % 2, actual, (actual + 1) % 3), sure=0.95)
        found = of(boaster, actual)
        assert found["ece"] == pytest.approx(0.45)
        assert found["ece_low"] > found["ece_by_chance_high"]

    def test_who_has_heard_nothing_says_how_common_each_genre_is(self):
        actual = np.array([0] * 10 + [1] * 60 + [2] * 30)
        found = sureness(asked(actual, {"ear": said(actual)}), HOW)["majority"]
        shares = np.array([0.1, 0.6, 0.3])
        assert found["log_loss"] == pytest.approx(-(shares * np.log(shares)).sum())
        assert found["ece"] == pytest.approx(0.0, abs=1e-9)
        assert "set_coverage" not in found


class TestPromises:
    def test_sets_and_intervals_hold_as_often_as_promised_and_the_nominal_stands_beside(self):
        told, actual, known, calibration = calibrated(tags=2)
        found = of(told, actual, calibrations={"ear": calibration}, tags=("calm", "epic"), known=known)
        assert found["set_nominal"] == found["interval_nominal"] == 0.9
        assert found["set_coverage"] == pytest.approx(0.9, abs=0.05)
        assert found["interval_coverage"] == pytest.approx(0.9, abs=0.05)
        assert found["set_coverage_low"] < found["set_coverage"] < found["set_coverage_high"]
        assert 1 <= found["set_size"] <= 3
        assert 0.2 < found["interval_width"] < 0.5  # noise of 0.1: 2 · 1.64 · 0.1 = 0.33

    def test_shares_that_nobody_observed_count_for_nothing(self):
        told, actual, known, calibration = calibrated(tags=1)
        known[::2] = [[9.0], [0.0]]
        found = of(told, actual, calibrations={"ear": calibration}, tags=("calm",), known=known)
        low, high = (ends[1::2, 0] for ends in calibration.intervals.of(told.shares))
        inside = (low <= known[1::2, 0, 0]) & (known[1::2, 0, 0] <= high)
        assert found["interval_coverage"] == pytest.approx(inside.mean())

    def test_it_is_said_how_many_songs_are_declined_or_unlike_anything(self):
        told, actual, _, calibration = calibrated()
        half = float(np.median(told.genres.max(axis=1)))
        far = replace(told, embeddings=told.embeddings + np.where(np.arange(400)[:, None] < 100, 50.0, 0.0))
        found = of(far, actual, calibrations={"ear": replace(calibration, threshold=half)})
        assert found["abstained"] == pytest.approx(0.5, abs=0.01)
        assert 0.25 <= found["unlike"] < 0.29  # a hundred far ones, and now and then a familiar one

    def test_of_forty_artists_it_is_warned_of_what_lies_further_off_than_all_of_them(self):
        rng = np.random.default_rng(3)
        training, held = rng.normal(size=(200, 2)), rng.normal(size=(80, 2))
        familiar = fit_familiar(training, held, seed=0, groups=np.arange(80) // 2)
        told, actual, _, calibration = calibrated()
        far = replace(told, embeddings=rng.normal(size=(400, 2)) + np.where(np.arange(400)[:, None] < 100, 50.0, 0.0))
        found = of(far, actual, calibrations={"ear": replace(calibration, familiar=familiar)})
        scaler = StandardScaler().fit(training)
        nearest = NearestNeighbors(n_neighbors=10).fit(scaler.transform(training))
        known, asked_of = (nearest.kneighbors(scaler.transform(each))[0][:, -1] for each in (held, far.embeddings))
        assert found["unlike"] == pytest.approx(np.mean(asked_of > known.max()))
        assert found["unlike"] >= 0.25
        assert found["unlike_nominal"] == pytest.approx(1 / 41)

    def test_of_many_artists_it_is_promised_that_at_most_one_familiar_song_of_a_hundred_is_warned_of(self):
        told, actual, _, calibration = calibrated()  # of 400 held-out songs, each for itself
        found = of(told, actual, calibrations={"ear": calibration})
        assert found["unlike_nominal"] == 0.01
        assert found["unlike"] <= 0.03


class TestCurves:
    def test_the_surest_of_a_model_that_knows_itself_are_right_more_often(self):
        told, actual, _, _ = calibrated(songs=2_000)
        found = of(told, actual)
        order = np.argsort(-told.genres.max(axis=1), kind="stable")[:1_600]
        expected = (told.genres.argmax(axis=1) == actual)[order].mean()
        assert found["accuracy_at_80_coverage"] == pytest.approx(expected)
        assert expected > (told.genres.argmax(axis=1) == actual).mean()

    def test_a_long_curve_is_thinned_and_keeps_its_ends(self):
        told, actual, _, _ = calibrated(songs=2_000)
        rows = risk_coverage_curves(asked(actual, {"ear": told}))
        assert len(rows) <= 200
        assert rows["coverage"].iloc[-1] == 1.0
        assert rows["accuracy"].iloc[-1] == pytest.approx((told.genres.argmax(axis=1) == actual).mean())
        assert rows["coverage"].is_monotonic_increasing

    def test_every_song_is_in_one_bin_of_the_reliability_table(self):
        told, actual, _, _ = calibrated()
        rows = reliability(asked(actual, {"ear": told, "other": told}))
        assert dict(rows.groupby("model")["count"].sum()) == {"ear": 400, "other": 400}
        assert (rows["low"] <= rows["accuracy"]).all()

    def test_of_a_handful_of_songs_there_is_one_bin(self):
        assert len(reliability(asked([0, 1, 2], {"ear": said([0, 1, 1])}))) == 1
