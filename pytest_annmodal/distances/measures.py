"""What is computed by each metric: distances, how inexact they may be, queries like others."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_annmodal.distances.candidates import Float32s, Float64s, Floats, Products

# Published truths were computed in float32, some by ways that cancel: wrong ids or another
# convention are off by far more than this. All follows the sizes of the vectors: their unit
# does not matter.
RELATIVE = 1e-3
OF_ONE = 1e-4  # of a cosine, or of the product of two vectors' lengths
# Roundings of float32 by which a row may be at a wrong rank: of a product of two vectors.
OF_RANK = 32 * float(np.finfo(np.float32).eps)
LEAST = float(np.finfo(np.float32).tiny)  # a smaller distance has lost digits
PRODUCT_ROUNDING = float(np.finfo(np.float32).eps)
COSINE_ROUNDING = 1e-12  # of numbers near 1, in float64, over thousands of dimensions
NOISE = 0.5  # of the distance to a neighbour: a moved row stays in its neighbourhood
Array = npt.NDArray[np.floating]


def inner(a: Float64s, b: Float64s) -> Float64s:
    """Inner products over the last axis."""
    return np.asarray(np.einsum("...d,...d->...", a, b))


def lengths(vectors: Floats) -> Float64s:
    """L2 norms over the last axis, in float64."""
    wide = vectors.astype(np.float64)
    return np.asarray(np.sqrt(inner(wide, wide)))


class Measure:
    """The arithmetic of one metric over vectors of floats. :meth:`pairs` is all that it needs.

    Attributes:
        products: how the order of distances comes out of a matrix product, for a quick search;
            None: every distance is computed.
        at_zero: how far a query of zeros is from everything; None if that depends on the row.
        undefined_at_zero: what files store for such a query means nothing.
        of_units: which part of their :meth:`units` published distances may be off by.
        far_from_origin_costs_digits: indexes that multiply vectors cannot tell near from far
            where all lie in one direction, far away.
        short_vectors_vanish: indexes that compute one minus a product lose short vectors.
        noise_metric: by which it is found how far rows are from each other, as for how far a fresh
            query is moved.
    """

    products: Products | None = None
    at_zero: float | None = None
    undefined_at_zero = False
    of_units = RELATIVE
    far_from_origin_costs_digits = False
    short_vectors_vanish = False
    noise_metric = "euclidean"

    def pairs(self, rows: Float64s, queries: Float64s) -> Float64s:
        """Distances over the last axis of ``rows``, which may be overwritten."""
        raise NotImplementedError

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

    def units(self, queries: Floats) -> Float64s:
        """Of each query (m, 1), what its distances are computed as small differences of.

        The float32 of a published truth may be off by a part of it.
        """
        return self.sizes(queries)[:, None]

    def slack(self, distances: Array, queries: Floats) -> Array:
        """By how much published distances (m, K) may be off, as far as the queries tell it."""
        return RELATIVE * np.abs(distances) + self.of_units * self.units(queries) + LEAST

    def slack_of_rows(self, queries: Floats, rows: Floats) -> Array | float:
        """By how much more, now that the rows (m, K, d) are known for the queries (m, 1, d)."""
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
        self, rows: Floats, neighbor_distances: Floats, rng: np.random.Generator
    ) -> npt.NDArray[Any]:
        """Fresh queries: rows plus noise in a random direction, half as long as a neighbour is far.

        Args:
            rows: (m, d), held out.
            neighbor_distances: (m,), by ``noise_metric``.
        """
        direction = rng.standard_normal(rows.shape)
        direction /= np.maximum(np.linalg.norm(direction, axis=1, keepdims=True), 1e-12)
        moved = rows + NOISE * neighbor_distances[:, None] * direction
        if rows.dtype.kind in "iu":
            kept = np.iinfo(rows.dtype.name)
            moved = np.rint(moved).clip(kept.min, kept.max)
        return np.ascontiguousarray(moved, rows.dtype)


class Euclidean(Measure):
    """Plain L2; differences are exact or nearly so, and what is left is relative."""

    products = Products(slope=2.0, square=1.0, moves=True)
    far_from_origin_costs_digits = True

    def pairs(self, rows: Float64s, queries: Float64s) -> Float64s:
        rows -= queries
        return np.asarray(np.sqrt(inner(rows, rows)))

    def slack_of_order(self, distances: Array, queries: Floats, row_sizes: Array) -> Array:
        squares = OF_RANK * (self.sizes(queries)[:, None] ** 2 + row_sizes**2)
        return np.asarray(np.sqrt(distances**2 + squares) - distances)


class Angular(Measure):
    """1 - cos; a zero vector is at distance 1 from everything."""

    products = Products(slope=1.0, square=0.0, normalises=True)
    at_zero = 1.0
    undefined_at_zero = True
    of_units = OF_ONE
    far_from_origin_costs_digits = True

    def pairs(self, rows: Float64s, queries: Float64s) -> Float64s:
        products = inner(rows, queries)
        norms = np.sqrt(inner(rows, rows)) * np.sqrt(inner(queries, queries))
        cosines = np.divide(products, norms, out=np.zeros_like(products), where=norms > 0)
        return np.asarray(np.clip(1.0 - cosines, 0.0, 2.0))

    def rounding(self, queries: Floats, rows: Floats) -> Float64s:
        return np.full(len(queries), COSINE_ROUNDING)

    def units(self, queries: Floats) -> Float64s:
        return np.ones((len(queries), 1))

    def slack_of_order(self, distances: Array, queries: Floats, row_sizes: Array) -> Array:
        return np.full(distances.shape, OF_RANK)


class Dot(Measure):
    """Minus the inner product, so that nearer is smaller."""

    products = Products(slope=1.0, square=0.0)
    at_zero = 0.0
    short_vectors_vanish = True

    def pairs(self, rows: Float64s, queries: Float64s) -> Float64s:
        return -inner(rows, queries)

    def rounding(self, queries: Floats, rows: Floats) -> Float64s:
        return PRODUCT_ROUNDING * lengths(queries) * lengths(rows)

    def units(self, queries: Floats) -> Float64s:
        """Not known without the rows: see :meth:`slack_of_rows`."""
        return np.zeros((len(queries), 1))

    def slack_of_rows(self, queries: Floats, rows: Floats) -> Array:
        return OF_ONE * lengths(queries) * lengths(rows)

    def slack_of_order(self, distances: Array, queries: Floats, row_sizes: Array) -> Array:
        return np.asarray(OF_RANK * self.sizes(queries)[:, None] * row_sizes)


class Manhattan(Measure):
    """The sum of the differences' absolute values (L1)."""

    def pairs(self, rows: Float64s, queries: Float64s) -> Float64s:
        rows -= queries
        return np.asarray(np.abs(rows, out=rows).sum(axis=-1))

    def quick_pairs(self, rows: Float32s, query: Float32s) -> Float32s:
        differences = rows - query
        np.abs(differences, out=differences)
        return np.asarray(differences @ np.ones(len(query), np.float32))

    def sizes(self, vectors: Floats) -> Float64s:
        return np.asarray(np.abs(vectors.astype(np.float64)).sum(axis=-1))


MEASURES: Mapping[str, Measure] = MappingProxyType(
    {"euclidean": Euclidean(), "angular": Angular(), "dot": Dot(), "manhattan": Manhattan()}
)
