"""Estimates build work that was delayed until the first queries, in seconds.

Time beyond what such queries usually take is added to a submission's build time, in this setting
and all later ones.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pytest_annmodal.scoring import latency

UNUSUAL = 5.0  # times the 95th percentile of the queries
SLOW_BATCH = 2.0  # times what its queries take one by one


def in_warmup(warmup_s: float, n_warmup: int, times_ns: NDArray[np.int64]) -> float:
    """Returns the seconds of a warm-up beyond those of as many queries after it."""
    return max(warmup_s - n_warmup * _usual_s(times_ns), 0.0)


def in_queries(times_ns: NDArray[np.int64]) -> float:
    """Returns the seconds of unusually slow queries beyond the 95th percentile.

    Args:
        times_ns: int64; negative for samples that were left out.
    """
    counted = times_ns[times_ns >= 0]
    if not counted.size:
        return 0.0
    most = np.percentile(counted, 95, method="lower")
    return float((counted[counted > UNUSUAL * most] - most).sum()) / 1e9


def in_batch(batch_s: float, n_queries: int, times_ns: NDArray[np.int64]) -> float:
    """Returns the seconds of a batch beyond twice what its queries take one by one."""
    return max(batch_s - SLOW_BATCH * n_queries * _usual_s(times_ns), 0.0)


def _usual_s(times_ns: NDArray[np.int64]) -> float:
    figures = latency.latency_figures(times_ns[times_ns >= 0])
    # One slow query raises the mean, which would hide a delayed build; p95 does not change.
    return max(figures.p50_s, min(figures.mean_s, figures.p95_s))
