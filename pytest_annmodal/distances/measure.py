"""What is computed by a metric: distances, how inexact they may be, queries like others."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_annmodal.distances.candidates import Float32s, Float64s, Floats, Ids, Products

# Published truths were computed in float32, some by ways that cancel: wrong ids or another
# convention are off by far more than this. All follows the sizes of the vectors: their unit
# does not matter.
RELATIVE = 1e-3
OF_ONE = 1e-4  # of a cosine, or of the product of two vectors' lengths
# Roundings of float32 by which a row may be at a wrong rank: of a product of two vectors.
OF_RANK = 32 * float(np.finfo(np.float32).eps)
LEAST = float(np.finfo(np.float32).tiny)  # a smaller distance has lost digits
NOISE = 0.5  # of the distance to a neighbour: a moved row stays in its neighbourhood
PAIRS_BYTES = 2**19  # of float64 rows at once: what stays in a core's own cache
Array = npt.NDArray[np.floating]


def inner(a: Float64s, b: Float64s) -> Float64s:
    """Inner products over the last axis."""
    return np.asarray(np.einsum("...d,...d->...", a, b))


def lengths(vectors: Floats) -> Float64s:
    """L2 norms over the last axis, in float64."""
    wide = vectors.astype(np.float64)
    return np.asarray(np.sqrt(inner(wide, wide)))


class Measure:
    """The arithmetic of one metric. Over vectors of floats :meth:`pairs` is all that it needs.

    Attributes:
        products: how the order of distances comes out of a matrix product, for a quick search;
            None: every distance is computed.
        at_zero: how far a query of zeros is from everything; None if that depends on the row.
        undefined_at_zero: what files store for such a query means nothing.
        of_units: which part of their :meth:`units` published distances may be off by.
        far_from_origin_costs_digits: indexes that multiply vectors cannot tell near from far
            where all lie in one direction, far away.
        is_exact: distances are counted, and computed anew from the rows of a file: its own may be
            in another unit.
        short_vectors_vanish: indexes that compute one minus a product lose short vectors.
        noise_metric: by which it is found how far rows are from each other, as for how far a fresh
            query is moved; None: by itself.
    """

    products: Products | None = None
    at_zero: float | None = None
    undefined_at_zero = False
    of_units = RELATIVE
    far_from_origin_costs_digits = False
    is_exact = False
    short_vectors_vanish = False
    noise_metric: str | None = "euclidean"

    def pairs(self, rows: Float64s, queries: Float64s) -> Float64s:
        """Distances over the last axis of ``rows``, which may be overwritten."""
        raise NotImplementedError

    def of_ids(self, train: Any, queries: Any, ids: npt.NDArray[np.integer]) -> Float64s:
        """Distances between each query and the rows that ``ids`` (m, k) names for it, (m, k)."""
        out = np.empty(ids.shape, dtype=np.float64)
        step = max(1, PAIRS_BYTES // max(1, ids.shape[1] * train.shape[1] * 8))
        for start in range(0, len(ids), step):
            part = slice(start, start + step)
            out[part] = self.pairs(
                train[ids[part]].astype(np.float64), queries[part, None].astype(np.float64)
            )
        return out

    def nearest(self, train: Any, queries: Any, k: int) -> tuple[Ids, Float32s] | None:
        """What :func:`~.exact.knn` gives, found in a way of its own; None: as for all floats."""
        return None

    def as_lengths(self, distances: Float64s) -> Float64s | None:
        """Distances as such that obey the triangle inequality, or None if there are none."""
        return distances

    def published(self, distances: Array, dim: int) -> Array:
        """Distances of a file in this measure's unit, where files differ in it."""
        return distances

    def as_ann_benchmarks(self, distances: Float64s, queries: Any, dim: int) -> Float64s:
        """The same distances (m, k) as that project computes them."""
        return distances

    def quick_pairs(self, rows: Float32s, query: Float32s) -> Float32s | None:
        """Distances (n,) of ``rows`` to one query, off by what float32 rounds of their sizes.

        None if there is no quicker way than :meth:`pairs`.
        """
        return None

    def rounding(self, queries: Floats, rows: Floats) -> Float64s:
        """What rounding alone may make of the distance of each pair, float64 (m,)."""
        return np.zeros(len(queries))

    def sizes(self, vectors: Floats) -> Float64s:
        """How large vectors are beside their distances, over the last axis."""
        return lengths(vectors)

    def sizes_of(self, train: Any, ids: npt.NDArray[np.integer]) -> Float64s:
        """Those of the rows that ``ids`` (m, k) names."""
        return self.sizes(train[ids])

    def units(self, queries: Floats) -> Float64s:
        """Of each query (m, 1), what its distances are computed as small differences of.

        The float32 of a published truth may be off by a part of it.
        """
        return self.sizes(queries)[:, None]

    def slack(self, distances: Array, queries: Floats) -> Array:
        """By how much published distances (m, K) may be off, as far as the queries tell it."""
        return RELATIVE * np.abs(distances) + self.of_units * self.units(queries) + LEAST

    def slack_of_ids(self, train: Any, queries: Any, ids: npt.NDArray[np.integer]) -> Array | float:
        """By how much more, now that the rows are known that ``ids`` (m, K) names."""
        return 0.0

    def slack_of_order(self, distances: Array, queries: Floats, row_sizes: Array) -> Array:
        """By how much rows may be in the wrong order by what float32 rounds off.

        Args:
            distances: (m, K), of the rows in question.
            queries: (m, d).
            row_sizes: (m, K), what :meth:`sizes` says of the rows.
        """
        return np.asarray(OF_RANK * (self.sizes(queries)[:, None] + row_sizes))

    def undefined(self, queries: Floats) -> npt.NDArray[np.bool_]:
        """Which queries have no distance to anything."""
        zero = ~queries.any(axis=1)
        return np.asarray(zero if self.undefined_at_zero else np.zeros_like(zero))

    def moved(
        self, rows: Any, neighbor_distances: Floats, rng: np.random.Generator, dim: int
    ) -> Any:
        """Fresh queries: rows plus noise in a random direction, half as long as a neighbour is far.

        Args:
            rows: (m, d), held out.
            neighbor_distances: (m,), by ``noise_metric``.
            dim: of the dataset.
        """
        direction = rng.standard_normal(rows.shape)
        direction /= np.maximum(np.linalg.norm(direction, axis=1, keepdims=True), 1e-12)
        moved = rows + NOISE * neighbor_distances[:, None] * direction
        if rows.dtype.kind in "iu":
            kept = np.iinfo(rows.dtype.name)
            moved = np.rint(moved).clip(kept.min, kept.max)
        return np.ascontiguousarray(moved, rows.dtype)
