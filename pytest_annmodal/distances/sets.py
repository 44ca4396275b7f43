"""Jaccard distances of sets."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_annmodal.distances.candidates import Float32s, Float64s, Ids
from pytest_annmodal.distances.measure import NOISE, Array, Measure
from pytest_annmodal.distances.rows import Sets

ROUNDED = 1e-6  # rounding of a distance that a file holds as float32


class Jaccard(Measure):
    """1 − |intersection| / |union|; two empty sets are at distance 0."""

    is_exact = True
    noise_metric = None

    def of_ids(self, train: Sets, queries: Sets, ids: NDArray[np.integer]) -> Float64s:
        out = np.empty(ids.shape, np.float64)
        asked = np.zeros(_universe(train, queries), np.bool_)
        for row, query in enumerate(queries.lists()):
            found = train[ids[row]]
            asked[query] = True
            sums = np.concatenate([[0], np.cumsum(asked[found.members])])
            asked[query] = False
            common = sums[found.offsets[1:]] - sums[found.offsets[:-1]]
            out[row] = _distances(common, found.sizes, len(query))
        return out

    def nearest(self, train: Sets, queries: Sets, k: int) -> tuple[Ids, Float32s]:
        """Finds neighbours by inverted lists: for each member the sets that have it."""
        holders, begins = _inverted(train, _universe(train, queries))
        sizes = train.sizes
        ids = np.empty((len(queries), k), np.int64)
        distances = np.empty((len(queries), k), np.float32)
        for row, query in enumerate(queries.lists()):
            lists = [holders[begins[member] : begins[member + 1]] for member in query.tolist()]
            hits = np.concatenate(lists) if lists else holders[:0]
            far = _distances(np.bincount(hits, minlength=len(train)), sizes, len(query))
            kth = np.partition(far, k - 1)[k - 1]
            nearer = np.flatnonzero(far < kth)
            chosen = np.concatenate((nearer, np.flatnonzero(far == kth)[: k - len(nearer)]))
            order = np.lexsort((chosen, far[chosen]))
            ids[row], distances[row] = chosen[order], far[chosen[order]]
        return ids, distances

    def sizes(self, vectors: Any) -> Float64s:
        """Zero: counting does not round."""
        return np.zeros(len(vectors))

    def sizes_of(self, train: Any, ids: NDArray[np.integer]) -> Float64s:
        return np.zeros(ids.shape)

    def slack(self, distances: Array, queries: Any) -> Array:
        return np.full(distances.shape, ROUNDED)

    def slack_of_order(self, distances: Array, queries: Any, row_sizes: Array) -> Array:
        return np.full(distances.shape, ROUNDED)

    def undefined(self, queries: Any) -> NDArray[np.bool_]:
        """Returns the empty queries: ann-benchmarks puts two empty sets at 1 instead of 0."""
        return np.asarray(queries.sizes == 0)

    def as_ann_benchmarks(self, distances: Float64s, queries: Any, dim: int) -> Float64s:
        return np.asarray(np.where(self.undefined(queries)[:, None], 1.0, distances))

    def moved(
        self, rows: Any, neighbor_distances: Array, rng: np.random.Generator, dim: int
    ) -> Any:
        """Replaces as many members as move a row by half a neighbour's distance.

        New members are drawn from the members of all rows, so that frequent ones come often.
        """
        far = NOISE * np.asarray(neighbor_distances, np.float64)
        n_replaced = np.rint(rows.sizes * far / (2 - far)).astype(int)
        moved = []
        for members, n in zip(rows.lists(), n_replaced, strict=True):
            kept = rng.permutation(members)[n:]
            moved.append(np.concatenate([kept, rng.choice(rows.members, n) if n else kept[:0]]))
        return Sets.of(moved)


def _distances(common: NDArray[Any], sizes: NDArray[Any], size: int) -> Float64s:
    """Returns distances, from the numbers of members that a set shares with others."""
    either = sizes + size - common
    shares = np.divide(common, either, out=np.ones(len(common)), where=either > 0)
    return np.asarray(1.0 - shares)


def _universe(*parts: Sets) -> int:
    return 1 + max(int(part.members.max(initial=0)) for part in parts)


def _inverted(train: Sets, universe: int) -> tuple[Ids, Ids]:
    """Returns the numbers of the sets with member 0, with member 1…, and where each list begins."""
    owners = np.repeat(np.arange(len(train)), train.sizes)
    order = np.argsort(train.members, kind="stable")
    counts = np.bincount(train.members, minlength=universe)
    return owners[order], np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
