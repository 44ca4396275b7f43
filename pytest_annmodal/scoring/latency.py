"""Figures of latency, and notes on what disturbed them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pytest_annmodal.figures import counted

UNCERTAIN = 0.05  # of a sample
NOISY = 0.05  # of the samples, or of the time
SWITCH, SWITCHES = "involuntary context switch", "involuntary context switches"


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyFigures:
    """Figures of single queries over all rounds; ``qps`` is their number over the sum of times."""

    qps: float
    mean_s: float
    p50_s: float
    p95_s: float
    p99_s: float


def latency_figures(latencies_ns: NDArray[np.int64]) -> LatencyFigures:
    """Returns percentiles (linear interpolation) and QPS of latencies in ns."""
    p50, p95, p99 = np.percentile(latencies_ns, (50, 95, 99)) / 1e9
    mean_s = float(latencies_ns.mean()) / 1e9
    return LatencyFigures(
        qps=1 / mean_s if mean_s else float("inf"),
        mean_s=mean_s,
        p50_s=float(p50),
        p95_s=float(p95),
        p99_s=float(p99),
    )


def noise_notes(
    *,
    involuntary_switches: int,
    timed_s: float,
    load_1min: float,
    cores: int,
    parent_switches: int = 0,
    parent_waited: float = 0.0,
    uncertain_share: float | None = None,
    disturbed: Sequence[str] = (),
) -> list[str]:
    """Returns notes on signs that other processes used the machine while queries were timed.

    Args:
        parent_waited: share of the time in which the timing process waited for its core.
        disturbed: phases in which other processes ran on the worker's core.
    """
    notes = []
    if uncertain_share is not None and uncertain_share >= NOISY:
        notes.append(
            f"noisy: {uncertain_share:.1%} of the samples were uncertain by more than "
            f"{UNCERTAIN:.0%}, because the timing process lost its core"
        )
    if disturbed:
        notes.append(
            f"noisy: other processes ran on its core while it was timed ({', '.join(disturbed)})"
        )
    if parent_waited >= NOISY:
        notes.append(
            f"noisy: the timing process waited for its core {parent_waited:.0%} of the time "
            f"({counted(parent_switches, SWITCH, SWITCHES)})"
        )
    if involuntary_switches > max(5, 20 * timed_s):
        notes.append(
            f"noisy: {involuntary_switches} {SWITCHES} in {timed_s:.2g} s of timed queries"
        )
    if load_1min > cores + 0.5:
        notes.append(f"noisy: load average {load_1min:.1f} on {cores} cores before the job")
    return notes
