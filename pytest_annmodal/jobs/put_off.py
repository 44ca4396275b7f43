"""What of a build was put off until it was asked: seconds that no such query takes.

A submission that builds while it is asked pays for it here: in its build, and in all settings
that are asked after that.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pytest_annmodal.scoring import latency

UNUSUAL = 5.0  # times what all but a twentieth of the queries take at most
SLOW_BATCH = 2.0  # times what its queries take one at a time


def in_warmup(warmup_s: float, n_warmup: int, times_ns: NDArray[np.int64]) -> float:
    """Seconds that a warm-up took longer than as many of the queries after it."""
    return max(warmup_s - n_warmup * _usual_s(times_ns), 0.0)


def in_queries(times_ns: NDArray[np.int64]) -> float:
    """Seconds that a few timed queries took beyond what nearly all take at most.

    Args:
        times_ns: negative for samples that were left out.
    """
    counted = times_ns[times_ns >= 0]
    if not counted.size:
        return 0.0
    most = np.percentile(counted, 95, method="lower")
    return float((counted[counted > UNUSUAL * most] - most).sum()) / 1e9


def in_batch(batch_s: float, n_queries: int, times_ns: NDArray[np.int64]) -> float:
    """Seconds that a batch took beyond what its queries take one at a time, and as much again."""
    return max(batch_s - SLOW_BATCH * n_queries * _usual_s(times_ns), 0.0)


def _usual_s(times_ns: NDArray[np.int64]) -> float:
    figures = latency.latency_figures(times_ns[times_ns >= 0])
    # One slow query raises the mean, and would hide a build; it leaves p95 alone.
    return max(figures.p50_s, min(figures.mean_s, figures.p95_s))
