"""Hamming distances of packed bits, counted exactly."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_annmodal.distances.candidates import Float32s, Float64s, Ids
from pytest_annmodal.distances.measure import NOISE, Array, Measure

TILE_BYTES = 2**19  # of rows at once, with their results: fits a core's own cache
PAIRS_BYTES = 2**22
MERGE_AT = 256  # candidates of a query beyond three times k
Packed = NDArray[np.uint8]
Counts = NDArray[Any]

ONES = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).sum(1, dtype=np.uint8)


def counts_by_table(words: Counts, out: Counts | None = None) -> Counts:
    """Returns the number of ones in each word, uint8."""
    by_byte = ONES[words.view(np.uint8)].reshape(*words.shape, words.dtype.itemsize)
    return np.asarray(by_byte.sum(axis=-1, dtype=np.uint8, out=out))


counts: Callable[..., Counts] = getattr(np, "bitwise_count", counts_by_table)  # new in numpy 2


def words(rows: Packed) -> NDArray[np.uint64]:
    """Returns rows as 64-bit words, (n, ceil(width / 8)); the last is padded with 0."""
    width = -(-rows.shape[1] // 8) * 8
    wide = rows
    if width != rows.shape[1]:
        wide = np.zeros((len(rows), width), np.uint8)
        wide[:, : rows.shape[1]] = rows
    return np.ascontiguousarray(wide).view(np.uint64)


class Hamming(Measure):
    """The number of bits that differ."""

    is_exact = True
    noise_metric = None

    def of_ids(self, train: Packed, queries: Packed, ids: NDArray[np.integer]) -> Float64s:
        out = np.empty(ids.shape, np.float64)
        step = max(1, PAIRS_BYTES // max(1, ids.shape[1] * train.shape[1]))
        for start in range(0, len(ids), step):
            part = slice(start, start + step)
            differ = counts(train[ids[part]] ^ queries[part, None])
            out[part] = differ.sum(axis=-1, dtype=np.int64)
        return out

    def nearest(self, train: Packed, queries: Packed, k: int) -> tuple[Ids, Float32s]:
        asked = words(queries)
        found = [_Nearest(k, 8 * train.shape[1] + 1) for _ in queries]
        step = max(1024, TILE_BYTES // (8 * asked.shape[1]))
        small = asked.shape[1] <= 3  # at most 192 bits, whose count fits a byte
        total_type = np.uint8 if small else np.uint16 if asked.shape[1] < 1024 else np.uint32
        for start in range(0, len(train), step):
            # Transposed, so that the words to add up lie side by side.
            tile = np.ascontiguousarray(words(train[start : start + step]).T)
            differ, ones = np.empty_like(tile), np.empty(tile.shape, np.uint8)
            total = np.empty(tile.shape[1], total_type)
            for query, nearest in zip(asked, found, strict=True):
                np.bitwise_xor(tile, query[:, None], out=differ)
                counts(differ, out=ones)
                np.add.reduce(ones, axis=0, dtype=total_type, out=total)
                nearest.offer(total, start)
        settled = [nearest.settled() for nearest in found]
        ids = np.stack([ids for _, ids in settled])
        return ids, np.stack([distances for distances, _ in settled]).astype(np.float32)

    def sizes(self, vectors: Array) -> Float64s:
        """Zero: counting does not round."""
        return np.zeros(vectors.shape[:-1])

    def published(self, distances: Array, dim: int) -> Array:
        """Returns distances in bits; a file may have them as shares of the bits."""
        shares = distances.max(initial=0) <= 1 and (distances != np.rint(distances)).any()
        return np.rint(distances * dim) if shares else distances

    def slack(self, distances: Array, queries: Any) -> Array:
        return np.full(distances.shape, 0.25)

    def as_ann_benchmarks(self, distances: Float64s, queries: Packed, dim: int) -> Float64s:
        return distances / dim

    def moved(
        self, rows: Packed, neighbor_distances: Array, rng: np.random.Generator, dim: int
    ) -> Packed:
        """Flips half as many bits as differ in the nearest neighbour."""
        bits = np.unpackbits(rows, axis=1, count=dim)
        for row, n in zip(bits, np.rint(NOISE * neighbor_distances).astype(int), strict=True):
            row[rng.choice(dim, n, replace=False)] ^= 1
        return np.packbits(bits, axis=1)


class _Nearest:
    """The k nearest rows of one query so far; in a tie, the smaller row number comes first."""

    def __init__(self, k: int, beyond: int) -> None:
        self.k, self.limit = k, beyond  # rows at the limit or beyond are not needed
        self.parts: list[tuple[Counts, Ids]] = []
        self.waiting = 0

    def offer(self, distances: Counts, start: int) -> None:
        """Adds the rows from ``start`` on that are nearer than the limit; call it in order."""
        hits = (distances < self.limit).nonzero()[0]
        if not hits.size:
            return
        self.parts.append((distances[hits], hits + start))
        self.waiting += hits.size
        if self.waiting > 3 * self.k + MERGE_AT:
            self.settled()

    def settled(self) -> tuple[Counts, Ids]:
        """Returns distances (k,), ascending, and row numbers; fewer if fewer were offered."""
        distances, ids = (np.concatenate(column) for column in zip(*self.parts, strict=True))
        best = np.argsort(distances, kind="stable")[: self.k]
        self.parts, self.waiting = [(distances[best], ids[best])], len(best)
        if len(best) == self.k:
            self.limit = int(distances[best[-1]])
        return self.parts[0]
