"""Recall of answers against a loaded dataset, by distances recomputed from ``train``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pytest_annmodal.datasets import hdf5
from pytest_annmodal.distances import exact, metrics
from pytest_annmodal.scoring import recall, validity

Ids = NDArray[np.int64]
Distances = NDArray[np.float64]
CHANCE_ANSWERS = 10_000
ANSWERS_AT_ONCE = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Kth:
    """Distance and rounding error of each query's k-th true neighbour, float64 (n_queries,).

    Attributes:
        listed: float64 (n_queries, k), the distances of all neighbours that the file lists.
    """

    distances: Distances
    rounding: Distances
    listed: Distances

    def cut(self, which: Ids) -> Kth:
        """Returns those of some queries, selected as in :meth:`LoadedDataset.cut`."""
        return Kth(
            distances=self.distances[which],
            rounding=self.rounding[which],
            listed=self.listed[which],
        )


def kth_neighbors(data: hdf5.LoadedDataset, k: int) -> Kth:
    """Returns each query's k-th true neighbour, recomputed from ``train``.

    It is the farthest of the k that the file lists, since rounding to float32 may have put near
    ties in the wrong order there.
    """
    metric, listed = data.info.metric, data.neighbors[:, :k]
    true = exact.pair_distances(data.train, data.test, listed, metric)
    farthest = true.argmax(axis=1)[:, None]
    rows = np.take_along_axis(listed, farthest, axis=1)[:, 0]
    return Kth(
        distances=np.take_along_axis(true, farthest, axis=1)[:, 0],
        rounding=exact.rounding(data.train, data.test, rows, metric),
        listed=true,
    )


def recall_of(data: hdf5.LoadedDataset, ids: Ids, k: int, kth: Kth | None = None) -> recall.Recall:
    """Returns the recall of one round of checked answers, int64 (n_queries, k) padded with -1.

    Args:
        kth: result of :func:`kth_neighbors`, if already computed.
    """
    metric, dim = data.info.metric, data.info.dim
    as_there = metrics.named(metric).measure.as_ann_benchmarks
    kth = kth or kth_neighbors(data, k)
    neighbors = data.neighbors[:, :k]
    places = recall.places(ids, neighbors)
    found = _distances(data, ids, places, kth)
    stored_kth = data.distances[:, k - 1 : k].astype(np.float64)
    return recall.recall(
        ids=ids,
        found=found,
        found_there=as_there(found, data.test, dim),
        kth=kth.distances,
        rounding=kth.rounding,
        listed=places >= 0,
        stored_kth=as_there(stored_kth, data.test, dim)[:, 0],
    )


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


def _distances(data: hdf5.LoadedDataset, ids: Ids, places: Ids, kth: Kth) -> Distances:
    """Returns distances (n, k); those of listed neighbours are known, others are computed."""
    metric, others = data.info.metric, places < 0
    if 3 * np.count_nonzero(others) > others.size:
        return exact.pair_distances(data.train, data.test, np.maximum(ids, 0), metric)
    found = np.take_along_axis(kth.listed, np.maximum(places, 0), axis=1)
    rows, _ = np.nonzero(others)
    asked = np.maximum(ids[others], 0)[:, None]
    found[others] = exact.pair_distances(data.train, data.test[rows], asked, metric)[:, 0]
    return found


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
    )


def _share(shares: Sequence[float], of: int) -> float:
    """Returns the mean of shares of so many answers each.

    It is a quotient of counts: a mean of floats may lie below a target that is reached.
    """
    return sum(round(share * of) for share in shares) / (of * len(shares))
