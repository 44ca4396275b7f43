"""Error rates of verdicts for sessions that break the assumptions of Student's t."""

import pytest

from benchmarks import error_rates
from pytest_annmodal.comparison import intervals, verdict

RUNS = 400


@pytest.mark.parametrize(
    ("shape", "most"),
    [
        ("normal", 0.03),
        ("lag-1 correlation 0.3", 0.06),
        ("lag-1 correlation 0.5", 0.1),
        ("exponential", 0.08),
    ],
)
def test_wrong_verdicts_are_rare_where_sessions_depend_on_each_other_or_are_skewed(shape, most):
    """Errors are rare for dependent or skewed sessions, and rarer than with Student's t."""
    plain, wrong = error_rates.rates(shape, RUNS)
    assert wrong <= most
    assert wrong < plain


def test_a_clear_difference_is_found_all_the_same():
    """A difference of three spreads is found for independent sessions."""
    assert error_rates.rates("normal", RUNS, shift=3.0)[1] > 0.95


def test_a_wide_interval_has_its_reason():
    """A wide interval has its reason: correlation or skewness, and the surprise's row."""
    drift = [0.02 * n - 0.08 for n in range(11)]
    found = verdict.judge(drift, [0.0, 0.001] * 5 + [0.0], difference=0.05, max_sessions=11)
    assert found.word == "cannot tell"
    assert "lag-1 correlation is 0.7" in found.why
    assert found.why.endswith("(see surprises: dependent-sessions)")
    assert intervals.dependence([0.1, 0.1, 0.1]) == (0.0, 0.0)
