"""Student's t interval of a ratio, from the logarithms of a few repeats; standard library only."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

HALVINGS = 60  # of the interval (0, π/2): more than a float can tell apart


@dataclass(frozen=True, slots=True, kw_only=True)
class RatioInterval:
    """A geometric mean of ratios, and between what the true one lies."""

    ratio: float
    low: float
    high: float


def t_probability(t: float, df: int) -> float:
    """P(abs(T) ≤ t) of Student's t with ``df`` degrees of freedom.

    The finite series for whole degrees of freedom: Abramowitz and Stegun, Handbook of
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


def t_quantile(confidence: float, df: int) -> float:
    """The t with P(abs(T) ≤ t) = ``confidence``: the two-sided critical value."""
    low, high = 0.0, math.pi / 2
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        if _probability(middle, df) < confidence:
            low = middle
        else:
            high = middle
    return math.sqrt(df) * math.tan(low)


def ratio_interval(log_ratios: Sequence[float], confidence: float) -> RatioInterval:
    """The t interval of the mean of the logarithms, as ratios; two values or more.

    Logarithms, since a ratio and its reciprocal must give the same interval turned over.
    """
    n = len(log_ratios)
    mean = statistics.fmean(log_ratios)
    half = t_quantile(confidence, n - 1) * statistics.stdev(log_ratios) / math.sqrt(n)
    return RatioInterval(
        ratio=math.exp(mean), low=math.exp(mean - half), high=math.exp(mean + half)
    )
