"""What is computed from ids, distances and times: recall, percentiles, queries per second.

Pure numpy: no files, no clocks, no pytest.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pytest_annmodal.scoring.latency import UNCERTAIN

RELATIVE_TIE = 1e-6
ANN_BENCHMARKS_EPSILON = 1e-3
CHUNK_IDS = 2**14
SAMPLE_ROWS = 1000
LOOKS = 4  # times the shortest look


@dataclass(frozen=True, slots=True, kw_only=True)
class Recall:
    """Three definitions of recall@k, each the mean over all queries (0 to 1).

    Attributes:
        hits: int64 (n_queries,), what ``by_distance`` counted of each query, in all rounds.
    """

    by_distance: float
    by_ids: float
    ann_benchmarks: float
    hits: NDArray[np.int64] = field(
        default_factory=lambda: np.zeros(0, np.int64), repr=False, compare=False
    )


def recall(
    *,
    ids: NDArray[np.int64],
    found: NDArray[np.float64],
    found_there: NDArray[np.float64] | None = None,
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
        found_there: the same as ann-benchmarks computes them, where that differs.
        kth: float64 (n,), the k-th true neighbour's distance, recomputed the same way.
        rounding: float64 (n,), what rounding alone may make of such a distance, where that is
            more than a small part of it: see :func:`exact.rounding`.
        neighbors: int64 (n, k), the k true neighbours.
        stored_kth: float64 (n,), the k-th distance as the dataset file holds it, in the unit of
            ``found_there``.

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
        kept = (found if found_there is None else found_there).astype(np.float32)
    lenient = given & (kept <= (stored_kth + ANN_BENCHMARKS_EPSILON)[:, None])
    return Recall(
        by_distance=float(np.count_nonzero(near) / near.size),
        by_ids=float(_count_same(ids, neighbors) / ids.size),
        ann_benchmarks=float(np.count_nonzero(lenient) / lenient.size),
        hits=np.count_nonzero(near, axis=1),
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


LEFT_OUT = -1  # in place of the time of a sample that says nothing


def uncertain(
    times_ns: NDArray[np.int64], gaps_ns: NDArray[np.int64], ordinary_ns: int | None = None
) -> NDArray[np.bool_]:
    """Which samples may be too long by more than 5 % of themselves.

    Args:
        gaps_ns: by how much each may be; see :class:`~pytest_annmodal.channel.mailbox.Asked`.
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
