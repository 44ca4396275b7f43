"""Recall of answers against a loaded dataset, by distances recomputed from ``train``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_annmodal.datasets import hdf5
from pytest_annmodal.distances import exact, metrics
from pytest_annmodal.scoring import recall, validity

Ids = NDArray[np.int64]
Distances = NDArray[np.float64]
CHANCE_ANSWERS = 10_000
ANSWERS_AT_ONCE = 20_000
IDS_AT_ONCE = 2**16  # compared at once: fits a core's own cache


@dataclass(frozen=True, slots=True, kw_only=True)
class Kth:
    """What answers to each query are compared with, for one k.

    Attributes:
        limits: the distances up to which an id counts.
        keys: (n_queries, k), the k neighbours that the file lists, as :func:`recall.keys`.
    """

    limits: recall.Limits
    keys: NDArray[np.signedinteger]

    def cut(self, which: Ids | slice) -> Kth:
        """Returns those of some queries, selected as in :meth:`LoadedDataset.cut`."""
        return Kth(limits=self.limits.cut(which), keys=self.keys[which])


def kth_neighbors(data: hdf5.LoadedDataset, k: int) -> Kth:
    """Returns what answers are compared with, from the k-th true neighbour of each query.

    Its distance is recomputed from ``train``. It is the farthest of the k that the file lists,
    since rounding to float32 may have put near ties in the wrong order there.
    """
    metric, dim, listed = data.info.metric, data.info.dim, data.neighbors[:, :k]
    as_there = metrics.named(metric).measure.as_ann_benchmarks
    kth, rows = exact.farthest(data.train, data.test, listed, metric)
    stored_kth = data.distances[:, k - 1 : k].astype(np.float64)
    limits = recall.Limits.of(
        kth=kth,
        rounding=exact.rounding(data.train, data.test, rows, metric),
        stored_kth=as_there(stored_kth, data.test, dim)[:, 0],
    )
    # Where the farthest counts for ann-benchmarks, all of them do.
    lenient = np.ones(listed.shape, np.bool_)
    some = np.flatnonzero(~limits.are_lenient(as_there(kth[:, None], data.test, dim)[:, 0]))
    if some.size:
        true = exact.pair_distances(data.train, data.test[some], listed[some], metric)
        there = as_there(true, data.test[some], dim).reshape(-1)
        each = limits.cut(np.repeat(some, listed.shape[1]))
        lenient[some] = each.are_lenient(there).reshape(true.shape)
    return Kth(limits=limits, keys=recall.keys(listed, lenient, len(data.train)))


def recall_of(data: hdf5.LoadedDataset, ids: Ids, k: int, kth: Kth | None = None) -> recall.Recall:
    """Returns the recall of one round of checked answers, int64 (n_queries, k) padded with -1.

    Args:
        kth: result of :func:`kth_neighbors`, if already computed.
    """
    kth = kth or kth_neighbors(data, k)
    step, parts = max(1, IDS_AT_ONCE // k), []
    for start in range(0, max(1, len(ids)), step):
        part = slice(start, start + step)
        parts.append(_hits(data, part, ids[part], kth.cut(part)))
    return recall.Hits.joined(parts).recall(ids.shape[1])


def _hits(data: hdf5.LoadedDataset, part: slice, ids: Ids, kth: Kth) -> recall.Hits:
    """Returns the hits of the queries ``part``: true neighbours count, others by distance."""
    matched, n = recall.matched(ids, kth.keys), len(ids)
    limits = kth.limits.cut(matched.rows)
    near, lenient = _count(data, data.test[part], matched, limits)
    return recall.Hits(
        by_distance=matched.listed + np.bincount(matched.rows[near], minlength=n),
        by_ids=matched.listed,
        ann_benchmarks=matched.lenient + np.bincount(matched.rows[lenient], minlength=n),
    )


def _count(
    data: hdf5.LoadedDataset, test: Any, matched: recall.Matched, limits: recall.Limits
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Returns which ids that are no true neighbours count by distance, and for ann-benchmarks.

    Only where bounds on a distance leave it open is it computed.

    Args:
        test: the queries that ``matched`` numbers.
        limits: of each such id, (p,).
    """
    metric, dim, rows, ids = data.info.metric, data.info.dim, matched.rows, matched.ids
    as_there = metrics.named(metric).measure.as_ann_benchmarks
    bounds = exact.pair_bounds(data.train, test, rows, ids, metric)
    if bounds is None:
        found = _grouped(data.train, test, rows, ids, metric)
        there = as_there(found[:, None], test[rows], dim)[:, 0]
        return limits.are_near(found), limits.are_lenient(there)
    least, most = bounds
    near, lenient = limits.are_near(most), limits.are_lenient(most)
    left = (limits.are_near(least) != near) | (limits.are_lenient(least) != lenient)
    left_open = np.flatnonzero(left)
    if left_open.size:
        asked, of_open = test[rows[left_open]], limits.cut(left_open)
        found = exact.pair_distances(data.train, asked, ids[left_open, None], metric)
        near[left_open] = of_open.are_near(found[:, 0])
        lenient[left_open] = of_open.are_lenient(as_there(found, asked, dim)[:, 0])
    return near, lenient


