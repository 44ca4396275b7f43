"""Student's t interval of a ratio, from the logarithms of a few repeats; standard library only."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

LARGEST_CORRELATION = 0.9
SKEWNESS_WEIGHT = 0.5
ROUNDING = 1e-12  # of logarithms: values that differ by less are equal
HALVINGS = 60  # of the interval (0, π/2): more than a float can tell apart


@dataclass(frozen=True, slots=True, kw_only=True)
class RatioInterval:
    """A geometric mean of ratios, with its confidence interval."""

    ratio: float
    low: float
    high: float


def t_probability(t: float, df: int) -> float:
    """Returns P(abs(T) ≤ t) of Student's t with ``df`` degrees of freedom.

    By the finite series for whole degrees of freedom: Abramowitz and Stegun, Handbook of
    Mathematical Functions, 26.7.3 (odd) and 26.7.4 (even).
    """
    return _probability(math.atan(t / math.sqrt(df)), df)


def _probability(theta: float, df: int) -> float:
    sine, cosine = math.sin(theta), math.cos(theta)
    odd = df % 2
    term, total = (cosine, 0.0) if odd else (1.0, 0.0)
    for n in range(1 + odd, df, 2):  # each term is the one before times n/(n+1) cos²
        total += term
        term *= n / (n + 1) * cosine * cosine
    return 2 / math.pi * (theta + sine * total) if odd else sine * total


@lru_cache(maxsize=64)
def t_quantile(confidence: float, df: int) -> float:
    """Returns the t with P(abs(T) ≤ t) = ``confidence``: the two-sided critical value."""
    low, high = 0.0, math.pi / 2
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        if _probability(middle, df) < confidence:
            low = middle
        else:
            high = middle
    return math.sqrt(df) * math.tan(low)


def widening(values: Sequence[float]) -> float:
    """Returns the factor to widen an interval by if values are correlated or skewed.

    From the effective sample size of a first-order autoregressive series, corrected by twice the
    bias (-1/n) of the lag-1 correlation of n independent values, times a part of the adjusted
    Fisher-Pearson skewness. The resulting error rates are in docs/measurement.md.
    """
    correlation, skewness = dependence(values)
    usable = min(max(correlation + 2 / len(values), 0.0), LARGEST_CORRELATION)
    return math.sqrt((1 + usable) / (1 - usable)) * (1 + SKEWNESS_WEIGHT * abs(skewness))


def dependence(values: Sequence[float]) -> tuple[float, float]:
    """Returns lag-1 correlation and skewness; 0 if values are equal or too few."""
    n, mean = len(values), statistics.fmean(values)
    off = [value - mean for value in values]
    squares = sum(x * x for x in off)
    if squares <= n * ROUNDING**2 or n < 3:
        return 0.0, 0.0
    correlation = sum(x * y for x, y in itertools.pairwise(off)) / squares
    skewness = sum(x**3 for x in off) / n / (squares / n) ** 1.5
    return correlation, skewness * math.sqrt(n * (n - 1)) / (n - 2)


def ratio_interval(
    log_ratios: Sequence[float], confidence: float, *, factor: float = 1.0
) -> RatioInterval:
    """Returns the t interval of the mean of two or more logarithms, as ratios.

    With logarithms a ratio and its reciprocal give reciprocal intervals.

    Args:
        factor: widens the interval.
    """
    n = len(log_ratios)
    mean = statistics.fmean(log_ratios)
    half = factor * t_quantile(confidence, n - 1) * statistics.stdev(log_ratios) / math.sqrt(n)
    return RatioInterval(
        ratio=math.exp(mean), low=math.exp(mean - half), high=math.exp(mean + half)
    )
