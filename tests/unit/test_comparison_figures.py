"""The arithmetic of a comparison, without processes."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_annmodal.comparison import intervals, schedule, verdict
from pytest_annmodal.scoring import operating_points
from pytest_annmodal.scoring.operating_points import Level


@pytest.mark.parametrize(
    ("confidence", "df", "t"),
    [  # tables of Student's t, two-sided
        (0.95, 1, 12.706),
        (0.95, 4, 2.776),
        (0.95, 7, 2.365),
        (0.99, 10, 3.169),
        (1 - 0.05 / 3, 4, 3.961),
    ],
)
def test_t_quantiles_are_those_of_the_tables(confidence, df, t):
    assert intervals.t_quantile(confidence, df) == pytest.approx(t, abs=6e-4)
    assert intervals.t_probability(t, df) == pytest.approx(confidence, abs=1e-4)


def test_intervals_hold_the_truth_as_often_as_they_say():
    """Of 95 % intervals from five sessions with 3 % noise, 95 of 100 hold the true ratio."""
    rng = np.random.default_rng(7)
    held = 0
    for _ in range(2000):
        found = intervals.ratio_interval(list(math.log(1.1) + 0.03 * rng.standard_normal(5)), 0.95)
        held += found.low <= 1.1 <= found.high
    assert 0.935 <= held / 2000 <= 0.965


def test_turned_over_an_interval_is_that_of_the_reciprocal():
    logs = [0.1, 0.13, 0.08, 0.11, 0.12]
    one = intervals.ratio_interval(logs, 0.95)
    other = intervals.ratio_interval([-value for value in logs], 0.95)
    assert (other.low, other.high) == pytest.approx((1 / one.high, 1 / one.low))


def judged(center, *, spread=0.004, control=0.0, control_spread=0.004, n=5, most=11):
    pattern = np.resize([-1.0, 1.0, 0.5, -0.5, 0.0], n)
    return verdict.judge(
        list(center + spread * pattern),
        list(control + control_spread * pattern),
        difference=0.05,
        max_sessions=most,
    )


@pytest.mark.parametrize(
    ("center", "spread", "word"),
    [
        (math.log(1.4), 0.004, "faster"),
        (math.log(0.7), 0.004, "slower"),
        (0.01, 0.004, "no difference"),
        (0.03, 0.1, "cannot tell"),
    ],
)
def test_verdicts(center, spread, word):
    """The verdict follows from the interval's position."""
    found = judged(center, spread=spread)
    assert found.word == word
    assert found.interval.low < math.exp(center) < found.interval.high


def test_cannot_tell_has_its_bound():
    assert "at most" in judged(0.03, spread=0.1).why


def test_a_control_that_shows_a_difference_forbids_every_verdict():
    """If baseline and its copy differ, there is no verdict."""
    found = judged(math.log(1.4), control=0.08)
    assert (found.word, found.control_ok) == ("cannot tell", False)
    assert "a copy of itself" in found.why


def test_looking_more_often_asks_for_more_confidence():
    assert [verdict.looks(most) for most in (1, 5, 8, 11)] == [(1,), (5,), (5, 8), (5, 8, 11)]
    assert verdict.confidence(11) > verdict.confidence(8) > verdict.confidence(5) == 0.95


def test_equal_code_is_rarely_called_different_however_often_one_looks():
    """With three looks the error rate of the whole series is 5 %, not that of each look."""
    rng = np.random.default_rng(3)
    wrong = 0
    for _ in range(1000):
        ratios, controls = 0.02 * rng.standard_normal((2, 11))
        words = [
            verdict.judge(ratios[:n], controls[:n], difference=1e-6, max_sessions=11).word
            for n in verdict.looks(11)
        ]
        wrong += any(word in {"faster", "slower"} for word in words)
    assert 10 <= wrong <= 50


SOME_LEVELS = st.lists(
    st.tuples(st.floats(0.01, 0.999), st.floats(1.0, 1e6)), min_size=2, max_size=8
).map(lambda pairs: [Level(recall=r, qps=q, index=i) for i, (r, q) in enumerate(pairs)])


@given(SOME_LEVELS, st.floats(0.01, 0.999))
def test_a_speed_at_a_recall_lies_between_its_neighbours(found, recall):
    """Speed at a recall is interpolated between its neighbours, and never extrapolated."""
    bracket = operating_points.bracket(found, recall, n_answers=1000)
    recalls = [level.recall for level in operating_points.frontier(found)]
    if bracket is None:
        assert recall < min(recalls) or recall > max(recalls)
        return
    assert bracket.lower.recall <= recall <= bracket.upper.recall
    slow, fast = sorted((bracket.lower.qps, bracket.upper.qps))
    assert slow * (1 - 1e-9) <= bracket.qps <= fast * (1 + 1e-9)


