"""The times at which the queries of an open loop are due."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pytest_annmodal.levels import Arrivals

MOST_QUERIES = 1_000_000  # of a level: their times and answers are kept in memory
MOST_IDS = 50_000_000  # likewise, in all answers together


def due_ns(
    rate_qps: float, seconds: float, *, arrivals: Arrivals, seed: int, k: int = 10
) -> NDArray[np.int64]:
    """Returns times in ns from the start, int64 (n,), rising, for at least one query.

    Poisson arrivals have independent exponential gaps, uniform ones equal gaps. A level that
    would have more than :data:`MOST_QUERIES` is shortened.
    """
    n = round(rate_qps * seconds)
    n = max(1, min(n, MOST_QUERIES, MOST_IDS // k))
    if arrivals == "uniform":
        gaps_s = np.full(n, 1 / rate_qps)
        gaps_s[0] = 0.0
    else:
        gaps_s = np.random.default_rng(seed).exponential(1 / rate_qps, n)
    return np.cumsum(gaps_s * 1e9).astype(np.int64)
