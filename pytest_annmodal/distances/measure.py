"""The base class of measures: a metric's distances, their error bounds, and fresh queries."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_annmodal.distances.candidates import Float32s, Float64s, Floats, Ids, Products

# Tolerances for published truths, which were computed in float32, some with cancellation. Wrong
# ids or another convention differ by far more. All are relative to the sizes of the vectors, so
# that their unit does not matter.
RELATIVE = 1e-3
OF_ONE = 1e-4  # of a cosine, or of the product of two vectors' lengths
EPSILON = float(np.finfo(np.float32).eps)  # twice the unit roundoff of float32
# Of the product of two vectors' sizes: float32 rounding that may put a row at a wrong rank.
OF_RANK = 32 * EPSILON
LEAST = float(np.finfo(np.float32).tiny)  # a smaller distance has lost digits
NOISE = 0.5  # of the distance to a neighbour, so that a moved row stays in its neighbourhood
PAIRS_BYTES = 2**19  # of rows at once: fits a core's own cache
Array = npt.NDArray[np.floating]
Bounds = tuple[Float64s, Float64s]


def inner(a: Float64s, b: Float64s) -> Float64s:
    """Returns inner products over the last axis."""
    return np.asarray(np.einsum("...d,...d->...", a, b))


def lengths(vectors: Floats) -> Float64s:
    """Returns L2 norms over the last axis, in float64."""
    wide = vectors.astype(np.float64)
    return np.asarray(np.sqrt(inner(wide, wide)))


class Measure:
    """The arithmetic of one metric. For vectors of floats only :meth:`pairs` must be written.

    Attributes:
        products: how a matrix product gives the order of distances, for a quick search;
            None: every distance is computed.
        at_zero: distance of a zero query to every row; None if it depends on the row.
        undefined_at_zero: the distances that files store for such a query have no meaning.
        of_units: tolerance of published distances, as a share of their :meth:`units`.
        far_from_origin_costs_digits: indexes that multiply vectors lose digits if all rows lie
            far from the origin in one direction.
        is_exact: distances are counts or ratios of counts; those of a file, whose unit may
            differ, are replaced by ones computed from the rows.
        short_vectors_vanish: indexes that compute one minus a product lose short vectors.
        noise_metric: metric for the distance between rows, which also sets how far a fresh query
            is moved; None: this metric itself.
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
        """Returns distances over the last axis; may overwrite ``rows``."""
        raise NotImplementedError

    def of_ids(self, train: Any, queries: Any, ids: npt.NDArray[np.integer]) -> Float64s:
        """Returns distances (m, k) between each query and its rows in ``ids`` (m, k)."""
        out = np.empty(ids.shape, dtype=np.float64)
        step = max(1, PAIRS_BYTES // max(1, ids.shape[1] * train.shape[1] * 8))
        for start in range(0, len(ids), step):
            part = slice(start, start + step)
            out[part] = self.pairs(
                train[ids[part]].astype(np.float64), queries[part, None].astype(np.float64)
            )
        return out

    def nearest(self, train: Any, queries: Any, k: int) -> tuple[Ids, Float32s] | None:
        """Returns the result of :func:`~.exact.knn`, or None to use the search for floats."""
        return None

    def as_lengths(self, distances: Float64s) -> Float64s | None:
        """Returns distances that obey the triangle inequality, or None if there are none."""
        return distances

    def published(self, distances: Array, dim: int) -> Array:
        """Returns distances of a file in this measure's unit."""
        return distances

    def as_ann_benchmarks(self, distances: Float64s, queries: Any, dim: int) -> Float64s:
        """Returns the distances (m, k) as ann-benchmarks would compute them."""
        return distances

    def quick_pairs(self, rows: Float32s, query: Float32s) -> Float32s | None:
        """Returns distances (n,) of ``rows`` to one query with float32 rounding of their sizes.

        None if nothing is quicker than :meth:`pairs`.
        """
        return None

    def bounds(self, rows: Float32s, queries: Float32s, squares: Float32s) -> Bounds | None:
        """Returns the least and the most that :meth:`pairs` may give for each pair, (m,) each.

        They come from float32 arithmetic with a bound on its rounding; infinite where that is
        no help. None if nothing is quicker than :meth:`pairs`. A measure that returns bounds
        leaves distances unchanged in :meth:`as_ann_benchmarks`.

        Args:
            rows, queries: (m, d), one row for each query; ``rows`` may be overwritten.
            squares: (m,), the squared L2 norms of ``queries``.
        """
        return None

    def rounding(self, queries: Floats, rows: Floats) -> Float64s:
        """Returns the rounding error that the distance of each pair may have, float64 (m,)."""
        return np.zeros(len(queries))

    def sizes(self, vectors: Floats) -> Float64s:
        """Returns the sizes of vectors over the last axis, to which rounding is relative."""
        return lengths(vectors)

    def sizes_of(self, train: Any, ids: npt.NDArray[np.integer]) -> Float64s:
        """Returns the sizes of the rows in ``ids`` (m, k)."""
        return self.sizes(train[ids])

    def units(self, queries: Floats) -> Float64s:
        """Returns the size of the terms in each query's distances, (m, 1).

        The error of a published truth in float32 is a share of it.
        """
        return self.sizes(queries)[:, None]

    def slack(self, distances: Array, queries: Floats) -> Array:
        """Returns the tolerance of published distances (m, K), from distances and queries."""
        return RELATIVE * np.abs(distances) + self.of_units * self.units(queries) + LEAST

    def slack_of_ids(self, train: Any, queries: Any, ids: npt.NDArray[np.integer]) -> Array | float:
        """Returns the further tolerance that depends on the rows in ``ids`` (m, K)."""
        return 0.0

    def slack_of_order(self, distances: Array, queries: Floats, row_sizes: Array) -> Array:
        """Returns the tolerance for rows in the wrong order because of float32 rounding.

        Args:
            distances: (m, K), of these rows.
            queries: (m, d).
            row_sizes: (m, K), :meth:`sizes` of the rows.
        """
        return np.asarray(OF_RANK * (self.sizes(queries)[:, None] + row_sizes))

    def undefined(self, queries: Floats) -> npt.NDArray[np.bool_]:
        """Returns which queries have no defined distance, bool (m,)."""
        zero = ~queries.any(axis=1)
        return np.asarray(zero if self.undefined_at_zero else np.zeros_like(zero))

    def moved(
        self, rows: Any, neighbor_distances: Floats, rng: np.random.Generator, dim: int
    ) -> Any:
        """Returns fresh queries: rows moved in a random direction by half a neighbour's distance.

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
