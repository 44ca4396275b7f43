"""The measures of vectors of floats, and the table of all measures."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from pytest_annmodal.distances.bits import Hamming
from pytest_annmodal.distances.candidates import Float32s, Float64s, Floats, Products
from pytest_annmodal.distances.measure import (
    EPSILON,
    LEAST,
    OF_ONE,
    OF_RANK,
    Array,
    Bounds,
    Measure,
    inner,
    lengths,
)
from pytest_annmodal.distances.sets import Jaccard

COSINE_ROUNDING = 1e-12  # for numbers near 1 in float64, over thousands of dimensions
PRODUCT_ROUNDING = EPSILON
# Squared lengths between which products keep their digits in float32.
SHORTEST, LONGEST = 1e-25, 1e30


def _share(dim: int) -> float:
    """Returns twice the relative rounding that a sum of ``dim`` products in float32 may have.

    A sum of n terms in any order is off by at most n unit roundoffs of the sum of their sizes
    (N. Higham, Accuracy and Stability of Numerical Algorithms, 3.1). 16 more are for the rest.
    """
    return EPSILON * (dim + 16)


def _of_squares(rows: Float32s) -> Float32s:
    return np.asarray(np.einsum("ij,ij->i", rows, rows))


def _around(values: Float64s, errors: Float64s) -> Bounds:
    """Returns values less and plus their errors; infinite where either is not a number."""
    unsure = ~np.isfinite(errors) | ~np.isfinite(values)
    low, high = values - errors, values + errors
    low[unsure], high[unsure] = -np.inf, np.inf
    return low, high


class Euclidean(Measure):
    """L2 distances, computed from differences, which are almost exact."""

    products = Products(slope=2.0, square=1.0, moves=True)
    far_from_origin_costs_digits = True

    def pairs(self, rows: Float64s, queries: Float64s) -> Float64s:
        rows -= queries
        return np.asarray(np.sqrt(inner(rows, rows)))

    def bounds(self, rows: Float32s, queries: Float32s, squares: Float32s) -> Bounds:
        dim = rows.shape[1]
        rows -= queries
        found = _of_squares(rows).astype(np.float64)
        low, high = _around(found, _share(dim) * found + 2 * dim * LEAST)
        return np.sqrt(np.maximum(low, 0.0)), np.sqrt(high)

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

    def bounds(self, rows: Float32s, queries: Float32s, squares: Float32s) -> Bounds:
        products = np.einsum("ij,ij->i", rows, queries)
        of_rows = _of_squares(rows)
        plain = (np.minimum(of_rows, squares) > SHORTEST) & (np.maximum(of_rows, squares) < LONGEST)
        both = np.sqrt(of_rows.astype(np.float64) * squares)
        cosines = np.divide(products, both, out=np.full(len(rows), np.nan), where=plain)
        low, high = _around(1.0 - cosines, np.full(len(rows), 2 * _share(rows.shape[1])))
        return np.minimum(low, 2.0), np.maximum(high, 0.0)

    def rounding(self, queries: Floats, rows: Floats) -> Float64s:
        return np.full(len(queries), COSINE_ROUNDING)

    def units(self, queries: Floats) -> Float64s:
        return np.ones((len(queries), 1))

    def as_lengths(self, distances: Float64s) -> Float64s:
        """Returns the lengths of the chords between the unit vectors."""
        return np.asarray(np.sqrt(2.0 * np.maximum(distances, 0.0)))

    def slack_of_order(self, distances: Array, queries: Floats, row_sizes: Array) -> Array:
        return np.full(distances.shape, OF_RANK)


class Dot(Measure):
    """Minus the inner product, so that nearer is smaller."""

    products = Products(slope=1.0, square=0.0)
    at_zero = 0.0
    short_vectors_vanish = True

    def pairs(self, rows: Float64s, queries: Float64s) -> Float64s:
        return -inner(rows, queries)

    def bounds(self, rows: Float32s, queries: Float32s, squares: Float32s) -> Bounds:
        dim = rows.shape[1]
        products = np.einsum("ij,ij->i", rows, queries).astype(np.float64)
        lost = dim * LEAST  # of a sum, by underflow
        sizes = np.sqrt((_of_squares(rows).astype(np.float64) + lost) * (squares + lost))
        return _around(-products, 2 * _share(dim) * sizes + lost)

    def rounding(self, queries: Floats, rows: Floats) -> Float64s:
        return PRODUCT_ROUNDING * lengths(queries) * lengths(rows)

    def as_lengths(self, distances: Float64s) -> None:
        """None: an inner product does not obey the triangle inequality."""

    def units(self, queries: Floats) -> Float64s:
        """Zero: the size depends on the rows, see :meth:`slack_of_ids`."""
        return np.zeros((len(queries), 1))

    def slack_of_ids(self, train: Floats, queries: Floats, ids: npt.NDArray[np.integer]) -> Array:
        return OF_ONE * lengths(queries)[:, None] * lengths(train[ids])

    def slack_of_order(self, distances: Array, queries: Floats, row_sizes: Array) -> Array:
        return np.asarray(OF_RANK * self.sizes(queries)[:, None] * row_sizes)


class Manhattan(Measure):
    """L1 distances: the sum of the absolute differences."""

    def pairs(self, rows: Float64s, queries: Float64s) -> Float64s:
        rows -= queries
        return np.asarray(np.abs(rows, out=rows).sum(axis=-1))

    def bounds(self, rows: Float32s, queries: Float32s, squares: Float32s) -> Bounds:
        dim = rows.shape[1]
        rows -= queries
        found = (np.abs(rows, out=rows) @ np.ones(dim, np.float32)).astype(np.float64)
        return _around(found, _share(dim) * found + dim * LEAST)

    def quick_pairs(self, rows: Float32s, query: Float32s) -> Float32s:
        differences = rows - query
        np.abs(differences, out=differences)
        return np.asarray(differences @ np.ones(len(query), np.float32))

    def sizes(self, vectors: Floats) -> Float64s:
        return np.asarray(np.abs(vectors.astype(np.float64)).sum(axis=-1))


MEASURES: Mapping[str, Measure] = MappingProxyType(
    {
        "euclidean": Euclidean(),
        "angular": Angular(),
        "dot": Dot(),
        "manhattan": Manhattan(),
        "hamming": Hamming(),
        "jaccard": Jaccard(),
    }
)
