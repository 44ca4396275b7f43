"""Finds why a truth does not fit its vectors, by trying the usual mistakes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pytest_annmodal.datasets.importers.matrix import Array
from pytest_annmodal.datasets.importers.nearest import nearest
from pytest_annmodal.distances import exact, metrics
from pytest_annmodal.distances.measure import LEAST

MOST_WRONG = 0.1  # share of queries that may be wrong where a guess explains a truth
CLOSE = 1e-2
HEAD = 10  # nearest rows used to recognise the same query in another row of the truth
COMPUTE = "Or leave out --truth to have the neighbours computed."
Ids = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """Some queries with their rows of the truth.

    Attributes:
        train: float32 (n, d).
        queries: float32 (s, d).
        numbers: (s,), the numbers of these queries.
        ids: int64 (s, K), neighbours of these queries.
        stored: (s, K), distances as stored in the file, or None.
        every_id: int64 (m, K), neighbours of all queries.
    """

    train: Array
    queries: Array
    numbers: Ids
    ids: Ids
    stored: Array | None
    every_id: Ids

    def further(self, ids: Ids, least: Array, metric: str) -> Ids:
        """Returns queries and ranks (w, 2) where the named row is further than the exact one.

        Args:
            ids: (s, K), rows of train.
            least: (s, K), exact distances, ascending.
        """
        measure = metrics.named(metric).measure
        far = exact.pair_distances(self.train, self.queries, ids, metric)
        order = np.argsort(far, axis=1, kind="stable")
        sizes = measure.sizes_of(self.train, ids)
        ordered = np.take_along_axis(far, order, 1)
        slack = measure.slack_of_order(least, self.queries, np.take_along_axis(sizes, order, 1))
        return np.argwhere(ordered > least + slack + LEAST)

    def fits(self, ids: Ids, least: Array, metric: str) -> bool:
        """Returns whether these ids are the nearest, for all but a few queries."""
        if ids.min() < 0 or ids.max() >= len(self.train):
            return False
        wrong = len(np.unique(self.further(ids, least, metric)[:, 0]))
        return wrong <= MOST_WRONG * len(ids)

    def what_is_stored(self, metric: str) -> tuple[str, ...]:
        """Returns a note if the stored distances are not those of the named rows."""
        if self.stored is None:
            return ()
        actual = exact.pair_distances(self.train, self.queries, self.ids, metric)
        if _close(self.stored, actual):
            return ()
        word = convention(self.stored, actual)
        seem = f" They look like {word}." if word else ""
        return (f"The distances of the truth are not {metric} distances.{seem} Computed again.",)


def convention(stored: Array, actual: Array) -> str:
    """Returns what the stored numbers are instead of distances, or ""."""
    with np.errstate(invalid="ignore"):
        others: Mapping[str, Array] = {
            "the squares of distances": actual**2,
            "inner products with their sign": -actual,
            "cosines": 1.0 - actual,
            "angles": np.arccos(np.clip(1.0 - actual, -1.0, 1.0)),
            "roots of distances": np.sqrt(np.abs(actual)),
            "squares of Euclidean distances of normalised vectors": 2.0 * actual,
        }
    return next((words for words, numbers in others.items() if _close(stored, numbers)), "")


def _close(one: Array, other: Array) -> bool:
    return bool(np.allclose(one, other, rtol=CLOSE, atol=1e-3 * float(np.abs(other).max())))


def likely_reason(sample: Sample, least: Array, metric: str) -> str:
    """Returns a sentence or two on the likely mistake and its remedy.

    Args:
        least: (s, K), exact distances.
    """
    for shift, words in (
        (-1, "count from 1: add --ids-from 1"),
        (1, "count from 0: use --ids-from 0"),
    ):
        if sample.fits(sample.ids + shift, least, metric):
            return f"Its ids {words}."
    for other in metrics.of_layout(metrics.named(metric).layout):
        if other != metric:
            _, by_other = nearest(sample.train, sample.queries, sample.ids.shape[1], other)
            if sample.fits(sample.ids, by_other, other):
                return _other_metric(metric, other)
    return _of_other_rows(sample, least, metric) or (
        "Ids from 1, another metric, or another order of rows or queries do not explain it: it is "
        f"approximate, or of other vectors. {COMPUTE}"
    )


def _other_metric(metric: str, other: str) -> str:
    kinds = {metric, other}
    why = ""
    if kinds == {"dot", "angular"}:
        why = " Cosine and inner product are the same only for vectors of unit length."
    elif kinds == {"euclidean", "angular"}:
        why = " It was computed from vectors of unit length, or for cosine."
    return (
        f"It is the {other} truth.{why} Use --metric {other}, or the vectors that it was "
        f"computed from. {COMPUTE}"
    )


def _of_other_rows(sample: Sample, least: Array, metric: str) -> str:
    """Returns a hint if rows or queries are others, or in another order; else ""."""
    found, _ = nearest(sample.train, sample.queries, min(HEAD, sample.ids.shape[1]), metric)
    moved = [_row_of_truth(row, sample.every_id) for row in found]
    elsewhere = [
        place
        for place, here in zip(moved, sample.numbers, strict=True)
        if place not in (None, here)
    ]
    if len(elsewhere) >= (1 - MOST_WRONG) * len(moved):
        return "Its rows are of these queries in another order: give them in the same order."
    if sample.stored is None:
        return ""
    for actual in (least, least.astype(np.float64) ** 2, -least, 1.0 - least):
        if _close(sample.stored, actual):
            return (
                "Its distances are right and its ids are not: it is of the same rows in another "
                "order. Give the files in that order, or the column of ids with --ids."
            )
    named = exact.pair_distances(sample.train, sample.queries, sample.ids, metric)
    if _close(sample.stored, named) or convention(sample.stored, named):
        return (
            "Its distances fit its rows, but other rows are nearer: it is the truth "
            f"of a part of these rows, or approximate. {COMPUTE}"
        )
    if (
        np.sort(np.abs(sample.stored), axis=1)[:, 0] < (1 - CLOSE) * np.abs(least[:, 0])
    ).mean() > 0.5:
        return f"It has smaller distances than any row here: it is of a larger set. {COMPUTE}"
    return ""


def _row_of_truth(nearest_rows: Ids, every_id: Ids) -> int | None:
    """Returns the truth's row that shares the most of these rows, if at least 80 %; else None."""
    shared = np.isin(every_id, nearest_rows).sum(axis=1)
    best = int(np.argmax(shared))
    return best if shared[best] >= 0.8 * len(nearest_rows) else None
