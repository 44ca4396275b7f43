"""What is computed from ids, distances and times: recall, percentiles, queries per second.

Pure numpy: no files, no clocks, no pytest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RELATIVE_TIE = 1e-6
ANN_BENCHMARKS_EPSILON = 1e-3
CHUNK_IDS = 2**14
SAMPLE_ROWS = 1000
UNCERTAIN = 0.05  # of a sample
NOISY = 0.05  # of the samples, or of the time
LOOKS = 4  # times the shortest look


@dataclass(frozen=True, slots=True, kw_only=True)
class Recall:
    """Three definitions of recall@k, each the mean over all queries (0 to 1)."""

    by_distance: float
    by_ids: float
    ann_benchmarks: float


def recall(
    *,
    ids: NDArray[np.int64],
    found: NDArray[np.float64],
    kth: NDArray[np.float64],
    rounding: NDArray[np.float64] | float,
    neighbors: NDArray[np.int64],
    stored_kth: NDArray[np.float64],
) -> Recall:
    """Score answers three ways.

    Args:
        ids: int64 (n, k), -1 where an answer was short.
        found: float64 (n, k), the distances of ``ids`` recomputed from ``train``; what
            belongs to -1 is ignored.
        kth: float64 (n,), the k-th true neighbour's distance, recomputed the same way.
        rounding: float64 (n,), what rounding alone may make of such a distance, where that is
            more than a small part of it: see :func:`exact.rounding`.
        neighbors: int64 (n, k), the k true neighbours.
        stored_kth: float64 (n,), the k-th distance as the dataset file holds it.

    ``by_distance`` counts what is as near as the k-th true neighbour within a relative 1e-6,
    so that any of several equally near rows is right; it does not depend on the unit of the
    vectors. ``by_ids`` counts the row numbers
    that the file lists. ``ann_benchmarks`` is that project's rule (``plotting/metrics.py``:
    within an absolute 1e-3 of the stored k-th distance), for comparison with published
    figures; with distances near 0.001 or less it counts nearly everything.
    """
    given = ids >= 0
    tolerance = np.maximum(RELATIVE_TIE * np.abs(kth), rounding)
    near = given & (found <= (kth + tolerance)[:, None])
    with np.errstate(over="ignore"):  # files hold float32: a distance is compared as it is kept
        kept = found.astype(np.float32)
    lenient = given & (kept <= (stored_kth + ANN_BENCHMARKS_EPSILON)[:, None])
    return Recall(
        by_distance=float(np.count_nonzero(near) / near.size),
        by_ids=float(_count_same(ids, neighbors) / ids.size),
        ann_benchmarks=float(np.count_nonzero(lenient) / lenient.size),
    )


def _count_same(ids: NDArray[np.int64], neighbors: NDArray[np.int64]) -> int:
    """How many ids are among their own query's neighbours; -1 is none."""
    same = 0
    step = max(1, CHUNK_IDS // ids.shape[1])
    for start in range(0, len(ids), step):
        part = ids[start : start + step]
        found = np.zeros(part.shape, np.bool_)
        # Column by column in the processor's cache: at k = 10 fifty times faster than np.isin.
        for column in neighbors[start : start + step].T:
            found |= part == column[:, None]
        same += int(np.count_nonzero(found & (part >= 0)))
    return same


def offset(train: NDArray[np.floating]) -> float:
    """How far the mean of vectors is from the origin, in root mean square distances from it.

    Of some rows, spread over all; 0 if they are equal.
    """
    sample = np.asarray(train[:: len(train) // SAMPLE_ROWS + 1], dtype=np.float64)
    mean = sample.mean(axis=0)
    spread = np.sqrt(((sample - mean) ** 2).sum(axis=1).mean())
    return float(np.linalg.norm(mean) / spread) if spread else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyFigures:
    """Of one-at-a-time queries, all rounds together; ``qps`` is the count over the sum."""

    qps: float
    mean_s: float
    p50_s: float
    p95_s: float
    p99_s: float


def latency_figures(latencies_ns: NDArray[np.int64]) -> LatencyFigures:
    """Percentiles (linear interpolation, numpy's default) and QPS of latencies in ns."""
    p50, p95, p99 = np.percentile(latencies_ns, (50, 95, 99)) / 1e9
    mean_s = float(latencies_ns.mean()) / 1e9
    return LatencyFigures(
        qps=1 / mean_s if mean_s else float("inf"),
        mean_s=mean_s,
        p50_s=float(p50),
        p95_s=float(p95),
        p99_s=float(p99),
    )


LEFT_OUT = -1  # in place of the time of a sample that says nothing


def uncertain(
    times_ns: NDArray[np.int64], gaps_ns: NDArray[np.int64], ordinary_ns: int | None = None
) -> NDArray[np.bool_]:
    """Which samples may be too long by more than 5 % of themselves.

    Args:
        gaps_ns: by how much each may be; see :class:`~pytest_annmodal.worker.mailbox.Asked`.
        ordinary_ns: what a look takes, which no sample of a very quick query is better than.
    """
    if ordinary_ns is None:
        ordinary_ns = ordinary_look_ns(gaps_ns)
    return np.asarray(gaps_ns > np.maximum(UNCERTAIN * times_ns, ordinary_ns))


def ordinary_look_ns(gaps_ns: NDArray[np.int64]) -> int:
    """Longer than this is no look, but that there was none: a few times the shortest."""
    return LOOKS * int(gaps_ns.min()) if gaps_ns.size else 0


def settled(
    times_ns: NDArray[np.int64], gaps_ns: NDArray[np.int64], unsure: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """The times with LEFT_OUT where a sample is too uncertain to count.

    One that is known to have been slow stays, at the least that it can have taken: a long query
    is met by an interruption more often than a short one, and must not vanish by it.
    """
    if not unsure.any() or unsure.all():
        return times_ns
    least_ns = times_ns - gaps_ns
    slow = least_ns > np.median(times_ns[~unsure])
    return np.where(unsure, np.where(slow, least_ns, LEFT_OUT), times_ns)


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
    """Say when somebody else was using the machine while queries were timed.

    Args:
        parent_waited: share of the time in which the clock's process waited for its core.
        disturbed: what was timed while others ran on the worker's core.
    """
    notes = []
    if uncertain_share is not None and uncertain_share >= NOISY:
        notes.append(
            f"noisy: {uncertain_share:.1%} of the samples were uncertain by more than "
            f"{UNCERTAIN:.0%}, since the clock's process lost its core meanwhile"
        )
    if disturbed:
        notes.append(f"noisy: others ran on its core while it was timed ({', '.join(disturbed)})")
    if parent_waited >= NOISY:
        notes.append(
            f"noisy: the clock's process waited for its core {parent_waited:.0%} of the time "
            f"({parent_switches} involuntary context switches)"
        )
    if involuntary_switches > max(5, 20 * timed_s):
        notes.append(
            f"noisy: {involuntary_switches} involuntary context switches "
            f"in {timed_s:.2g} s of timed queries"
        )
    if load_1min > cores + 0.5:
        notes.append(f"noisy: load average {load_1min:.1f} on {cores} cores before the job")
    return notes
