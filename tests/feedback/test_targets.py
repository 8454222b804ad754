"""Targets: appeal, dislike, feelings, words and popularity of each track, what they rest on, and what is withheld."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from earmark.errors import ParamsError
from earmark.feedback.estimates.targets import ALL, COLUMNS, Report, make_targets, popularity
from estimate_tools import (
    DAY_US,
    NOW_US,
    counts_of,
    did,
    doings,
    evidence,
    pair_up,
    pairs_of,
    pairs_with,
    people,
    targets,
    words_said,
)

PLAIN = targets(correct_exposure=False, half_life_days=0.0)
LEAST = 5


def made(of, params=PLAIN, least: int = LEAST) -> tuple[pd.DataFrame, Report]:
    return make_targets(of, params, least)


def told(table: pd.DataFrame, target: str, name: str = "", segment: str = ALL) -> pd.DataFrame:
    chosen = (table["target"] == target) & (table["name"] == name) & (table["segment"] == segment)
    return table[chosen].set_index("track")


def answers(tracks: int = 60, listeners: int = 40, *, seed: int = 1, share=None, asked: float = 0.5) -> pd.DataFrame:
    """Each listener says of half of the tracks whether they are liked; tracks differ in how many like them."""
    random = np.random.default_rng(seed)
    share = random.beta(3, 4, tracks) if share is None else share
    listener, track = np.divmod(np.arange(listeners * tracks), tracks)
    some = random.random(len(track)) < asked
    yes = (random.random(len(track)) < share[track]).astype(np.float64)
    return pairs_with(track[some], listener[some] + 1, answer=yes[some])


class TestTheTable:
    def test_has_its_columns_and_no_track_twice_within_a_target(self):
        said = words_said(*((track, who, "tag", "calm") for track in range(3) for who in range(1, 9)))
        table, _ = made(evidence(70, answers(), said=said))
        assert tuple(table.columns) == COLUMNS
        assert not table.duplicated(["track", "segment", "target", "name"]).any()
        shares = table[table["target"] != "popularity"]
        assert (shares["low"] <= shares["estimate"]).all()
        assert (shares["estimate"] <= shares["high"]).all()
        assert shares[["estimate", "low", "high"]].stack().between(0, 1).all()
        assert (shares["sd"] > 0).all()

    def test_is_empty_where_there_is_no_evidence_and_still_has_its_columns(self):
        table, report = made(evidence(5))
        assert table.empty
        assert tuple(table.columns) == COLUMNS
        assert (report.priors, report.ceilings, report.withheld, report.exposure) == ({}, {}, [], 0.0)

    def test_is_the_same_again(self):
        of = evidence(60, answers())
        pd.testing.assert_frame_equal(made(of)[0], made(of)[0])


class TestAppeal:
    def test_of_answers_alone_is_the_beta_posterior_under_the_prior_that_is_reported(self):
        pairs = answers()
        table, report = made(evidence(60, pairs))
        appeal, prior = told(table, "appeal"), report.priors["appeal"]
        yes = pairs.groupby("track")["answer"].sum()
        asked = pairs.groupby("track").size()
        a = prior.mean * prior.concentration + yes
        b = (1 - prior.mean) * prior.concentration + asked - yes
        np.testing.assert_allclose(appeal["estimate"], stats.beta(a, b).mean(), atol=1e-3)
        np.testing.assert_allclose(appeal["low"], stats.beta(a, b).ppf(0.05), atol=3e-3)
        np.testing.assert_allclose(appeal["high"], stats.beta(a, b).ppf(0.95), atol=3e-3)
        assert appeal["listeners"].tolist() == asked.tolist()
        # As many answers as it is worth: the prior's, and those that were given.
        np.testing.assert_allclose(appeal["evidence"], prior.concentration + asked, rtol=0.02)

    def test_is_nearer_the_truth_than_the_raw_share_of_few_and_of_many(self):
        share = np.random.default_rng(3).beta(3, 4, 300)
        for listeners in (6, 20, 80):
            pairs = answers(300, listeners, share=share)
            appeal = told(made(evidence(300, pairs))[0], "appeal")["estimate"]
            raw = pairs.groupby("track")["answer"].mean()
            assert ((appeal - share[appeal.index]) ** 2).mean() < ((raw - share[raw.index]) ** 2).mean()

    def test_counts_an_old_answer_for_less(self):
        events = [
            did("like", track=track, listener=who, value=float(track % 2)) for track in range(30) for who in range(9)
        ]
        stale = [event | {"days_ago": 3 * targets().half_life_days} for event in events]
        fresh, old = (
            told(made(evidence(30, pair_up(doings(*some), NOW_US, targets())), targets())[0], "appeal")
            for some in (events, stale)
        )
        assert (old["evidence"] < fresh["evidence"]).all()
        assert (old["high"] - old["low"] > fresh["high"] - fresh["low"]).all()

    def test_of_plays_grows_and_of_skips_falls(self):
        events = [
            did("play" if track < 20 else "skip", track=track, listener=who, share=float(track < 20), chosen=1)
            for track in range(40) for who in range(10)
        ]  # fmt: skip
        appeal = told(made(evidence(40, pairs_of(*events)))[0], "appeal")["estimate"]
        assert appeal[:20].min() > appeal[20:].max() + 0.2

    def test_rests_on_less_evidence_where_listeners_only_listened(self):
        played = [did("play", track=track, listener=who, share=1.0) for track in range(30) for who in range(12)]
        liked = [did("like", track=track, listener=who, value=1.0) for track in range(30) for who in range(12)]
        by_plays = told(made(evidence(30, pairs_of(*played)))[0], "appeal")
        by_likes = told(made(evidence(30, pairs_of(*liked)))[0], "appeal")
        assert (by_plays["listeners"] == by_likes["listeners"]).all()
        assert (by_plays["evidence"] < by_likes["evidence"]).all()

    @pytest.mark.parametrize("yes", [0.0, 1.0])
    def test_of_one_song_that_all_or_none_like_is_a_share_with_an_interval(self, yes):
        (row,) = told(made(evidence(1, pairs_with([0] * 9, np.arange(9), answer=yes)))[0], "appeal").itertuples()
        assert row.estimate == pytest.approx((1 + 9 * yes) / 11, abs=1e-3)  # a prior that knows nothing: Laplace's rule
        assert row.low < row.estimate < row.high


class TestDislike:
    def test_is_told_where_it_was_asked_and_is_a_question_of_its_own(self):
        like = [did("like", track=track, listener=who, value=0.0) for track in range(20) for who in range(8)]
        dislike = [
            did("dislike", track=track, listener=who, value=float(track >= 10))
            for track in range(20)
            for who in range(8)
        ]
        table, _ = made(evidence(20, pairs_of(*like, *dislike)))
        found = told(table, "dislike")["estimate"]
        assert found[10:].min() > 0.7 > 0.3 > found[:10].max()
        assert told(table, "appeal")["estimate"].max() < 0.2

    def test_is_not_told_where_it_was_not(self):
        assert told(made(evidence(60, answers()))[0], "dislike").empty


class TestFeelings:
    def felt(self, *rows) -> pd.DataFrame:
        return told(made(evidence(3, said=words_said(*rows)))[0], "feeling", "joy")

    def test_are_the_share_of_those_asked_who_felt_it(self):
        rows = [(track, who, "feeling", "joy", float(who < 4 * track)) for track in range(3) for who in range(8)]
        found = self.felt(*rows)
        assert found["listeners"].tolist() == [8, 8, 8]
        assert (np.diff(found["estimate"]) > 0.2).all()

    def test_of_each_listener_the_latest_counts(self):
        rows = [(0, who, "feeling", "joy", 1.0) for who in range(8)]
        before, after = self.felt(*rows), self.felt(*rows, *((0, who, "feeling", "joy", 0.0) for who in range(8)))
        assert after["listeners"].tolist() == before["listeners"].tolist() == [8]
        assert after["estimate"][0] == pytest.approx(1 - before["estimate"][0], abs=1e-3)

    def test_taken_back_are_none(self):
        rows = [(0, who, "feeling", "joy", 1.0) for who in range(8)]
        assert self.felt(*rows, *((0, who, "feeling", "joy", np.nan) for who in range(2)))["listeners"][0] == 6
        assert self.felt(*rows, *((0, who, "feeling", "joy", np.nan) for who in range(8))).empty

    def test_each_has_a_prior_and_a_ceiling_of_its_own(self):
        rows = [
            (track, who, "feeling", name, float((track * 7 + who * 3) % 5 < cut))
            for track in range(20) for who in range(8) for name, cut in (("joy", 1), ("calm", 3))
        ]  # fmt: skip
        _, report = made(evidence(20, said=words_said(*rows)))
        assert set(report.priors) == set(report.ceilings) == set(report.coverage) == {"feeling:joy", "feeling:calm"}
        assert report.priors["feeling:joy"].mean == pytest.approx(0.2, abs=0.05)
        assert report.priors["feeling:calm"].mean == pytest.approx(0.6, abs=0.05)


class TestWords:
    def test_are_the_share_of_those_who_said_anything_of_the_track(self):
        rows = [(track, who, "tag", "calm") for track in range(10) for who in range(6) if who < 2 + track % 4]
        rows += [(track, who, "comment", "loud") for track in range(10) for who in range(6)]
        table, report = made(evidence(10, said=words_said(*rows)))
        calm, prior = told(table, "word", "calm"), report.priors["word:calm"]
        assert (calm["listeners"] == 6).all()
        yes = 2 + np.arange(10) % 4
        expected = (prior.mean * prior.concentration + yes) / (prior.concentration + 6)
        np.testing.assert_allclose(calm["estimate"], expected, atol=2e-3)

    def test_said_twice_by_one_listener_count_once(self):
        rows = [(track, who, "tag", "hip hop") for track in range(4) for who in range(6)]
        again = [(*row[:2], "comment", row[3]) for row in rows]
        once, twice = (made(evidence(4, said=words_said(*some)))[0] for some in (rows, rows + again))
        pd.testing.assert_frame_equal(told(once, "word", "hip hop"), told(twice, "word", "hip hop"))

    def test_that_were_pruned_make_their_speakers_count_all_the_same(self):
        rows = [(track, who, "tag", "calm") for track in range(4) for who in range(4)]
        rows += [(track, 90, "tag", None) for track in range(4)]
        table, _ = made(evidence(4, said=words_said(*rows)))
        assert set(table["name"]) == {"calm"}
        assert (told(table, "word", "calm")["listeners"] == 5).all()

    def test_rare_ones_are_nearer_the_truth_than_the_raw_share(self):
        random = np.random.default_rng(6)
        truth = random.beta(0.05, 5, 400)
        track, who = np.divmod(np.arange(400 * 20), 20)
        used = random.random(len(track)) < truth[track]
        said = pd.DataFrame({"track": track, "listener": who, "kind": "tag", "word": np.where(used, "rare", "idle")})
        estimate = told(made(evidence(400, said=said.assign(value=np.nan)))[0], "word", "rare")["estimate"]
        raw = pd.Series(used).groupby(track).mean()
        assert ((estimate - truth) ** 2).mean() < ((raw - truth) ** 2).mean()
        assert estimate.mean() == pytest.approx(raw.mean(), abs=0.002)


class TestSegments:
    """Women like even tracks and men odd ones; of one person alone the country is told."""

    LISTENERS = 60

    def two(self, tracks: int = 40, asked: float = 0.5, seed: int = 2) -> tuple:
        random = np.random.default_rng(seed)
        who, track = np.divmod(np.arange(self.LISTENERS * tracks), tracks)
        some = random.random(len(who)) < asked
        share = np.where(who % 2 == track % 2, 0.8, 0.3)
        yes = (random.random(len(who)) < share).astype(np.float64)
        pairs = pairs_with(track[some], who[some] + 1, answer=yes[some])
        gender = np.where(np.arange(self.LISTENERS) % 2, "m", "f")
        country = np.where(np.arange(self.LISTENERS) == 7, "NO", None)
        return pairs, people(range(1, self.LISTENERS + 1), gender=gender, country=country)

    def table(self, names=("gender", "country"), **how) -> tuple[pd.DataFrame, Report]:
        pairs, attributes = self.two(**how)
        params = targets(correct_exposure=False, segments=list(names))
        return made(evidence(40, pairs, attributes=attributes), params)

    def test_are_told_only_where_asked_for(self):
        assert set(self.table(())[0]["segment"]) == {ALL}
        assert set(self.table(("gender",))[0]["segment"]) == {ALL, "gender:f", "gender:m"}

    def test_differ_from_the_whole_where_their_listeners_do(self):
        table, _ = self.table()
        whole, women = told(table, "appeal")["estimate"], told(table, "appeal", segment="gender:f")["estimate"]
        even = women.index % 2 == 0
        assert women[even].mean() == pytest.approx(0.8, abs=0.07)
        assert women[~even].mean() == pytest.approx(0.3, abs=0.07)
        assert whole.mean() == pytest.approx(0.55, abs=0.05)

    def test_are_drawn_from_their_raw_share_towards_the_rest(self):
        # Where women and men are alike, a segment's own share is mostly chance.
        same, (_, attributes) = answers(40, self.LISTENERS, seed=4), self.two()
        params = targets(correct_exposure=False, segments=["gender"])
        table, _ = made(evidence(40, same, attributes=attributes), params)
        women = told(table, "appeal", segment="gender:f")["estimate"]
        raw = same[same["listener"] % 2 == 1].groupby("track")["answer"].mean().reindex(women.index)
        whole = told(table, "appeal")["estimate"].reindex(women.index)
        assert ((women - whole) ** 2).mean() < 0.3 * ((raw - whole) ** 2).mean()

    def test_are_not_surer_than_the_whole_of_which_they_are_a_part(self):
        same, (_, attributes) = answers(40, self.LISTENERS, seed=4), self.two()
        table, _ = made(evidence(40, same, attributes=attributes), targets(correct_exposure=False, segments=["gender"]))
        whole = told(table, "appeal")["sd"]
        for segment in ("gender:f", "gender:m"):
            assert (told(table, "appeal", segment=segment)["sd"] > 0.95 * whole).mean() > 0.9

    def test_of_everybody_are_the_whole(self):
        pairs, _ = self.two()
        attributes = people(range(1, self.LISTENERS + 1), language="en")
        table, _ = made(
            evidence(40, pairs, attributes=attributes), targets(correct_exposure=False, segments=["language"])
        )
        whole, own = told(table, "appeal"), told(table, "appeal", segment="language:en")
        np.testing.assert_allclose(own[["estimate", "low", "high"]], whole[["estimate", "low", "high"]], atol=0.02)

    def test_with_fewer_than_the_least_listeners_are_withheld(self):
        table, report = self.table()
        assert report.withheld == ["country:NO"]
        assert "country:NO" not in set(table["segment"])

    def test_cells_with_fewer_than_the_least_listeners_are_withheld(self):
        pairs, _ = self.two()
        table, _ = self.table(asked=0.2)
        cells = table[(table["segment"] != ALL) & (table["target"] == "appeal")]
        assert (cells["listeners"] >= LEAST).all()
        assert 0 < len(cells) < 80
        assert len(told(table, "appeal")) == 40
        assert len(pairs)

    def test_are_withheld_for_all_that_is_said_too(self):
        pairs, attributes = self.two()
        rows = [(track, who, "feeling", "joy", 1.0) for track in range(5) for who in (1, 3, 5, 6, 8)]
        rows += [(track, who, "tag", "calm") for track in range(5) for who in (1, 3, 5, 6, 8)]
        params = targets(correct_exposure=False, segments=["gender", "country"])
        table, report = made(evidence(40, pairs, said=words_said(*rows), attributes=attributes), params)
        assert set(table[table["target"].isin(["feeling", "word"])]["segment"]) == {ALL}
        assert report.withheld == ["country:NO"]  # of women and men something is told

    def test_that_are_not_known_of_anybody_are_none(self):
        assert set(self.table(("age", "language"))[0]["segment"]) == {ALL}

    def test_of_no_name_that_is_known_are_an_error_that_lists_the_known_ones(self):
        with pytest.raises(ParamsError, match=r"targets\.segments names town, .* is age, gender, country, language"):
            self.table(("gender", "town"))

    def test_of_listeners_who_did_nothing_here_are_withheld(self):
        attributes = people(range(500, 540), gender="x")
        _, report = made(evidence(60, answers(), attributes=attributes), targets(segments=["gender"]))
        assert report.withheld == ["gender:x"]


class TestWhatFewListenersSaid:
    """Many listen; but a feeling, or a dislike, is of few."""

    def some(self, listeners: int, kind: str = "feeling") -> tuple[pd.DataFrame, Report]:
        if kind == "dislike":
            told = [did("dislike", track=9, listener=who, value=1.0) for who in range(listeners)]
            heard = [did("play", track=track, listener=who) for who in range(20) for track in range(5)]
            return made(evidence(60, pairs_of(*told, *heard)))
        rows = [(track, who, kind, "joy", 1.0) for track in range(3) for who in range(listeners)]
        return made(evidence(60, answers(), said=words_said(*rows)))

    @pytest.mark.parametrize("kind", ["feeling", "dislike"])
    @pytest.mark.parametrize(("listeners", "told"), [(LEAST - 1, False), (LEAST, True)])
    def test_is_told_only_of_as_many_as_the_least(self, kind, listeners, told):
        table, report = self.some(listeners, kind)
        assert (kind in set(table["target"])) == told
        assert any(key.startswith(kind) for key in report.priors) == told
        assert "appeal" in set(table["target"])

    def test_and_took_back_again_does_not_make_them_more(self):
        rows = [(0, who, "feeling", "joy", 1.0) for who in range(LEAST)] + [(0, 0, "feeling", "joy", np.nan)]
        assert told(made(evidence(60, answers(), said=words_said(*rows)))[0], "feeling", "joy").empty

    def test_of_a_song_stands_in_its_own_row_if_as_many_said_so_of_all_songs(self):
        rows = [(who, who, "feeling", "joy", 1.0) for who in range(LEAST)]
        found = told(made(evidence(60, answers(), said=words_said(*rows)))[0], "feeling", "joy")
        assert found["listeners"].tolist() == [1] * LEAST


class TestFewListenersInAll:
    @pytest.mark.parametrize("least", [5, 6])
    def test_nothing_is_told_of_fewer_than_the_least(self, least):
        said = words_said((0, 1, "feeling", "joy", 1.0), (0, 2, "tag", "calm"))
        table, report = made(evidence(60, answers(60, 4), said=said), least=least)
        assert table.empty
        assert report.withheld == [ALL]
        assert not report.priors

    def test_but_counts_of_a_whole_service_are(self):
        table, _ = made(evidence(12, answers(12, 4), counts=counts_of(np.arange(12))))
        assert set(table["target"]) == {"popularity"}

    def test_listeners_who_speak_and_who_listen_are_counted_together(self):
        pairs = pairs_with([0, 1, 2], [1, 2, 3], answer=1.0)
        said = words_said((0, 4, "feeling", "joy", 1.0), (0, 5, "feeling", "joy", 1.0))
        assert made(evidence(3, pairs, said=said))[1].withheld == []
        assert made(evidence(3, pairs, said=said.head(1)))[1].withheld == [ALL]


class TestTheReport:
    def test_tells_the_ceiling_of_every_target(self):
        said = words_said(
            *((track, who, "tag", ("calm", "loud")[(track + who) % 2]) for track in range(9) for who in range(8))
        )
        table, report = made(evidence(60, answers(), said=said))
        keys = {
            f"{row.target}:{row.name}".rstrip(":")
            for row in table[["target", "name"]].drop_duplicates().itertuples(index=False)
        }
        assert keys - {"popularity"} == set(report.ceilings) == set(report.priors) == set(report.coverage)

    def test_ceiling_of_appeal_is_that_of_the_answers(self):
        share = np.random.default_rng(3).beta(3, 4, 400)
        pairs = answers(400, 40, share=share)
        _, report = made(evidence(400, pairs))
        reached = np.corrcoef(pairs.groupby("track")["answer"].mean(), share)[0, 1]
        assert report.ceilings["appeal"] == pytest.approx(reached, abs=0.04)

    def test_coverage_is_that_of_the_interval_where_all_answered(self):
        _, report = made(evidence(400, answers(400, 30)))
        assert report.coverage["appeal"] == pytest.approx(0.9, abs=0.04)

    def test_coverage_is_unknown_where_answers_were_volunteered_or_few(self):
        pairs = answers(100, 40)
        some = pairs.assign(
            answer=pairs["answer"].where(np.arange(len(pairs)) % 2 == 0), heard=1.0, skipped=0.0, returned=0.0
        )
        assert np.isnan(made(evidence(100, some))[1].coverage["appeal"])
        assert np.isnan(made(evidence(10, answers(10, 8, asked=0.4)))[1].coverage["appeal"])

    def test_what_is_assumed_is_said_to_be(self):
        assert made(evidence(60, answers()))[1].meaning.learnt_from == 0

    @pytest.mark.parametrize("correct", [True, False])
    def test_exposure_is_corrected_only_if_asked_for(self, correct):
        random = np.random.default_rng(9)
        tastes, kinds = random.standard_normal((300, 2)), random.standard_normal((90, 2))
        drawn = tastes @ kinds.T
        who, track = np.nonzero(random.random(drawn.shape) < 1 / (1 + np.exp(2 - 1.5 * drawn)))
        likes = random.random(len(who)) < 1 / (1 + np.exp(-drawn[who, track]))
        pairs = pairs_with(track, who + 1, answer=likes.astype(np.float64))
        table, report = made(evidence(90, pairs), targets(correct_exposure=correct))
        assert (report.exposure > 0.2) == correct
        assert (told(table, "appeal")["estimate"].mean() < likes.mean() - 0.03) == correct


class TestPopularity:
    def ranks(self, listens, since_us=np.nan, pairs: pd.DataFrame | None = None) -> pd.Series:
        pairs = pairs_of() if pairs is None else pairs
        return popularity(pairs, counts_of(listens, since_us), NOW_US).set_index("track")["estimate"]

    def test_is_the_rank_by_how_many_listen(self):
        assert self.ranks([7, 1, 30, 2]).to_dict() == {0: 0.625, 1: 0.125, 2: 0.875, 3: 0.375}

    def test_of_equals_is_equal(self):
        assert self.ranks([5, 5, 1, 9]).to_dict() == {0: 0.5, 1: 0.5, 2: 0.125, 3: 0.875}

    @pytest.mark.parametrize("bent", [lambda n: 1000 * n, np.square, lambda n: np.log1p(n) * 50, lambda n: n + 3])
    def test_does_not_change_when_counts_are_bent_in_order(self, bent):
        listens = np.random.default_rng(1).pareto(1.2, 80) * 100 + 1
        pd.testing.assert_series_equal(self.ranks(bent(listens)), self.ranks(listens))

    def aged(self, tracks: int = 400, seed: int = 1) -> tuple:
        random = np.random.default_rng(seed)
        days, good = random.uniform(1, 3_000, tracks), random.standard_normal(tracks)
        return days, good, random.poisson(np.exp(2 + 0.8 * np.log(days) + good)).astype(np.float64)

    def test_does_not_favour_songs_that_were_there_for_longer(self):
        days, good, listens = self.aged()
        ranks = self.ranks(listens, NOW_US - days * DAY_US)
        raw = self.ranks(listens)
        assert abs(stats.spearmanr(ranks, days)[0]) < 0.08 < stats.spearmanr(raw, days)[0] - 0.3
        assert stats.spearmanr(ranks, good)[0] > 0.95 > stats.spearmanr(raw, good)[0]

    @pytest.mark.parametrize("oldest", [True, False])
    def test_of_the_greatest_hit_is_high_even_if_no_song_is_older_or_none_newer(self, oldest):
        days, _, listens = self.aged(120)
        place = np.argmax(days) if oldest else np.argmin(days)
        listens[place] = 100 * listens.max()
        assert self.ranks(listens, NOW_US - days * DAY_US)[place] > 0.95

    def test_of_the_oldest_song_that_nobody_hears_is_low(self):
        days, _, listens = self.aged(120)
        listens[np.argmax(days)] = 0.0
        assert self.ranks(listens, NOW_US - days * DAY_US)[np.argmax(days)] < 0.05

    def test_of_songs_whose_age_nobody_knows_or_that_are_yet_to_come_is_told_too(self):
        days, _, listens = self.aged(60)
        since = NOW_US - days * DAY_US
        since[:10], since[10:20] = np.nan, NOW_US + 40 * DAY_US
        ranks = self.ranks(listens, since)
        assert len(ranks) == 60
        assert ranks.between(0, 1, inclusive="neither").all()

    def test_counts_the_listeners_that_are_told_apart_each_once(self):
        events = [did("play", track=0, listener=who) for who in range(6)] + [did("play", track=1, listener=1)] * 50
        found = popularity(pairs_of(*events), counts_of(), NOW_US).set_index("track")
        assert found["listeners"].to_dict() == {0: 6, 1: 1}
        assert found["estimate"][0] > found["estimate"][1]

    def test_is_no_matter_of_answers(self):
        assert popularity(pairs_of(did("like", value=1.0)), counts_of(), NOW_US).empty

    def test_has_no_interval(self):
        found = popularity(pairs_of(), counts_of([3, 4]), NOW_US)
        assert found[["low", "high", "sd", "evidence"]].isna().all(axis=None)
        assert tuple(found.columns) == COLUMNS

    def test_of_what_was_only_liked_and_not_counted_is_not_told(self):
        assert list(self.ranks([5.0, np.nan, 2.0]).index) == [0, 2]
