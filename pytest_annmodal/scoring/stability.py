"""Tells whether a p99 is stable enough for a threshold, since few samples determine it."""

from __future__ import annotations

import numpy as np

from pytest_annmodal import surprises
from pytest_annmodal.figures import duration
from pytest_annmodal.outcome import Measurement

ENOUGH = 10_000
FAR = 5  # times the median: a straggler
MOST_STRAGGLERS = 0.003


def unstable_p99(measurement: Measurement) -> str:
    """Returns why the p99 may differ in the next run, with its spread; empty if it is stable."""
    times_ns = np.asarray(measurement.latencies_ns)
    if not times_ns.size:  # measured in an earlier session, which keeps no latencies
        return ""
    stragglers = float((times_ns > FAR * np.median(times_ns)).mean())
    reasons = []
    if len(times_ns) < ENOUGH:
        reasons.append(f"it is from {len(times_ns):,} latencies, fewer than {ENOUGH:,}")
    if stragglers > MOST_STRAGGLERS:
        reasons.append(f"{stragglers:.1%} of them are above {FAR} times the median")
    if not reasons:
        return ""
    rounds = np.array_split(times_ns, measurement.rounds)
    each_s = [float(np.percentile(part, 99)) / 1e9 for part in rounds if part.size]
    spread = f"{duration(min(each_s))} to {duration(max(each_s))} in single rounds"
    return surprises.noted("p99-unstable", f"p99 is unstable: {' and '.join(reasons)}; {spread}")


def doubt(threshold: str, measurement: Measurement) -> str:
    """Returns the note for a threshold of that name, reached or missed; mostly empty."""
    return unstable_p99(measurement) if threshold == "max_p99_ms" else ""
