"""Intervals from a few sessions' values, and verdicts from intervals; standard library only.

The first look, after five sessions, uses Student's t. Later looks leave out the lowest and highest
sessions (a trimmed mean, with Yuen's interval: Biometrika 61, 1974). On a shared machine one
session in ten may be far off, and with Student's t a single one would hide a difference for good.
The resulting error rates are in docs/regressions.md.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from pytest_annmodal.comparison.intervals import t_probability, t_quantile
from pytest_annmodal.finding import BETTER, CANNOT_TELL, NO_CHANGE, WORSE, Word

LOOKS = (5, 8, 11)  # numbers of sessions after which the verdict is computed
ERROR = 0.01  # of all looks together
TRIMMED = {5: 0, 8: 1, 11: 2}  # values left out at each end
# With so few values a trimmed mean's interval is slightly too narrow.
TRIMMED_FACTOR = 1.1
LARGEST_CORRELATION = 0.9
EQUAL = 1e-12  # values that differ by less are the same


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A mean, half the width of its interval, and its p-value.

    Attributes:
        p: two-sided, for all looks together.
    """

    mean: float
    half: float
    p: float

    @property
    def low(self) -> float:
        return self.mean - self.half

    @property
    def high(self) -> float:
        return self.mean + self.half


def looks(max_sessions: int) -> tuple[int, ...]:
    """Returns the numbers of sessions to look after."""
    return tuple(n for n in LOOKS if n <= max_sessions)


def estimate(values: Sequence[float], n_looks: int) -> Estimate:
    """Returns the interval of the mean of five or more sessions' values.

    Args:
        n_looks: number of looks that the error is split over (Bonferroni).
    """
    cut = TRIMMED.get(len(values), 0)
    ordered = sorted(values)
    kept = ordered[cut : len(ordered) - cut]
    mean, n_kept = math.fsum(kept) / len(kept), len(kept)
    pulled_in = [*[kept[0]] * cut, *kept, *[kept[-1]] * cut]  # winsorised, for the spread
    middle = math.fsum(pulled_in) / len(pulled_in)
    squares = math.fsum((value - middle) ** 2 for value in pulled_in)
    spread = math.sqrt(squares / (n_kept * (n_kept - 1)))
    spread *= _widening(values) * (TRIMMED_FACTOR if cut else 1.0)
    return of_spread(mean, spread, n_kept - 1, n_looks)


def of_spread(mean: float, spread: float, df: int, n_looks: int = 1) -> Estimate:
    """Returns the interval of a mean with this standard error and these degrees of freedom."""
    if spread < EQUAL:
        return Estimate(mean=mean, half=0.0, p=0.0 if abs(mean) > EQUAL else 1.0)
    p = 1 - t_probability(abs(mean) / spread, df)
    half = t_quantile(1 - ERROR / n_looks, df) * spread
    return Estimate(mean=mean, half=half, p=min(max(p, 0.0) * n_looks, 1.0))


def _widening(values: Sequence[float]) -> float:
    """Returns the factor to widen an interval by if successive sessions are correlated.

    From their lag-1 correlation, by the effective sample size of an autoregressive series.
    """
    mean = math.fsum(values) / len(values)
    off = [value - mean for value in values]
    squares = sum(x * x for x in off)
    if squares < EQUAL**2:
        return 1.0
    correlation = sum(x * y for x, y in itertools.pairwise(off)) / squares
    usable = min(max(correlation, 0.0), LARGEST_CORRELATION)
    return math.sqrt((1 + usable) / (1 - usable))


def word(
    found: Estimate, *, bound: float, near: float | None = None, confirmed: bool = True
) -> Word:
    """Returns the verdict on a gain (above 0 the candidate is better).

    Args:
        bound: the least loss that counts.
        near: a smaller change counts as none; by default the bound.
        confirmed: whether p is small enough among all tests.
    """
    if confirmed and found.high < 0 and found.mean <= -bound:
        return WORSE
    if confirmed and found.low > 0 and found.mean >= bound:
        return BETTER
    near = bound if near is None else near
    return NO_CHANGE if -near < found.low and found.high < near else CANNOT_TELL


def holm(ps: Sequence[float]) -> list[float]:
    """Returns the p-values adjusted for multiple tests, in their order (Holm 1979)."""
    adjusted, least = [1.0] * len(ps), 0.0
    for rank, index in enumerate(sorted(range(len(ps)), key=lambda i: ps[i])):
        least = max(least, min((len(ps) - rank) * ps[index], 1.0))
        adjusted[index] = least
    return adjusted
