"""How often a gate's verdict is wrong, by a few seeded runs; and what it is made of."""

from __future__ import annotations

import math

import numpy as np
import pytest
import simulate

from pytest_annmodal.comparison.intervals import t_quantile
from pytest_annmodal.finding import BETTER, CANNOT_TELL, NO_CHANGE, WORSE
from pytest_annmodal.gate import recalls, statistics
from pytest_annmodal.gate.statistics import Estimate

RUNS = 300


@pytest.mark.parametrize("shape", simulate.SHAPES)
def test_no_shape_of_noise_makes_verdicts_wrong(shape):
    """Neither where nothing has changed, nor where the candidate is 8 % slower."""
    runs = simulate.drawn(shape, RUNS)
    same, slower = simulate.shares(runs), simulate.shares(runs, 0.08)
    assert same[WORSE] + same[BETTER] <= 0.01
    assert slower[BETTER] + slower[NO_CHANGE] <= 0.01
    assert slower[WORSE] >= 0.85


@pytest.mark.parametrize(
    "shape", ["normal", "t with 3 degrees of freedom", "one in ten off by 20 %, either way"]
)
def test_an_interval_rarely_misses_that_nothing_has_changed(shape):
    """One run in a hundred, three looks together."""
    runs = simulate.drawn(shape, 800)
    assert sum(map(simulate.excludes_zero, runs)) / len(runs) <= 0.013


def test_the_first_look_is_students_t_at_a_third_of_the_error():
    values = [0.02, 0.01, 0.03, -0.01, 0.0]
    found = statistics.estimate(values, 3)
    assert found.mean == pytest.approx(np.mean(values))
    half = t_quantile(1 - 0.01 / 3, 4) * np.std(values, ddof=1) / math.sqrt(5)
    assert found.half == pytest.approx(half)


def test_a_later_look_leaves_out_one_session_that_is_far_off():
    """It is as if that session had been no farther than the next one."""
    values = [-0.041, -0.039, -0.04, -0.042, -0.038, -0.04, -0.041]
    near = statistics.estimate([*values, -0.038], 3)
    far = statistics.estimate([*values, 0.3], 3)
    assert far.mean == pytest.approx(near.mean)
    assert statistics.word(far, bound=0.03) == WORSE


def test_an_interval_of_equal_values_is_a_point():
    assert statistics.estimate([0.0] * 5, 3) == Estimate(mean=0.0, half=0.0, p=1.0)
    assert statistics.estimate([-0.05] * 8, 3).p == 0


@pytest.mark.parametrize(
    ("mean", "half", "word"),
    [
        (-0.05, 0.02, WORSE),
        (-0.05, 0.06, CANNOT_TELL),  # it may be no change
        (-0.02, 0.005, NO_CHANGE),  # a change, and a small one
        (-0.025, 0.01, CANNOT_TELL),  # small, as far as one knows
        (0.05, 0.02, BETTER),
        (0.0, 0.01, NO_CHANGE),
        (0.0, 0.04, CANNOT_TELL),
    ],
)
def test_the_word_for_an_interval(mean, half, word):
    assert statistics.word(Estimate(mean=mean, half=half, p=0.0), bound=0.03) == word


def test_evidence_that_is_too_weak_among_many_makes_no_verdict():
    found = Estimate(mean=-0.05, half=0.02, p=0.004)
    assert statistics.word(found, bound=0.03, confirmed=False) == CANNOT_TELL


def test_holm_multiplies_the_least_by_all_and_never_goes_down():
    assert statistics.holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert statistics.holm([0.5, 0.9]) == [1.0, 1.0]
    assert statistics.holm([]) == []


def test_equal_ids_in_another_order_are_the_same_answer():
    mine = np.array([[1, 2, 3], [4, 5, 6]])
    assert recalls.identical(mine, mine[:, ::-1])
    assert not recalls.identical(mine, np.array([[1, 2, 3], [4, 5, 7]]))


def test_a_recall_that_is_a_hundredth_lower_is_found_with_ten_thousand_queries():
    rng = np.random.default_rng(7)
    theirs = rng.binomial(10, 0.95, 10_000)
    mine = np.maximum(theirs - (rng.random(10_000) < 0.1), 0)
    found = recalls.difference([mine], [theirs], 10)
    assert found.mean == pytest.approx(-0.01, abs=0.001)
    assert statistics.word(found, bound=0.002, near=0.005) == WORSE


def test_builds_that_differ_for_all_queries_at_once_make_the_interval_wider():
    """Else one lucky build of three would be a verdict."""
    rng = np.random.default_rng(8)
    theirs = [rng.binomial(10, 0.95, 10_000) for _ in range(3)]
    mine = [rng.binomial(10, recall, 10_000) for recall in (0.93, 0.95, 0.955)]
    found = recalls.difference(mine, theirs, 10)
    assert found.half > 5 * recalls.difference(mine[:1], theirs[:1], 10).half
    assert statistics.word(found, bound=0.002, near=0.005) == CANNOT_TELL
