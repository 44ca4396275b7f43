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
        for row, query in enumerate(queries.lists()):
            found = train[ids[row]]
            _, there = _places(query, found.members)
            sums = np.concatenate([[0], np.cumsum(there)])
            common = sums[found.offsets[1:]] - sums[found.offsets[:-1]]
            out[row] = _distances(common, found.sizes, len(query))
        return out

    def nearest(self, train: Sets, queries: Sets, k: int) -> tuple[Ids, Float32s]:
        """Finds neighbours by inverted lists: for each member the sets that have it."""
        members, holders, begins = _inverted(train)
        sizes = train.sizes
        ids = np.empty((len(queries), k), np.int64)
        distances = np.empty((len(queries), k), np.float32)
        for row, query in enumerate(queries.lists()):
            places, known = _places(members, query)
            lists = [holders[begins[at] : begins[at + 1]] for at in places[known].tolist()]
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


def _places(members: NDArray[Any], wanted: NDArray[Any]) -> tuple[Ids, NDArray[np.bool_]]:
    """Returns where each number stands among ascending ``members``, and whether it is there."""
    if not len(members):
        return np.zeros(len(wanted), np.int64), np.zeros(len(wanted), np.bool_)
    places = np.minimum(np.searchsorted(members, wanted), len(members) - 1)
    return places, members[places] == wanted


def _inverted(train: Sets) -> tuple[NDArray[np.uint32], Ids, Ids]:
    """Returns the members that any set has, the numbers of the sets with each, where these begin.

    Members may be hashes: nothing is as long as the largest of them.
    """
    owners = np.repeat(np.arange(len(train)), train.sizes)
    members, counts = np.unique(train.members, return_counts=True)
    holders = owners[np.argsort(train.members, kind="stable")]
    return members, holders, np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
