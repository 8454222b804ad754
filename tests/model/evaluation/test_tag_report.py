"""Tags beside what limits them: r with its interval, as a share of the ceiling, and whether intervals were kept."""

import numpy as np
import pytest
from tested_songs import HOW, answers, asked, calibrated

from earmark.model.evaluation.tags import tag_report, told_of
from earmark.model.metrics import resamples

SONGS = 60


def songs(noise: float = 0.3, *, groups=None, weight=None, ceilings=None, **other):
    rng = np.random.default_rng(2)
    share = rng.random((SONGS, 1))
    told = answers(np.full((SONGS, 3), 1 / 3), share + rng.normal(0, noise, share.shape))
    known = np.stack([share, np.ones_like(share) if weight is None else weight], axis=1).astype(np.float32)
    given = asked(np.zeros(SONGS, dtype=int), {"ear": told}, groups, tags=("word---calm",), known=known, **other)
    return given, told_of(given, {"word---calm": 0.8} if ceilings is None else ceilings)


def row(*arguments) -> dict:
    (found,) = tag_report(*arguments, HOW).to_dict("records")
    return found


class TestTagReport:
    def test_the_interval_is_that_of_correlations_of_drawn_songs(self):
        weight = np.random.default_rng(0).uniform(0.2, 3.0, (SONGS, 1))
        given, told = songs(weight=weight)
        share, answer = told.known[:, 0, 0].astype(float), given.answers["ear"].shares[:, 0]
        drawn = [
            np.cov(share, answer, aweights=own)[0, 1] / np.sqrt(np.prod(np.diag(np.cov(share, answer, aweights=own))))
            for own in (weights * told.known[:, 1, 0] for weights in resamples(given.groups, HOW))
        ]
        found = row(given, told)
        assert (found["r_low"], found["r_high"]) == pytest.approx(tuple(np.quantile(drawn, [0.05, 0.95])), rel=1e-5)
        assert found["r_low"] < found["r"] < found["r_high"]

    def test_r_is_also_told_as_a_share_of_its_ceiling(self):
        found = row(*songs())
        assert found["of_ceiling"] == pytest.approx(found["r"] / 0.8)
        assert found["of_ceiling_high"] == pytest.approx(found["r_high"] / 0.8)

    def test_without_a_ceiling_there_is_no_share_of_it(self):
        assert np.isnan(row(*songs(ceilings={}))["of_ceiling"])

    def test_songs_of_one_artist_stand_or_fall_together(self):
        def width(groups):
            found = row(*songs(0.6, groups=groups))
            return found["r_high"] - found["r_low"]

        assert width(np.arange(SONGS) // 20) != pytest.approx(width(np.arange(SONGS)), rel=0.05)

    def test_who_always_says_the_same_has_an_r_of_0_in_every_draw(self):
        given, _ = songs()
        flat = asked(
            given.actual,
            {"ear": answers(np.full((SONGS, 3), 1 / 3), np.full((SONGS, 1), 0.4))},
            tags=given.tags,
            known=given.known,
        )
        found = row(flat, told_of(flat, {}))
        assert (found["r"], found["r_low"], found["r_high"]) == (0.0, 0.0, 0.0)

    def test_it_says_how_often_the_promised_intervals_were_kept(self):
        told, actual, known, calibration = calibrated(tags=1)
        given = asked(actual, {"ear": told}, calibrations={"ear": calibration}, tags=("word---calm",), known=known)
        found = row(given, told_of(given, {}))
        low, high = (ends[:, 0] for ends in calibration.intervals.of(told.shares))
        share = known[:, 0, 0]
        assert found["interval_coverage"] == pytest.approx(((low <= share) & (share <= high)).mean())
        assert found["interval_width"] == pytest.approx((high - low).mean())

    def test_without_tags_the_table_is_empty_and_has_its_columns(self):
        given = asked([0, 1, 2], {"ear": answers(np.eye(3))}, known=np.zeros((3, 2, 0), np.float32))
        table = tag_report(given, told_of(given, {}), HOW)
        assert table.empty
        assert {"model", "tag", "r", "r_low", "of_ceiling", "interval_coverage"} <= set(table.columns)
