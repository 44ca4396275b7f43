"""Finds exact k nearest neighbours, for ground truth and for scoring.

``train`` is read in tiles. One sgemm gives a tile's keys for a block of queries. Keys are float32
and therefore inexact, so each has a bound on its rounding error: all rows that may be among the k
nearest within that bound are kept, and their distances are computed again in float64. A query with
too many candidates (many ties) is scanned in float64. Metrics whose order does not follow from
products compute every distance.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_annmodal.distances import metrics
from pytest_annmodal.distances.candidates import (
    TILE_ROWS,
    Float32s,
    Float64s,
    Floats,
    Ids,
    Pool,
    Space,
    floats,
    tiles,
)
from pytest_annmodal.distances.measure import LEAST, PAIRS_BYTES, Bounds, Measure
from pytest_annmodal.errors import ConfigurationError

BLOCK_QUERIES = 1024
GROUP_QUERIES = 8192  # bounds the candidates held at once
CHUNK_BYTES = 16 * 2**20
KEYS_BYTES = 64 * 2**20
FARTHEST_PAIRS = 2**16  # of queries and rows, whose bounds are held at once
LEAST_GUESSED = 8 * TILE_ROWS  # rows; with fewer a sample is no help
SAMPLED_OF, MOST_SAMPLED = 24, 4096
KEY_ROUNDING = float(np.finfo(np.float32).eps)


def knn(train: Any, queries: Any, k: int, metric: str) -> tuple[Ids, Float32s]:
    """Returns the k nearest rows of ``train`` for each query.

    Args:
        train: n rows in the metric's layout; a memory map is read tile by tile.
        queries: m rows, likewise.
        k: number of neighbours, at most n.
        metric: a name in :data:`~pytest_annmodal.distances.metrics.METRICS`.

    Returns:
        ids int64 (m, k) and distances float32 (m, k), ascending; ties by smaller id.

    Raises:
        ConfigurationError: ``k`` is out of range, or ``metric`` is unknown.
    """
    measure = metrics.named(metric).measure
    if not 1 <= k <= len(train):
        raise ConfigurationError(f"k must be between 1 and the {len(train)} rows of train: got {k}")
    found = measure.nearest(train, queries, k)
    if found is not None:
        return found
    queries = floats(queries)
    with np.errstate(over="ignore"):  # a distance beyond float32 is infinite
        if measure.products is None:
            return _by_distances(train, queries, k, measure)
        ids = np.empty((len(queries), k), dtype=np.int64)
        distances = np.empty((len(queries), k), dtype=np.float32)
        space = Space.of(train, queries, measure.products)
        for start in range(0, len(queries), GROUP_QUERIES):
            group = slice(start, start + GROUP_QUERIES)
            ids[group], distances[group] = _knn_group(space, measure, train, queries[group], k)
    return ids, distances


def pair_distances(train: Any, queries: Any, ids: npt.NDArray[np.integer], metric: str) -> Float64s:
    """Returns distances between each query and the rows of ``train`` in its ``ids``.

    Floats are computed in float64, Euclidean distances from differences of the vectors, so that a
    duplicate is at exactly 0.

    Args:
        train, queries: n and m rows.
        ids: integers (m, k) in [0, n).
        metric: as for :func:`knn`.

    Returns:
        float64 (m, k), in the order of ``ids``.
    """
    return metrics.named(metric).measure.of_ids(train, queries, ids)


def pair_bounds(
    train: Any,
    queries: Any,
    which: npt.NDArray[np.integer],
    ids: npt.NDArray[np.integer],
    metric: str,
) -> Bounds | None:
    """Returns the least and the most that :func:`pair_distances` may give for single pairs.

    Takes a fraction of its time, since it reckons in float32. A bound is infinite where float32
    does not tell.

    Args:
        train, queries, metric: as for :func:`pair_distances`.
        which: integers (p,), the number of each pair's query.
        ids: integers (p,) in [0, n), its row.

    Returns:
        Two arrays, float64 (p,); None for a metric or for numbers that have no bounds.
    """
    measure = metrics.named(metric).measure
    if type(measure).bounds is Measure.bounds or not (
        np.can_cast(train.dtype, np.float32) and np.can_cast(queries.dtype, np.float32)
    ):
        return None
    low, high = np.empty(len(ids)), np.empty(len(ids))
    step = max(1, PAIRS_BYTES // (4 * max(1, train.shape[1])))
    asked = np.asarray(queries, dtype=np.float32)
    with np.errstate(over="ignore", invalid="ignore"):  # such bounds become infinite
        squares = np.einsum("ij,ij->i", asked, asked)
        for start in range(0, len(ids), step):
            part = slice(start, start + step)
            rows = train.take(ids[part], axis=0).astype(np.float32, copy=False)
            of_part = which[part]
            found = measure.bounds(rows, asked.take(of_part, axis=0), squares[of_part])
            assert found is not None
            low[part], high[part] = found
    return low, high


def farthest(
    train: Any, queries: Any, ids: npt.NDArray[np.integer], metric: str
) -> tuple[Float64s, npt.NDArray[np.integer]]:
    """Returns the greatest distance (m,) of each query to the rows in ``ids`` (m, k), and that row.

    Of equally far rows it is the first. Only rows that may be the farthest are looked at exactly.
    """
    k = ids.shape[1]
    step = max(1, FARTHEST_PAIRS // k)
    distances, places = np.empty(len(ids)), np.empty(len(ids), np.int64)
    for start in range(0, len(ids), step):
        part, asked = ids[start : start + step], queries[start : start + step]
        which = np.repeat(np.arange(len(part)), k)
        bounds = pair_bounds(train, asked, which, part.reshape(-1), metric)
        if bounds is None:
            true = pair_distances(train, asked, part, metric)
        else:
            low, high = (bound.reshape(part.shape) for bound in bounds)
            row, column = np.nonzero(high >= low.max(axis=1)[:, None])
            true = np.full(part.shape, -np.inf)
            at = part[row, column][:, None]
            true[row, column] = pair_distances(train, asked[row], at, metric)[:, 0]
        places[start : start + step] = true.argmax(axis=1)
        distances[start : start + step] = true.max(axis=1)
    return distances, np.take_along_axis(ids, places[:, None], axis=1)[:, 0]


def rounding(train: Any, queries: Any, ids: npt.NDArray[np.integer], metric: str) -> Float64s:
    """Returns the absolute error that rounding may give a computed distance.

    A distance may be the small difference of large terms, so the error depends on the sizes of the
    vectors rather than on the distance.

    Args:
        train, queries, metric: as for :func:`pair_distances`.
        ids: integers (m,), one row of ``train`` for each query.

    Returns:
        float64 (m,).
    """
    return metrics.named(metric).measure.rounding(queries, train[ids])


def _knn_group(
    space: Space,
    measure: Measure,
    train: Floats,
    queries: Floats,
    k: int,
    *,
    sampled: bool = True,
) -> tuple[Ids, Float32s]:
    """Finds the nearest rows of at most GROUP_QUERIES queries.

    Args:
        sampled: whether a sample of ``train`` first shows where to look. Queries that it misleads
            are answered again without it.
    """
    operand, query_norms = space.query_operand(queries)
    pool = Pool(space, query_norms, k)
    guesses = _guesses(space, train, operand, k) if sampled else None
    if guesses is not None:
        pool.limits[:] = guesses
    memory = np.empty(BLOCK_QUERIES * TILE_ROWS, dtype=np.float32)
    train_norms = np.empty(len(train), dtype=np.float32)
    for number, tile in enumerate(tiles(train)):
        start = number * TILE_ROWS
        rows, train_norms[start : start + len(tile)] = space.train_operand(tile)
        for first, keys in _products(operand, rows, memory):
            pool.offer(keys, first, start, train_norms)
    pool.shrink(np.flatnonzero(pool.counts > k), train_norms)
    ids, distances = _settle(measure, train, queries, k, pool)
    if guesses is not None:
        misled = pool.unproven(guesses, train_norms)
        if misled.size:
            ids[misled], distances[misled] = _knn_group(
                space, measure, train, queries[misled], k, sampled=False
            )
    return ids, distances


def _products(
    operand: Float32s, rows: Float32s, memory: Float32s
) -> Iterator[tuple[int, Float32s]]:
    """Yields the first query of each block, and keys of these rows, float32 (rows, block).

    They lie in the same memory one after the other.
    """
    for first in range(0, len(operand), BLOCK_QUERIES):
        block = operand[first : first + BLOCK_QUERIES]
        out = memory[: len(rows) * len(block)].reshape(len(rows), len(block))
        yield first, np.matmul(rows, block.T, out=out)


def _guesses(space: Space, train: Floats, operand: Float32s, k: int) -> Float32s | None:
    """Returns a limit for each query that few more than k rows keep, or None for a small train.

    It is a rank of the keys of a sample: so far above the rank that the k-th neighbour has there
    on average, that fewer than one query in 100,000 has it beyond.
    """
    n = min(MOST_SAMPLED, len(train) // SAMPLED_OF)
    expected = k * n / len(train)
    rank = int(expected + 5 * expected**0.5 + 1)
    if len(train) < LEAST_GUESSED or rank >= n:
        return None
    step = len(train) // n
    rows, _ = space.train_operand(floats(np.asarray(train[::step][:n])))
    memory = np.empty(BLOCK_QUERIES * n, dtype=np.float32)
    guesses = np.empty(len(operand), dtype=np.float32)
    for first, keys in _products(operand, rows, memory):
        of_query = np.ascontiguousarray(keys.T)
        guesses[first : first + len(of_query)] = np.partition(of_query, rank, axis=1)[:, rank]
    return guesses


def _settle(
    measure: Measure, train: Floats, queries: Floats, k: int, pool: Pool
) -> tuple[Ids, Float32s]:
    """Computes the candidates' distances in float64 and takes the k nearest of each query."""
    ids = np.empty((len(queries), k), dtype=np.int64)
    distances = np.empty((len(queries), k), dtype=np.float32)
    step = max(1, CHUNK_BYTES // (pool.keep * train.shape[1] * 8))
    for start in range(0, len(queries), step):
        part = slice(start, start + step)
        width = max(k, int(pool.counts[part].max()))
        filled = np.arange(width) < pool.counts[part, None]
        candidates = np.where(filled, pool.ids[part, :width], 0)
        exact = measure.of_ids(train, queries[part], candidates)
        exact[~filled] = np.inf
        order = np.lexsort((candidates, exact), axis=-1)[:, :k]
        ids[part] = np.take_along_axis(candidates, order, axis=1)
        distances[part] = np.take_along_axis(exact, order, axis=1)
    for row in np.flatnonzero(pool.crowded):
        ids[row], distances[row] = _scan(train, queries[row], k, measure)
    return ids, distances


def _by_distances(train: Floats, queries: Floats, k: int, measure: Measure) -> tuple[Ids, Float32s]:
    """Finds neighbours from every distance, in float32 where that is quicker.

    Distances that float32 may have put in the wrong order are computed again in float64.
    """
    ids = np.empty((len(queries), k), dtype=np.int64)
    distances = np.empty((len(queries), k), dtype=np.float32)
    errors = np.concatenate([measure.sizes(tile) for tile in tiles(train)])
    sizes, of_size = measure.sizes(queries), KEY_ROUNDING * (train.shape[1] + 8)
    step = max(1, KEYS_BYTES // (4 * len(train)))
    for start in range(0, len(queries), step):
        block = queries[start : start + step].astype(np.float32)
        keys = _keys(train, block, measure)
        for row, query in enumerate(queries[start : start + step], start):
            if keys is None:
                ids[row], distances[row] = _scan(train, query, k, measure)
                continue
            error = of_size * (errors + sizes[row]) + LEAST
            key = keys[row - start].astype(np.float64)
            limit = np.partition(key + error, k - 1)[k - 1]
            near = np.flatnonzero(~(key - error > limit))  # keeps infinite keys, too
            found = measure.pairs(train[near].astype(np.float64), query.astype(np.float64))
            order = np.lexsort((near, found))[:k]
            ids[row], distances[row] = near[order], found[order]
    return ids, distances


def _keys(train: Floats, queries: Float32s, measure: Measure) -> Float32s | None:
    """Returns quick distances, float32 (m, n), or None if the measure has none.

    Takes a few rows for all queries at a time, so that they stay in the cache.
    """
    if measure.quick_pairs(train[:1].astype(np.float32), queries[0]) is None:
        return None
    keys = np.empty((len(queries), len(train)), dtype=np.float32)
    step = max(1, PAIRS_BYTES // (4 * train.shape[1]))
    for start in range(0, len(train), step):
        rows = np.asarray(train[start : start + step], dtype=np.float32)
        for number, query in enumerate(queries):
            keys[number, start : start + step] = measure.quick_pairs(rows, query)
    return keys


def _scan(train: Floats, query: Floats, k: int, measure: Measure) -> tuple[Ids, Float32s]:
    """Scans every row for one query in float64; returns ids (k,) and distances (k,)."""
    if measure.at_zero is not None and not query.any():  # all rows are equally far
        return np.arange(k), np.full(k, measure.at_zero, dtype=np.float32)
    wide = query.astype(np.float64)
    parts = [measure.pairs(tile.astype(np.float64), wide) for tile in tiles(train)]
    exact = np.concatenate(parts)
    kth = np.partition(exact, k - 1)[k - 1]
    nearer = np.flatnonzero(exact < kth)
    ties = np.flatnonzero(exact == kth)[: k - len(nearer)]
    chosen = np.concatenate((nearer, ties))
    order = np.lexsort((chosen, exact[chosen]))
    return chosen[order], exact[chosen[order]].astype(np.float32)
