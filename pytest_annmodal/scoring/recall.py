"""Recall from ids and distances, and which timed samples count; pure numpy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pytest_annmodal.scoring.latency import UNCERTAIN

RELATIVE_TIE = 1e-6
ANN_BENCHMARKS_EPSILON = 1e-3
SAMPLE_ROWS = 1000
LOOKS = 4  # times the shortest gap between two looks


@dataclass(frozen=True, slots=True, kw_only=True)
class Recall:
    """Three definitions of recall@k, each the mean over all queries (0 to 1).

    Attributes:
        by_distance: counts ids that are as near as the k-th true neighbour.
        by_ids: counts the row numbers that the file lists.
        ann_benchmarks: counts by the rule of that project; see :class:`Limits`.
        hits: int64 (n_queries,), hits of each query by ``by_distance``, in all rounds.
        of_rounds: ``by_distance`` of each round, if there are several.
    """

    by_distance: float
    by_ids: float
    ann_benchmarks: float
    hits: NDArray[np.int64] = field(
        default_factory=lambda: np.zeros(0, np.int64), repr=False, compare=False
    )
    of_rounds: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The greatest distance at which an id counts for each query, float64 (n,).

    Attributes:
        near: within a relative 1e-6 of the k-th true neighbour's distance, so that any of several
            equally near rows is right, and the unit of the vectors does not matter.
        lenient: within an absolute 1e-3 of the k-th distance in the dataset file: the rule of
            ann-benchmarks (``plotting/metrics.py``), for comparison with published figures. With
            distances near 0.001 or less it counts nearly every id.
    """

    near: NDArray[np.float64]
    lenient: NDArray[np.float64]

    @classmethod
    def of(
        cls,
        *,
        kth: NDArray[np.float64],
        rounding: NDArray[np.float64] | float,
        stored_kth: NDArray[np.float64],
    ) -> Limits:
        """Returns the limits of queries.

        Args:
            kth: (n,), the k-th true neighbour's distance, recomputed from ``train``.
            rounding: (n,), the possible rounding error of such a distance, if that is more
                than a small part of it: see :func:`exact.rounding`.
            stored_kth: (n,), the k-th distance in the file, in ann-benchmarks' unit.
        """
        tolerance = np.maximum(RELATIVE_TIE * np.abs(kth), rounding)
        return cls(near=kth + tolerance, lenient=stored_kth + ANN_BENCHMARKS_EPSILON)

    def cut(self, which: NDArray[np.int64] | slice) -> Limits:
        return Limits(near=self.near[which], lenient=self.lenient[which])

    def are_near(self, found: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Returns which distances count, bool; one for each limit."""
        return np.asarray(found <= self.near)

    def are_lenient(self, found: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Returns which distances in ann-benchmarks' unit count for it, bool; one for each limit.

        Files hold float32, so distances are compared as float32.
        """
        with np.errstate(over="ignore"):
            return np.asarray(found.astype(np.float32) <= self.lenient)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hits:
    """How many ids of each query count, int64 (n,), by each of three rules."""

    by_distance: NDArray[np.int64]
    by_ids: NDArray[np.int64]
    ann_benchmarks: NDArray[np.int64]

    @classmethod
    def joined(cls, parts: Sequence[Hits]) -> Hits:
        return cls(
            by_distance=np.concatenate([part.by_distance for part in parts]),
            by_ids=np.concatenate([part.by_ids for part in parts]),
            ann_benchmarks=np.concatenate([part.ann_benchmarks for part in parts]),
        )

    def recall(self, k: int) -> Recall:
        of = k * len(self.by_ids)
        return Recall(
            by_distance=int(self.by_distance.sum()) / of,
            by_ids=int(self.by_ids.sum()) / of,
            ann_benchmarks=int(self.ann_benchmarks.sum()) / of,
            hits=self.by_distance,
        )


# Sorted with the answers' keys, a neighbour's key comes right before that of the same id. Both
# have the id in front of these last two bits.
BITS, ANSWERED, COUNTS_LENIENTLY = 2, 3, 1


def keys(
    neighbors: NDArray[np.integer], lenient: NDArray[np.bool_], n_train: int
) -> NDArray[np.signedinteger]:
    """Returns what :func:`matched` compares answers with, int32 or int64 (n, k), ascending.

    Args:
        neighbors: (n, k), the true neighbours.
        lenient: (n, k), which of them count for ann-benchmarks.
        n_train: number of rows; int32 keys are for those of which four times the number fits.
    """
    kind = np.int32 if n_train << BITS <= np.iinfo(np.int32).max else np.int64
    made: NDArray[np.signedinteger] = neighbors.astype(kind)
    made <<= BITS
    np.bitwise_or(made, COUNTS_LENIENTLY, out=made, where=lenient)
    return np.sort(made, axis=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Matched:
    """Which ids of answers are true neighbours.

    Attributes:
        listed: int64 (n,), how many ids of each query are.
        lenient: int64 (n,), how many of these count for ann-benchmarks.
        rows, ids: int64 (p,), query and id of each that is not; padding is left out.
    """

    listed: NDArray[np.int64]
    lenient: NDArray[np.int64]
    rows: NDArray[np.int64]
    ids: NDArray[np.int64]


def matched(ids: NDArray[np.int64], true: NDArray[np.signedinteger]) -> Matched:
    """Finds the true neighbours among ids.

    Args:
        ids: int64 (n, k), distinct in each row but for padding with -1.
        true: (n, K), :func:`keys` of the queries' neighbours.
    """
    n, width = len(ids), true.shape[1] + ids.shape[1]
    both = np.empty((n, width), true.dtype)
    both[:, : true.shape[1]] = true
    answers = both[:, true.shape[1] :]
    answers[...] = ids
    answers <<= BITS
    answers |= ANSWERED
    both.sort(axis=1)
    other = (both & ANSWERED) == ANSWERED
    same = (both[:, :-1] | ANSWERED) == both[:, 1:]  # of an answer and the neighbour before it
    n_given: NDArray[np.int64] | int = ids.shape[1]
    if both[:, 0].min(initial=0) < 0:  # padding comes first
        same &= both[:, :-1] >= 0
        other &= both >= 0
        n_given = np.count_nonzero(other, axis=1)
    other[:, 1:] &= ~same
    at = np.flatnonzero(other)
    rows = at // width
    listed = n_given - np.bincount(rows, minlength=n)
    lenient = listed
    if not (true & COUNTS_LENIENTLY).all():
        lenient = np.count_nonzero(same & ((both[:, :-1] & COUNTS_LENIENTLY) > 0), axis=1)
    found = (both.reshape(-1)[at] >> BITS).astype(np.int64)
    return Matched(listed=listed, lenient=lenient, rows=rows, ids=found)


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