def test_interpolation_is_linear_in_the_logarithm_over_logits():
    """Half-way between two recalls' logits lies the geometric mean of their speeds."""
    pair = [Level(recall=0.8, qps=4000.0), Level(recall=0.98, qps=1000.0)]
    middle = (math.log(0.8 / 0.2) + math.log(0.98 / 0.02)) / 2
    recall = 1 / (1 + math.exp(-middle))
    assert operating_points.qps_at(pair, recall, n_answers=10**6) == pytest.approx(2000)


def test_opponents_are_around_the_recall_or_the_nearest():
    found = [
        Level(recall=r, qps=q, index=i) for i, (r, q) in enumerate([(0.8, 9), (0.9, 5), (1, 1)])
    ]
    assert [level.index for level in operating_points.opponents(found, 0.85, n_answers=100)] == [
        0,
        1,
    ]
    assert [level.index for level in operating_points.opponents(found, 0.5, n_answers=100)] == [0]
    assert [level.index for level in operating_points.opponents(found, 0.9, n_answers=100)] == [1]


@pytest.mark.parametrize("once", [True, False])
def test_each_is_asked_everything_equally_often_and_in_both_orders(once):
    """Both sides get every query equally often in both orders, so a drift affects both."""
    plan = schedule.plan(400, once=once, block_s=0.001, budget_s=60)
    turns = list(plan.turns())
    assert plan.repeats == (1 if once else schedule.REPEATS)
    for entrant in range(3):
        asked = [row for _, rows, who in turns if who == entrant for row in range(400)[rows]]
        assert sorted(asked) == sorted(list(range(plan.n_queries)) * plan.repeats)
    place = {who: [n for n, turn in enumerate(turns) if turn[2] == who] for who in range(3)}
    assert sum(place[0]) == sum(place[1])


@pytest.mark.parametrize("once", [True, False])
def test_all_wait_equally_long_for_their_turn(once):
    """Waiting times are equal, since an index asked just before is in the caches (6 % faster)."""
    turns = list(schedule.plan(400, once=once, block_s=0.001, budget_s=60).turns())
    gaps = {who: np.diff([n for n, turn in enumerate(turns) if turn[2] == who]) for who in range(3)}
    assert min(found.min() for found in gaps.values()) > 1
    assert all((found == 3).mean() > 0.8 for found in gaps.values())
    before = [(turns[n - 1][2], turn[2]) for n, turn in enumerate(turns) if n]
    shares = [before.count((one, other)) for one in range(3) for other in range(3) if one != other]
    assert max(shares) - min(shares) <= plan_flips(once)


def test_in_three_repeats_each_query_is_asked_first_second_and_third_of_each():
    """Each side asks each query first, second and third: the last one is 1 % faster."""
    plan = schedule.Schedule(n_blocks=4, repeats=3)
    turns = list(plan.turns())
    for number in range(plan.n_blocks):
        rows = slice(number * plan.block, (number + 1) * plan.block)
        orders = np.array([who for _, asked, who in turns if asked == rows]).reshape(3, 3)
        assert all(sorted(places) == [0, 1, 2] for places in orders.T)


def plan_flips(once):
    """How often the direction of a plan changes."""
    return 1 if once else schedule.REPEATS


def test_all_are_built_first_second_and_last_equally_often():
    """Build order is balanced, since the last build is faster."""
    orders = [schedule.build_order(session) for session in range(6)]
    assert len({tuple(order) for order in orders}) == 6
    assert orders[0] == schedule.build_order(6)
    for n, most in ((5, 1), (6, 0), (8, 2), (11, 1)):
        places = np.array([np.argsort(schedule.build_order(session)) for session in range(n)])
        candidate, baseline, _ = places.sum(axis=0)
        assert abs(candidate - baseline) <= most


def test_less_is_asked_where_time_is_short():
    assert schedule.plan(500, once=True, block_s=5.0, budget_s=20).n_blocks == 4


@pytest.mark.parametrize("once", [True, False])
def test_a_ratio_is_blind_to_what_interrupts_a_few_queries(once):
    """Spikes in a few queries do not change the ratio."""
    plan = schedule.plan(200, once=once, block_s=0.001, budget_s=60)
    shape = (plan.repeats, plan.n_queries)
    theirs = np.full(shape, 1000, np.int64)
    mine = 2 * theirs
    theirs[0, 3] = mine[-1, 50] = 10**7
    assert math.exp(schedule.log_ratio(mine, theirs, plan)) == pytest.approx(0.5)
    assert schedule.qps(mine, plan) == pytest.approx(5e5)
