"""Finds the rows that may be among a query's k nearest, by float32 keys with an error bound."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]
Float32s = npt.NDArray[np.float32]
Float64s = npt.NDArray[np.float64]
Ids = npt.NDArray[np.int64]

TILE_ROWS = 4096
RUN_ROWS = 16  # of a tile, compared at once
_ROUNDING = float(np.finfo(np.float32).eps)  # twice the unit roundoff, so a safe bound


def floats(rows: npt.NDArray[Any]) -> Floats:
    """Returns numbers of any type as floats; bytes are exact in float32."""
    return rows if rows.dtype.kind == "f" else rows.astype(np.float32)


def tiles(train: npt.NDArray[Any]) -> Iterator[Floats]:
    for start in range(0, len(train), TILE_ROWS):
        yield floats(train[start : start + TILE_ROWS])


@dataclass(frozen=True, slots=True, kw_only=True)
class Products:
    """How a metric orders the neighbours of a query by inner products.

    The key of a row x is square * |x|^2 - slope * (q . x).

    Attributes:
        moves: vectors may be moved to the origin, which keeps distances and reduces cancellation.
        normalises: vectors are scaled to unit length.
    """

    slope: float
    square: float
    moves: bool = False
    normalises: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Space:
    """Turns vectors into operands of an sgemm whose result is keys, smaller for nearer rows.

    key(q, x) = square * |x|^2 - slope * (q . x), less the bound on its rounding error
    gamma * (square * |x|^2 + slope * |q| |x|). Two extra columns hold these terms, so that
    the product itself is the LOWER bound of the key.
    """

    products: Products
    gamma: float
    origin: Float64s
    scale: float

    @classmethod
    def of(cls, train: Floats, queries: Floats, products: Products) -> Space:
        sample = np.asarray(train[:: max(1, len(train) // TILE_ROWS)], dtype=np.float64)
        origin = sample.mean(axis=0) if products.moves else np.zeros(train.shape[1])
        parts = (train, queries) if len(queries) else (train,)
        largest = max(max(float(part.max()), -float(part.min())) for part in parts)
        # A power of two, so that scaling is exact and no square overflows float32.
        # (At most 2^126, the limit of float32, for denormal numbers too.)
        scale = 1.0 if largest == 0 else 2.0 ** min(126.0, -np.ceil(np.log2(largest)))
        return cls(
            products=products,
            gamma=_ROUNDING * (train.shape[1] + 8),
            origin=origin,
            scale=float(scale),
        )

    def place(self, vectors: Floats) -> tuple[Float32s, Float32s]:
        """Returns vectors moved, scaled or normalised, float32 (n, d), and norms (n,)."""
        if self.products.normalises:
            return _normalised(vectors, self.scale)
        if self.products.moves:
            placed = vectors - self.origin.astype(vectors.dtype)
            placed *= vectors.dtype.type(self.scale)
        else:
            placed = vectors * vectors.dtype.type(self.scale)
        narrow = np.asarray(placed, dtype=np.float32)
        return narrow, np.sqrt(np.einsum("ij,ij->i", narrow, narrow))

    def train_operand(self, rows: Floats) -> tuple[Float32s, Float32s]:
        """Returns rows as an operand, float32 (n, d + 2), and their norms (n,)."""
        placed, norms = self.place(rows)
        squares = norms**2 * np.float32(self.products.square * (1.0 - self.gamma))
        return np.column_stack((placed, squares, norms)), norms

    def query_operand(self, queries: Floats) -> tuple[Float32s, Float32s]:
        """Returns queries as an operand, float32 (m, d + 2), and their norms (m,)."""
        placed, norms = self.place(queries)
        bounds = np.float32(-self.gamma * self.products.slope) * norms
        columns = (np.float32(-self.products.slope) * placed, np.ones_like(norms), bounds)
        return np.column_stack(columns), norms

    def width(self, query_norms: Float32s, train_norms: Float32s) -> Float32s:
        """Returns the upper minus the lower bound of each key."""
        slope, square = self.products.slope, self.products.square
        error = square * (train_norms**2 + query_norms**2) + slope * query_norms * train_norms
        return np.asarray(2.0 * self.gamma * error + 1e-30, dtype=np.float32)


def _normalised(vectors: Floats, scale: float) -> tuple[Float32s, Float32s]:
    placed = np.asarray(vectors * vectors.dtype.type(scale), dtype=np.float32)
    squares = np.einsum("ij,ij->i", placed, placed)
    tiny = np.flatnonzero(squares < 1e-25)
    if tiny.size:  # zero, or so much shorter than the others that its square underflows
        wide = np.asarray(vectors[tiny], dtype=np.float64)
        norms = np.sqrt(np.einsum("ij,ij->i", wide, wide))
        placed[tiny] = np.divide(
            wide, norms[:, None], out=np.zeros_like(wide), where=norms[:, None] > 0
        )
        squares[tiny] = norms > 0
    lengths = np.sqrt(squares)
    placed *= np.divide(1.0, lengths, out=np.zeros_like(lengths), where=lengths > 0)[:, None]
    return placed, (lengths > 0).astype(np.float32)


class Pool:
    """The rows that may still be among the k nearest of each query.

    Attributes:
        keep: most candidates of a query after shrinking; with more it is ``crowded``.
        limits: float32 (m,): a row whose lower key is above it cannot be a neighbour.
    """

    def __init__(self, space: Space, query_norms: Float32s, k: int) -> None:
        n_queries = len(query_norms)
        self.space, self.query_norms, self.k = space, query_norms, k
        self.keep = 2 * k + 64
        self.room = self.keep + k + 64
        self.keys = np.full((n_queries, self.room), np.inf, dtype=np.float32)
        self.ids = np.zeros((n_queries, self.room), dtype=np.int64)
        self.counts = np.zeros(n_queries, dtype=np.int64)
        self.limits = np.full(n_queries, np.inf, dtype=np.float32)
        self.crowded = np.zeros(n_queries, dtype=np.bool_)

    def offer(self, keys: Float32s, first: int, start: int, train_norms: Float32s) -> None:
        """Adds the rows of a tile whose keys, float32 (tile, block), are within the limits."""
        block = slice(first, first + keys.shape[1])
        columns, rows = self._hits(keys, block)
        if not rows.size:
            return
        per_row = np.bincount(rows, minlength=keys.shape[1])
        if (per_row > self.room - self.counts[block]).any():
            self._make_room(keys, first, per_row, start, train_norms)
            within = keys[columns, rows] <= self.limits[first + rows]
            columns, rows = columns[within], rows[within]
            per_row = np.bincount(rows, minlength=keys.shape[1])
        ranks = np.arange(len(rows)) - (np.cumsum(per_row) - per_row)[rows]
        slots = self.counts[first + rows] + ranks
        self.keys[first + rows, slots] = keys[columns, rows]
        self.ids[first + rows, slots] = start + columns
        self.counts[block] += per_row

    def _hits(self, keys: Float32s, block: slice) -> tuple[Ids, Ids]:
        """Returns where keys are within their query's limit: rows of the tile, and queries, sorted.

        The least of several rows is compared first: nearly all are too far.
        """
        limits, n_queries = self.limits[block], keys.shape[1]
        whole = len(keys) // RUN_ROWS * RUN_ROWS
        runs = keys[:whole].reshape(-1, RUN_ROWS, n_queries)
        run, query = np.divmod(np.flatnonzero(runs.min(axis=1) <= limits), n_queries)
        which, row = np.nonzero(runs[run, :, query] <= limits[query, None])
        last, last_query = np.nonzero(keys[whole:] <= limits)
        columns = np.concatenate((run[which] * RUN_ROWS + row, whole + last))
        queries = np.concatenate((query[which], last_query))
        order = np.argsort(queries, kind="stable")
        return columns[order], queries[order]

    def _make_room(
        self, keys: Float32s, first: int, per_row: Ids, start: int, train_norms: Float32s
    ) -> None:
        """Tightens the limits of the queries whose new candidates do not fit."""
        over = np.flatnonzero(per_row > self.room - self.counts[first : first + keys.shape[1]])
        self.shrink(first + over, train_norms)
        if len(keys) <= self.k:
            return
        longest = train_norms[start : start + len(keys)].max()
        of_query = np.ascontiguousarray(keys[:, over].T)
        kth = np.partition(of_query, self.k - 1, axis=1)[:, self.k - 1]
        kth += self.space.width(self.query_norms[first + over], longest)
        self.limits[first + over] = np.minimum(self.limits[first + over], kth)
        found = np.count_nonzero(of_query <= self.limits[first + over, None], axis=1)
        self._give_up(first + over[found > self.room - self.counts[first + over]])

    def _give_up(self, rows: Ids) -> None:
        self.crowded[rows] = True
        self.limits[rows] = -np.inf

    def shrink(self, rows: Ids, train_norms: Float32s) -> None:
        """Drops rows that cannot be among the k nearest of these queries; tightens limits."""
        keys, ids = self.keys[rows], self.ids[rows]
        upper = keys + self.space.width(self.query_norms[rows, None], train_norms[ids])
        kth = np.partition(upper, self.k - 1, axis=1)[:, self.k - 1]
        self.limits[rows] = np.minimum(self.limits[rows], kth)
        kept = keys <= self.limits[rows, None]
        kept &= np.arange(self.room) < self.counts[rows, None]
        counts = np.count_nonzero(kept, axis=1)
        where, columns = np.nonzero(kept)
        slots = np.arange(len(where)) - (np.cumsum(counts) - counts)[where]
        self.keys[rows] = np.inf
        self.keys[rows[where], slots] = keys[where, columns]
        self.ids[rows[where], slots] = ids[where, columns]
        self.counts[rows] = counts
        self._give_up(rows[counts > self.keep])

    def unproven(self, guesses: Float32s, train_norms: Float32s) -> Ids:
        """Returns the queries that may have a neighbour beyond their guessed limit, int64.

        Where k rows are certainly within it, no row beyond it is among the k nearest.
        """
        norms = train_norms[self.ids]
        upper = self.keys + self.space.width(self.query_norms[:, None], norms)
        certain = np.count_nonzero(upper <= guesses[:, None], axis=1)
        return np.flatnonzero((certain < self.k) & ~self.crowded)
