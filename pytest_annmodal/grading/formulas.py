"""Score formulas other than points for thresholds."""

from __future__ import annotations

import math

from pytest_annmodal.grading.rules import Score
from pytest_annmodal.outcome import Measurement


def recall_qps_memory(measurement: Measurement, score: Score) -> float:
    """Returns recall · log10(QPS) ÷ log10(memory in MB), or 0 below the least recall.

    Memory is the measured ``index_bytes``, in units of 1,000,000 bytes, and counts as at least
    ``memory_floor_mb`` (10 by default): an index of 1 MB would divide by zero, one of 1.01 MB
    would beat all others, and one that only keeps the given training vectors measures 0.
    One query per second or less is worth 0.
    """
    if not measurement.recall >= score.min_recall:  # NaN too
        return 0.0
    if not (math.isfinite(measurement.qps) and measurement.qps > 1):
        return 0.0
    return (
        measurement.recall * math.log10(measurement.qps) / math.log10(memory_mb(measurement, score))
    )


def memory_mb(measurement: Measurement, score: Score) -> float:
    """Returns the memory that counts, at least the floor."""
    return max(measurement.index_bytes / 1e6, score.memory_floor_mb)


def points_of(value: float, score: Score) -> float:
    """Returns the formula's value, or its points if the rules give a ``full_at``."""
    if score.full_at is None or score.points is None:
        return value
    return score.points * min(value / score.full_at, 1.0)


def words(measurement: Measurement, score: Score, value: float) -> str:
    """Explains the value."""
    if not measurement.recall >= score.min_recall:
        return (
            f"recall {measurement.recall:.4g} is below {score.min_recall:g} "
            f"(missed by {score.min_recall - measurement.recall:.3g}), so the value is 0"
        )
    measured = measurement.index_bytes / 1e6
    counted = memory_mb(measurement, score)
    floor = (
        f" (measured {measured:.3g} MB, counted as at least {counted:g})"
        if counted > measured
        else ""
    )
    return (
        f"recall {measurement.recall:.4g} · log10({measurement.qps:,.0f} queries/s) ÷ "
        f"log10({counted:.4g} MB) = {value:.4g}{floor}"
    )
