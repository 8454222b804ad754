"""Shares with intervals: the Beta-binomial posterior, soft evidence, the prior of all songs, coverage, segments."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import integrate, stats
from scipy.special import expit

from earmark.feedback.estimates.shares import (
    GRID,
    Beta,
    Known,
    Shares,
    count,
    coverage,
    fit_prior,
    log_likelihoods,
    mixed_posterior,
    posterior,
    segment_prior,
)
from estimate_tools import as_answers

PRIOR = Beta(0.4, 10.0)
PULLS = tuple(np.geomspace(2, 2_000, 13))


def answered(yes, no) -> Known:
    song, said = as_answers(np.atleast_1d(yes), np.atleast_1d(no))
    return count(song, said, len(np.atleast_1d(yes)))


def answered_by_millions(yes: int, no: int, songs: int = 1) -> Known:
    """The same, without a row for each."""
    song = np.repeat(np.arange(songs), 2)
    return count(song, np.tile([1.0, 0.0], songs), songs, weight=np.tile([float(yes), float(no)], songs))


def softly(log_ratio, **other) -> Known:
    """One song, of whose listeners none has answered."""
    listeners = len(log_ratio)
    unsaid = np.full(listeners, np.nan)
    return count(np.zeros(listeners, dtype=np.int64), unsaid, 1, log_ratio=np.asarray(log_ratio), **other)


def one(shares: Shares) -> tuple[float, float, float]:
    return shares.mean[0], shares.low[0], shares.high[0]


def by_integration(likelihood, prior: Beta = PRIOR) -> float:
    """The posterior mean, by quadrature over every share there is."""
    density = stats.beta(prior.mean * prior.concentration, (1 - prior.mean) * prior.concentration).pdf
    below = integrate.quad(lambda q: density(q) * likelihood(q), 0, 1, limit=200)[0]
    return integrate.quad(lambda q: q * density(q) * likelihood(q), 0, 1, limit=200)[0] / below


class TestAnswersAlone:
    @settings(max_examples=150, deadline=None)
    @given(
        yes=st.integers(0, 3_000),
        no=st.integers(0, 3_000),
        mean=st.floats(0.005, 0.995),
        concentration=st.floats(0.3, 300.0),
        confidence=st.sampled_from([0.5, 0.9, 0.99]),
    )
    @example(yes=1, no=144, mean=0.005, concentration=1.0, confidence=0.5)
    @example(yes=0, no=0, mean=0.01, concentration=5.0, confidence=0.9)
    @example(yes=0, no=40, mean=0.01, concentration=5.0, confidence=0.9)
    @example(yes=3_000, no=0, mean=0.4, concentration=0.5, confidence=0.9)
    def test_are_the_beta_distribution_that_theory_knows(self, yes, no, mean, concentration, confidence):
        found = posterior(answered(yes, no), Beta(mean, concentration), confidence)
        theory = stats.beta(mean * concentration + yes, (1 - mean) * concentration + no)
        tail = (1 - confidence) / 2
        near = 0.0005 + 0.03 * theory.std()
        low, high = min(theory.ppf(tail), theory.mean()), max(theory.ppf(1 - tail), theory.mean())
        assert one(found) == pytest.approx((theory.mean(), low, high), abs=near)
        assert found.sd[0] == pytest.approx(theory.std(), rel=0.03, abs=0.0003)

    @pytest.mark.parametrize("yes", [0, 137, 500_001, 1_000_000])
    def test_a_million_of_them_on_one_song_leave_it_known_to_a_few_thousandths_and_not_to_nothing(self, yes):
        found = posterior(answered_by_millions(yes, 1_000_000 - yes), PRIOR, 0.9)
        assert found.mean[0] == pytest.approx(yes / 1_000_000, abs=0.003)
        assert 0 < found.sd[0] < 0.003
        assert found.low[0] <= found.mean[0] <= found.high[0]
        assert found.low[0] - 0.003 <= yes / 1_000_000 <= found.high[0] + 0.003

    def test_a_billion_do_no_more(self):
        found = posterior(answered_by_millions(600_000_000, 400_000_000), PRIOR, 0.9)
        assert found.mean[0] == pytest.approx(0.6, abs=0.003)
        assert 0.0005 < found.sd[0] < 0.003

    @settings(max_examples=60, deadline=None)
    @given(yes=st.integers(0, 200), no=st.integers(0, 200), mean=st.floats(0.05, 0.95), pull=st.floats(0.5, 200))
    def test_draw_the_estimate_to_between_the_raw_share_and_the_mean_of_all(self, yes, no, mean, pull):
        estimate = posterior(answered(yes, no), Beta(mean, pull), 0.9).mean[0]
        raw = yes / (yes + no) if yes + no else mean
        assert min(raw, mean) - 1e-4 <= estimate <= max(raw, mean) + 1e-4

    def test_the_more_there_are_the_nearer_is_the_raw_share_and_the_narrower_the_interval(self):
        asked = np.array([4, 40, 400, 4_000])
        found = posterior(answered(asked * 3 // 4, asked // 4), PRIOR, 0.9)
        assert (np.diff(np.abs(found.mean - 0.75)) < 0).all()
        assert (np.diff(found.high - found.low) < 0).all()

    def test_a_rating_is_some_of_a_yes_and_the_rest_of_a_no(self):
        ratings = count(np.zeros(2, dtype=np.int64), np.array([0.8, 0.7]), 1)
        assert one(posterior(ratings, PRIOR, 0.9))[0] == pytest.approx((4 + 1.5) / 12, abs=1e-4)

    def test_count_by_their_weight_and_without_any_not_at_all(self):
        song, said = as_answers([3], [2])
        half = count(song, said, 1, weight=np.full(5, 0.5))
        assert one(posterior(half, PRIOR, 0.9))[0] == pytest.approx((4 + 1.5) / 12.5, abs=1e-4)
        nothing = count(song, said, 1, weight=np.zeros(5))
        assert one(posterior(nothing, PRIOR, 0.9)) == one(posterior(answered(0, 0), PRIOR, 0.9))

    def test_of_no_song_there_is_no_posterior(self):
        assert [len(column) for column in vars(posterior(answered([], []), PRIOR, 0.9)).values()] == [0, 0, 0, 0]

    def test_songs_are_the_same_whether_few_or_more_than_fit_into_a_chunk(self):
        yes, no = np.arange(5_000) % 7, np.arange(5_000) % 5
        many, few = posterior(answered(yes, no), PRIOR, 0.9), posterior(answered(yes[-3:], no[-3:]), PRIOR, 0.9)
        np.testing.assert_allclose(many.mean[-3:], few.mean)


class TestSoftEvidence:
    def test_that_tells_nothing_changes_nothing(self):
        alone = one(posterior(answered(3, 2), PRIOR, 0.9))
        song, said = as_answers([3], [2])
        with_idle = count(np.append(song, [0] * 500), np.append(said, [np.nan] * 500), 1, log_ratio=np.zeros(505))
        assert one(posterior(with_idle, PRIOR, 0.9)) == pytest.approx(alone, abs=1e-12)

    def test_unknown_ratios_tell_nothing(self):
        unsaid = one(posterior(answered(0, 0), PRIOR, 0.9))
        assert one(posterior(softly([np.nan] * 9), PRIOR, 0.9)) == pytest.approx(unsaid, abs=1e-12)

    @settings(max_examples=40, deadline=None)
    @given(ratios=st.lists(st.floats(-5, 5), min_size=1, max_size=60))
    def test_gives_the_posterior_mean_that_quadrature_finds(self, ratios):
        found = posterior(softly(ratios), PRIOR, 0.9).mean[0]
        factors = np.expm1(ratios)
        assert found == pytest.approx(by_integration(lambda q: np.prod(1 + q * factors)), abs=0.002)

    @pytest.mark.parametrize(("liked", "not_liked"), [(0.6, 0.45), (0.55, 0.45), (0.8, 0.3)])
    def test_that_is_weak_and_much_finds_the_truth(self, liked, not_liked):
        # What rounded the ratios, by as little as 0.1, would be wrong for all listeners alike.
        random = np.random.default_rng(5)
        truth, listeners = np.array([0.15, 0.4, 0.7]), 8_000
        song = np.repeat(np.arange(3), listeners)
        likes = random.random(len(song)) < truth[song]
        played = random.random(len(song)) < np.where(likes, liked, not_liked)
        ratio = np.where(played, np.log(liked / not_liked), np.log((1 - liked) / (1 - not_liked)))
        found = posterior(count(song, np.full(len(song), np.nan), 3, log_ratio=ratio), Beta(0.4, 2.0), 0.999)
        assert (found.low <= truth).all()
        assert (found.high >= truth).all()
        # As sure as the share of those who played allows, and no surer.
        share = not_liked + truth * (liked - not_liked)
        np.testing.assert_allclose(found.sd, np.sqrt(share * (1 - share) / listeners) / (liked - not_liked), rtol=0.1)

    @pytest.mark.parametrize("truth", [0.05, 0.4, 0.8])
    @pytest.mark.parametrize(("liked", "not_liked"), [(0.55, 0.5), (0.61, 0.43), (0.9, 0.2)])
    def test_of_ten_millions_finds_it_to_a_few_thousandths(self, truth, liked, not_liked):
        played = 1e7 * (not_liked + truth * (liked - not_liked))
        ratios = np.log([liked / not_liked, (1 - liked) / (1 - not_liked)])
        found = posterior(softly(ratios, weight=np.array([played, 1e7 - played])), PRIOR, 0.9)
        assert found.mean[0] == pytest.approx(truth, abs=0.006)

    def test_beyond_all_bounds_is_as_good_as_an_answer(self):
        outright = one(posterior(answered(7, 3), PRIOR, 0.9))
        assert one(posterior(softly([np.inf] * 7 + [-np.inf] * 3), PRIOR, 0.9)) == pytest.approx(outright, abs=0.005)


class TestThePriorOfAllSongs:
    @pytest.mark.parametrize(
        ("a", "b"), [(2, 3), (20, 30), (0.5, 0.5), (0.1, 10), (0.5, 20)], ids=lambda value: f"{value:g}"
    )
    def test_is_the_one_that_the_songs_were_drawn_from(self, a, b):
        random = np.random.default_rng(11)
        yes = random.binomial(30, random.beta(a, b, 3_000))
        found = fit_prior(answered(yes, 30 - yes))
        assert found.mean == pytest.approx(a / (a + b), rel=0.1)
        assert found.concentration == pytest.approx(a + b, rel=0.25)

    def test_is_not_held_back_where_songs_speak_against_what_was_thought_of_it(self):
        random = np.random.default_rng(11)
        for a, b, least, most in ((90, 60, 60, 400), (0.2, 0.1, 0.15, 0.6)):
            yes = random.binomial(40, random.beta(a, b, 300))
            assert least < fit_prior(answered(yes, 40 - yes)).concentration < most

    def test_is_found_from_soft_evidence_alone(self):
        random = np.random.default_rng(12)
        song = np.repeat(np.arange(1_500), 40)
        likes = random.random(len(song)) < random.beta(4, 6, 1_500)[song]
        ratio = np.where(random.random(len(song)) < np.where(likes, 0.8, 0.3), np.log(8 / 3), np.log(2 / 7))
        found = fit_prior(count(song, np.full(len(song), np.nan), 1_500, log_ratio=ratio))
        assert found.mean == pytest.approx(0.4, abs=0.02)
        assert found.concentration == pytest.approx(10, rel=0.3)

    def test_songs_without_any_evidence_have_no_part_in_it(self):
        yes, no = np.array([1, 5, 2, 9]), np.array([4, 3, 7, 1])
        some = fit_prior(answered(yes, no))
        assert fit_prior(answered([*yes, 0, 0, 0], [*no, 0, 0, 0])) == some

    def test_one_song_or_none_leaves_all_shares_equally_likely(self):
        for known in (answered([7], [1]), answered([], []), answered([0, 0], [0, 0])):
            assert fit_prior(known) == Beta(0.5, 2.0)

    @pytest.mark.parametrize(("yes", "no"), [(9, 0), (0, 9), (10**6, 0), (10**6, 10**6), (5, 5)])
    def test_songs_that_are_all_alike_give_a_finite_one_and_estimates_that_are_shares(self, yes, no):
        known = answered_by_millions(yes, no, songs=30)
        prior = fit_prior(known)
        assert 0 < prior.mean < 1
        assert np.isfinite(prior.concentration)
        mean, low, high = one(posterior(known, prior, 0.9))
        assert 0 <= low <= mean <= high <= 1
        assert mean == pytest.approx(yes / (yes + no), abs=0.05)

    def test_is_the_same_again_of_more_songs_than_are_needed(self):
        random = np.random.default_rng(3)
        yes = random.binomial(5, random.beta(2, 3, 25_000))
        known = answered(yes, 5 - yes)
        assert fit_prior(known, seed=4) == fit_prior(known, seed=4)
        assert fit_prior(known).mean == pytest.approx(0.4, abs=0.02)

    @pytest.mark.parametrize(("mean", "concentration"), [(0.3, 5.0), (0.01, 5.0), (0.97, 0.4), (0.5, 1e7)])
    def test_is_laid_on_the_grid_whole_and_with_its_mean(self, mean, concentration):
        chances = np.exp(Beta(mean, concentration).log_grid)
        assert chances.sum() == pytest.approx(1)
        assert chances @ GRID == pytest.approx(mean, abs=0.002)


class TestIntervals:
    @pytest.mark.parametrize(("a", "b"), [(3, 4), (1, 1), (30, 20)])
    def test_hold_the_truth_as_often_as_they_say(self, a, b):
        random = np.random.default_rng(21)
        truth = random.beta(a, b, 4_000)
        asked = random.integers(1, 25, 4_000)
        yes = random.binomial(asked, truth)
        known = answered(yes, asked - yes)
        found = posterior(known, fit_prior(known), 0.9)
        deviation = np.sqrt(0.9 * 0.1 / 4_000)
        held = np.mean((found.low <= truth) & (truth <= found.high))
        assert held == pytest.approx(0.9, abs=4 * deviation)

    def test_other_listeners_answers_lie_in_what_was_predicted_as_often_as_said(self):
        random = np.random.default_rng(22)
        truth = random.beta(3, 4, 4_000)
        asked = random.integers(0, 15, 4_000)
        yes, rest = random.binomial(asked, truth), random.integers(0, 12, 4_000)
        known, others = answered(yes, asked - yes), random.binomial(rest, truth)
        for confidence in (0.5, 0.9):
            found = coverage(known, fit_prior(known), others, rest - others, confidence)
            assert found == pytest.approx(confidence, abs=0.02)

    @pytest.mark.parametrize("wrong", [Beta(0.8, 20.0), Beta(3 / 7, 2_000.0)], ids=["mean", "too sure"])
    def test_a_wrong_prior_shows(self, wrong):
        random = np.random.default_rng(23)
        truth = random.beta(3, 4, 2_000)
        yes, others = random.binomial(4, truth), random.binomial(20, truth)
        assert coverage(answered(yes, 4 - yes), wrong, others, 20 - others, 0.9) < 0.8

    def test_coverage_of_one_certain_count_is_the_part_of_its_step_that_lies_within(self):
        # Nothing known, all shares equally likely: of 0 … 9 yes each is as likely, the steps are tenths.
        known, none = answered([0] * 10, [0] * 10), Beta(0.5, 2.0)
        by_count = [
            coverage(known.rows(slice(0, 1)), none, np.array([yes]), np.array([9 - yes]), 0.9) for yes in range(10)
        ]  # fmt: skip
        assert by_count == pytest.approx([0.5] + [1.0] * 8 + [0.5], abs=1e-4)

    def test_songs_that_nobody_else_was_asked_about_have_no_part(self):
        known = answered([3, 0], [3, 40])
        both = coverage(known, PRIOR, np.array([2, 0]), np.array([2, 0]), 0.9)
        assert both == coverage(known.rows(slice(0, 1)), PRIOR, np.array([2]), np.array([2]), 0.9)


class TestExposure:
    def exposed(self, slope: float, affinity, yes) -> Known:
        affinity = np.asarray(affinity, dtype=np.float64)
        song = np.zeros(len(affinity), dtype=np.int64)
        return count(song, np.asarray(yes, dtype=np.float64), 1, affinity=affinity, slope=slope)

    def test_without_a_slope_affinity_has_no_part(self):
        without = one(posterior(answered(2, 1), PRIOR, 0.9))
        assert one(posterior(self.exposed(0.0, [2.0, -1.0, 0.5], [1, 1, 0]), PRIOR, 0.9)) == without

    @pytest.mark.parametrize("slope", [0.3, 1.0, 2.0])
    @pytest.mark.parametrize("affinity", [-2.0, 0.0, 1.25])
    def test_a_listener_of_some_affinity_likes_as_the_mean_over_all_listeners_demands(self, slope, affinity):
        logs = log_likelihoods(self.exposed(slope, [affinity], [1.0]))[0]
        odds = np.log(np.expm1(-logs) ** -1)  # of a yes: the logit that the table has
        middle = odds - slope * affinity
        # Mean over all listeners, by a fine sum instead of by quadrature.
        nodes = np.linspace(-8, 8, 4_001)
        weights = stats.norm.pdf(nodes) / stats.norm.pdf(nodes).sum()
        for place in (5, 100, 200, 399):
            assert expit(middle[place] + slope * nodes) @ weights == pytest.approx(GRID[place], abs=0.001)

    def test_who_was_bound_to_meet_the_song_says_less_for_it(self):
        estimates = [
            one(posterior(self.exposed(1.0, [affinity] * 20, [1] * 15 + [0] * 5), PRIOR, 0.9))[0]
            for affinity in (-1.0, 0.0, 1.0, 2.0)
        ]
        assert (np.diff(estimates) < -0.03).all()

    def test_affinities_that_cancel_out_leave_the_share_near(self):
        mixed = one(posterior(self.exposed(1.0, np.tile([-1.0, 1.0], 100), [1, 1, 0, 0] * 50), PRIOR, 0.9))[0]
        assert mixed == pytest.approx(0.5, abs=0.02)


class TestSegments:
    def segment_world(self, songs: int, spread: float, asked: int, others: int) -> tuple:
        """A segment whose shares lie around those of the others with this concentration."""
        random = np.random.default_rng(31)
        whole = random.beta(4, 6, songs)
        own = random.beta(whole * spread, (1 - whole) * spread)
        yes, rest = random.binomial(asked, own), random.binomial(others, whole)
        both = answered(yes + rest, asked + others - yes - rest)
        return own, answered(yes, asked - yes), answered(rest, others - rest), fit_prior(both)

    @pytest.mark.parametrize("spread", [4.0, 30.0, 1e6], ids=["far apart", "near", "the same"])
    def test_their_intervals_hold_the_truth_even_where_they_are_like_everybody(self, spread):
        own, known, others, prior = self.segment_world(1_500, spread, asked=8, others=30)
        priors, _ = segment_prior(known, others, prior, PULLS)
        found = posterior(known, priors, 0.9)
        assert np.mean((found.low <= own) & (own <= found.high)) == pytest.approx(0.9, abs=0.035)

    @pytest.mark.parametrize("spread", [4.0, 30.0])
    def test_are_drawn_to_the_whole_as_strongly_as_they_are_alike_and_are_nearer_the_truth_for_it(self, spread):
        own, known, others, prior = self.segment_world(1_500, spread, asked=8, others=30)
        priors, pull = segment_prior(known, others, prior, PULLS)

        def error(of: Known, by) -> float:
            return float(np.sqrt(np.mean((posterior(of, by, 0.9).mean - own) ** 2)))

        assert 0.3 < pull / spread < 3
        assert error(known, priors) < min(error(known, prior), error(others, prior))

    def test_a_segment_that_is_everybody_has_everybodys_interval(self):
        known = answered([3, 8, 0], [5, 2, 6])
        priors, _ = segment_prior(known, answered([0] * 3, [0] * 3), PRIOR, (1e7,))
        assert posterior(known, priors, 0.9).high == pytest.approx(posterior(known, PRIOR, 0.9).high, abs=0.01)

    def test_one_about_which_the_others_say_nothing_for_sure_is_not_surer_than_they_are(self):
        known, others = answered([3] * 40, [2] * 40), answered([6] * 40, [4] * 40)
        priors, _ = segment_prior(known, others, PRIOR, PULLS)
        together = posterior(answered([9] * 40, [6] * 40), PRIOR, 0.9)
        assert (posterior(known, priors, 0.9).sd >= 0.95 * together.sd).all()

    def test_of_no_song_nothing_is_drawn_anywhere(self):
        priors, _ = segment_prior(answered([], []), answered([], []), PRIOR, PULLS)
        assert len(posterior(answered([], []), priors, 0.9).mean) == 0


class TestSeveralReadings:
    """What is known may be read in several ways: the answer holds all of them open."""

    @pytest.fixture
    def readings(self):
        yes = [answered(likes, 8 - likes) for likes in (2, 6)]
        return [(known, Beta(0.5, 2.0)) for known in yes]

    def test_one_reading_alone_is_the_posterior(self, readings):
        mixed, plain = mixed_posterior(readings[:1], 0.9), posterior(*readings[0], 0.9)
        assert [mixed.mean[0], mixed.low[0], mixed.high[0]] == [plain.mean[0], plain.low[0], plain.high[0]]

    def test_of_two_the_estimate_is_the_mean_and_the_interval_reaches_into_both(self, readings):
        mixed = mixed_posterior(readings, 0.9)
        each = [stats.beta(1 + likes, 9 - likes) for likes in (2, 6)]
        assert mixed.mean[0] == pytest.approx(np.mean([one.mean() for one in each]), abs=1e-3)
        low, high = mixed.low[0], mixed.high[0]
        assert np.mean([one.cdf(low) for one in each]) == pytest.approx(0.05, abs=2e-3)
        assert np.mean([one.cdf(high) for one in each]) == pytest.approx(0.95, abs=2e-3)
