"""Compares recall at equal settings, query by query; pure numpy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pytest_annmodal.gate import statistics
from pytest_annmodal.gate.statistics import Estimate

MOST_DEGREES = 2000  # of freedom: with more, Student's t is the normal distribution
# How many of its k neighbours were found for each query; a mean if it was asked several times.
Hits = NDArray[np.int64] | NDArray[np.float64]


def identical(mine: NDArray[np.int64], theirs: NDArray[np.int64]) -> bool:
    """Whether two sides gave the same ids for every query, in any order.

    Args:
        mine, theirs: int64 (n_queries, k).
    """
    return np.array_equal(np.sort(mine, axis=1), np.sort(theirs, axis=1))


def difference(mine: list[Hits], theirs: list[Hits], k: int) -> Estimate:
    """Estimates how much more recall the candidate has, over all possible queries.

    Each query's difference is averaged over the builds. Random builds add to the uncertainty,
    since two builds of the same index differ for all queries at once. The degrees of freedom are
    Satterthwaite's.

    Args:
        mine, theirs: for each build, hits of each query, int64 (n_queries,).
    """
    table = (np.stack(mine) - np.stack(theirs)) / k  # (n_builds, n_queries)
    n_builds, n_queries = table.shape
    by_query, by_build = table.mean(axis=0), table.mean(axis=1)
    of_queries = float(by_query.var(ddof=1)) / n_queries if n_queries > 1 else 0.0
    of_builds = float(by_build.var(ddof=1)) / n_builds if n_builds > 1 else 0.0
    total = of_queries + of_builds
    parts = ((of_queries, n_queries - 1), (of_builds, n_builds - 1))
    weights = sum(part**2 / df for part, df in parts if df > 0)
    df = min(max(int(total**2 / weights), 1), MOST_DEGREES) if weights else 1
    return statistics.of_spread(float(by_query.mean()), total**0.5, df)
