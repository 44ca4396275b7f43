"""Recall from ids and distances, and which timed samples count; pure numpy."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pytest_annmodal.scoring.latency import UNCERTAIN

RELATIVE_TIE = 1e-6
ANN_BENCHMARKS_EPSILON = 1e-3
LEAST_TABLE, TABLE_LOAD = 2**12, 32  # entries of a query: at least, and for each neighbour
TABLE_ENTRIES = 2**18  # of all queries at once: fits into a core's cache
SAMPLE_ROWS = 1000
LOOKS = 4  # times the shortest gap between two looks


@dataclass(frozen=True, slots=True, kw_only=True)
class Recall:
    """Three definitions of recall@k, each the mean over all queries (0 to 1).

    Attributes:
        hits: int64 (n_queries,), hits of each query by ``by_distance``, in all rounds.
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
    listed: NDArray[np.bool_],
    stored_kth: NDArray[np.float64],
) -> Recall:
    """Returns recall by three definitions.

    ``by_distance`` counts ids that are as near as the k-th true neighbour within a relative
    1e-6. So any of several equally near rows is right, and the unit of the vectors does not
    matter. ``by_ids`` counts the row numbers that the file lists. ``ann_benchmarks`` is that
    project's rule (``plotting/metrics.py``: within an absolute 1e-3 of the stored k-th distance),
    for comparison with published figures; with distances near 0.001 or less it counts nearly
    every id.

    Args:
        ids: int64 (n, k), -1 where an answer was short.
        found: float64 (n, k), the distances of ``ids`` recomputed from ``train``; ignored for -1.
        found_there: the same as ann-benchmarks computes them, if different.
        kth: float64 (n,), the k-th true neighbour's distance, recomputed in the same way.
        rounding: float64 (n,), the possible rounding error of such a distance, if that is more
            than a small part of it: see :func:`exact.rounding`.
        listed: bool (n, k), which of ``ids`` are among the k true neighbours.
        stored_kth: float64 (n,), the k-th distance in the dataset file, in the unit of
            ``found_there``.
    """
    given = ids >= 0
    tolerance = np.maximum(RELATIVE_TIE * np.abs(kth), rounding)
    near = given & (found <= (kth + tolerance)[:, None])
    with np.errstate(over="ignore"):  # files hold float32, so distances are compared as float32
        kept = (found if found_there is None else found_there).astype(np.float32)
    lenient = given & (kept <= (stored_kth + ANN_BENCHMARKS_EPSILON)[:, None])
    return Recall(
        by_distance=float(np.count_nonzero(near) / near.size),
        by_ids=float(np.count_nonzero(listed) / listed.size),
        ann_benchmarks=float(np.count_nonzero(lenient) / lenient.size),
        hits=np.count_nonzero(near, axis=1),
    )


def places(ids: NDArray[np.int64], neighbors: NDArray[np.int64]) -> NDArray[np.int64]:
    """Returns each id's column among its query's neighbours, int64 (n, k); -1 for not among them.

    Uses a table of columns by an id's last bits, for many queries at once. Each entry is compared
    with the id, so the table need not be cleared; neighbours that share an entry are compared one
    by one.
    """
    k = neighbors.shape[1]
    size = max(LEAST_TABLE, 1 << (TABLE_LOAD * k).bit_length())
    n_rows = max(1, TABLE_ENTRIES // size)
    table = np.zeros(n_rows * size, np.int32)
    found = np.empty(ids.shape, np.int64)
    for start in range(0, len(ids), n_rows):
        part, true = ids[start : start + n_rows], neighbors[start : start + n_rows]
        rows = np.arange(len(part))[:, None]
        at = rows * size + (true & (size - 1))
        table[at] = np.arange(k, dtype=np.int32)
        columns = table[rows * size + (part & (size - 1))].astype(np.int64)
        columns[(true.reshape(-1)[rows * k + columns] != part) | (part < 0)] = -1
        row, column = np.nonzero(table[at] != np.arange(k))
        asked = part[row]
        which, where = np.nonzero((asked == true[row, column][:, None]) & (asked >= 0))
        columns[row[which], where] = column[which]
        found[start : start + n_rows] = columns
    return found


def offset(train: NDArray[np.floating]) -> float:
    """Returns the mean's distance from the origin over the rows' RMS distance from the mean.

    From a sample of rows, spread over all; 0 if they are equal.
    """
    sample = np.asarray(train[:: len(train) // SAMPLE_ROWS + 1], dtype=np.float64)
    mean = sample.mean(axis=0)
    spread = np.sqrt(((sample - mean) ** 2).sum(axis=1).mean())
    return float(np.linalg.norm(mean) / spread) if spread else 0.0


LEFT_OUT = -1  # in place of the time of a sample that is too uncertain


def uncertain(
    times_ns: NDArray[np.int64], gaps_ns: NDArray[np.int64], ordinary_ns: int | None = None
) -> NDArray[np.bool_]:
    """Returns which samples may be too long by more than 5 %.

    Args:
        gaps_ns: by how much each may be too long; see
            :class:`~pytest_annmodal.channel.mailbox.Asked`.
        ordinary_ns: the ordinary gap, which is allowed even for very quick queries.
    """
    if ordinary_ns is None:
        ordinary_ns = ordinary_look_ns(gaps_ns)
    return np.asarray(gaps_ns > np.maximum(UNCERTAIN * times_ns, ordinary_ns))


def ordinary_look_ns(gaps_ns: NDArray[np.int64]) -> int:
    """Returns the longest gap that counts as ordinary: a few times the shortest."""
    return LOOKS * int(gaps_ns.min()) if gaps_ns.size else 0


def settled(
    times_ns: NDArray[np.int64], gaps_ns: NDArray[np.int64], unsure: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """Returns the times, with LEFT_OUT for samples that are too uncertain.

    A sample that was certainly slow stays, with the least time that it can have taken: long
    queries are interrupted more often than short ones, so leaving them out would bias the times.
    """
    if not unsure.any() or unsure.all():
        return times_ns
    least_ns = times_ns - gaps_ns
    slow = least_ns > np.median(times_ns[~unsure])
    return np.where(unsure, np.where(slow, least_ns, LEFT_OUT), times_ns)