def _grouped(train: Any, test: Any, rows: Ids, ids: Ids, metric: str) -> Distances:
    """Returns the distance of each pair (p,); ``rows``, the numbers of their queries, ascend.

    All rows of a query are asked for at once, which is quicker for sets.
    """
    asked, place, counts = np.unique(rows, return_inverse=True, return_counts=True)
    column = np.arange(len(rows)) - (np.cumsum(counts) - counts)[place]
    each = np.zeros((len(asked), counts.max(initial=0)), np.int64)
    each[place, column] = ids
    return exact.pair_distances(train, test[asked], each, metric)[place, column]


def recall_of_rows(data: hdf5.LoadedDataset, rows: Ids, ids: Ids, k: int, kth: Kth) -> float:
    """Returns recall by distance of checked answers, any number of them for each query.

    Args:
        rows: int64 (m,), the number of the query that each answers.
        ids: int64 (m, k), padded with -1. Equal answers to one query are scored once.
    """
    each, times = np.unique(np.column_stack((rows, ids)), axis=0, return_counts=True)
    hits = 0
    for start in range(0, len(each), ANSWERS_AT_ONCE):
        part = each[start : start + ANSWERS_AT_ONCE]
        which = part[:, 0]
        found = recall_of(data.cut(which), part[:, 1:], k, kth.cut(which)).hits
        hits += int(found @ times[start : start + ANSWERS_AT_ONCE])
    return hits / (len(rows) * k)


def chance(data: hdf5.LoadedDataset, k: int) -> tuple[float, float]:
    """Returns the expected recall of random rows, and the limit up to which recall is no better.

    The limit is three standard deviations above, for the number of answers and of those drawn
    here. Both are high where k is near the number of rows, and may be with many equal distances.
    """
    n = len(data.train)
    part = data.cut(slice(0, max(1, CHANCE_ANSWERS // k)))
    rng = np.random.default_rng(0)
    drawn = np.stack([rng.choice(n, k, replace=False, shuffle=False) for _ in part.test])
    expected = max(recall_of(part, drawn, k).by_distance, k / n)
    variance = expected * (1 - expected) * (1 / drawn.size + 1 / (len(data.test) * k))
    return expected, expected + 3 * variance**0.5


def score_rounds(
    data: hdf5.LoadedDataset, answers: validity.Checked, kth: Kth | None = None
) -> recall.Recall:
    """Returns the mean recall over the rounds; a round equal to the first is not scored again.

    Args:
        answers: of all rounds.
        kth: result of :func:`kth_neighbors`, if already computed.
    """
    first, k = answers.ids[0], answers.ids.shape[2]
    kth = kth or kth_neighbors(data, k)
    recalls: list[recall.Recall] = []
    for ids in answers.ids:
        again = recalls and np.array_equal(ids, first)
        recalls.append(recalls[0] if again else recall_of(data, ids, k, kth))
    return recall.Recall(
        by_distance=_share([r.by_distance for r in recalls], first.size),
        by_ids=_share([r.by_ids for r in recalls], first.size),
        ann_benchmarks=_share([r.ann_benchmarks for r in recalls], first.size),
        hits=np.sum([r.hits for r in recalls], axis=0),
        of_rounds=tuple(r.by_distance for r in recalls),
    )


def _share(shares: Sequence[float], of: int) -> float:
    """Returns the mean of shares of so many answers each.

    It is a quotient of counts: a mean of floats may lie below a target that is reached.
    """
    return sum(round(share * of) for share in shares) / (of * len(shares))
