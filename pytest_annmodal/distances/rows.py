"""The layouts of a dataset's rows in memory.

A :class:`Layout` is how the rows of a metric's datasets are kept: ``floats`` (n, d), ``bits``
packed eight to a byte (n, ceil(d / 8)), or :class:`Sets`. The forms in which implementations get
them are in :mod:`.forms`. Standard library and numpy only, since workers import it.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from pytest_annmodal.distances.layouts import LAYOUT_FORMS

Array = NDArray[Any]
Bytes = NDArray[np.uint8]
CHUNK_BYTES = 32 * 2**20
HASHED_BYTES = 2**19  # at once: fits a core's own cache
GLANCE_BYTES = 64  # a line of a processor's cache


@dataclass(frozen=True, slots=True, eq=False)
class Sets:
    """Sets of whole numbers, one after the other in memory.

    Attributes:
        members: uint32 (total,); within a set ascending, without repetition.
        offsets: int64 (n + 1,), where each set begins in ``members``; the last is its length.
    """

    members: NDArray[np.uint32]
    offsets: NDArray[np.int64]

    @classmethod
    def of(cls, sets: Iterable[Any]) -> Sets:
        """Builds sets from iterables of numbers in any order."""
        arrays = [np.asarray(list(one), dtype=np.int64) for one in sets]
        flat = np.concatenate(arrays) if arrays else np.empty(0, np.int64)
        return cls.from_flat(flat, np.asarray([len(one) for one in arrays], np.int64))

    @classmethod
    def from_flat(cls, members: Array, sizes: Array) -> Sets:
        """Builds sets from one array of all members and their sizes.

        Sorts the members of each set and drops repeated ones.
        """
        offsets = _offsets(sizes)
        flat = np.ascontiguousarray(members, dtype=np.uint32)
        ascends = np.ones(len(flat), np.bool_)
        ascends[1:] = flat[1:] > flat[:-1]
        ascends[offsets[:-1][offsets[:-1] < len(flat)]] = True
        if ascends.all():
            return cls(flat, offsets)
        owner = np.repeat(np.arange(len(sizes)), sizes)
        order = np.lexsort((flat, owner))
        flat, owner = flat[order], owner[order]
        first = np.ones(len(flat), np.bool_)
        first[1:] = (flat[1:] != flat[:-1]) | (owner[1:] != owner[:-1])
        return cls(flat[first], _offsets(np.bincount(owner[first], minlength=len(sizes))))

    @classmethod
    def from_matrix(cls, matrix: Array) -> Sets:
        """Builds sets from a row of 0 and 1 each: its members are the columns that are not 0."""
        rows, columns = np.nonzero(matrix)
        return cls(columns.astype(np.uint32), _offsets(np.bincount(rows, minlength=len(matrix))))

    @classmethod
    def from_padded(cls, padded: NDArray[np.uint32]) -> Sets:
        """Returns the inverse of :meth:`padded`."""
        sizes = padded[:, 0].astype(np.int64)
        there = np.arange(padded.shape[1] - 1) < sizes[:, None]
        return cls(padded[:, 1:][there], _offsets(sizes))

    @classmethod
    def from_bytes(cls, memory: Bytes, n: int) -> Sets:
        """Returns the inverse of :meth:`to_bytes`, without a copy."""
        split = 8 * (n + 1)
        return cls(memory[split:].view(np.uint32), memory[:split].view(np.int64))

    @classmethod
    def joined(cls, parts: Sequence[Sets]) -> Sets:
        sizes = np.concatenate([part.sizes for part in parts])
        return cls(np.concatenate([part.members for part in parts]), _offsets(sizes))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, rows: slice | Array) -> Sets:
        """Returns the sets of a slice or of an array of numbers (m,)."""
        if isinstance(rows, slice):
            start, stop, step = rows.indices(len(self))
            if step == 1 and start < stop:
                edges = self.offsets[start : stop + 1]
                return Sets(self.members[edges[0] : edges[-1]], edges - edges[0])
            rows = np.arange(start, stop, step)
        sizes = self.sizes[rows]
        offsets = _offsets(sizes)
        places = np.repeat(self.offsets[:-1][rows] - offsets[:-1], sizes)
        return Sets(self.members[places + np.arange(len(places))], offsets)

    @property
    def sizes(self) -> NDArray[np.int64]:
        """The number of members of each set, int64 (n,)."""
        return np.diff(self.offsets)

    @property
    def longest(self) -> int:
        return int(self.sizes.max(initial=0))

    @property
    def nbytes(self) -> int:
        return self.members.nbytes + self.offsets.nbytes

    def lists(self) -> list[NDArray[np.uint32]]:
        """Returns one ascending array per set; views, not copies."""
        edges = self.offsets.tolist()
        return [self.members[a:b] for a, b in itertools.pairwise(edges)]

    def padded(self, width: int | None = None) -> NDArray[np.uint32]:
        """Returns rows of equal width, uint32 (n, width): size, members, zeros."""
        padded = np.zeros((len(self), width or 1 + self.longest), np.uint32)
        padded[:, 0] = self.sizes
        there = np.arange(padded.shape[1] - 1) < self.sizes[:, None]
        padded[:, 1:][there] = self.members
        return padded

    def to_bytes(self) -> Bytes:
        """Returns the bytes of the offsets, then of the members."""
        return np.concatenate([self.offsets.view(np.uint8), self.members.view(np.uint8)])

    def csr(self, dim: int) -> Any:
        """Returns a ``scipy.sparse.csr_array`` (n, dim) of bool that shares the members."""
        from scipy.sparse import csr_array  # type: ignore[import-untyped]

        there = np.ones(len(self.members), np.bool_)
        return csr_array((there, self.members.view(np.int32), self.offsets), (len(self), dim))


Rows = Array | Sets


def _offsets(sizes: Array) -> NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)


def joined(parts: Sequence[Any]) -> Any:
    """Concatenates parts of rows of one layout."""
    return Sets.joined(parts) if isinstance(parts[0], Sets) else np.concatenate(parts)


class Layout:
    """How the rows of a dataset are kept in memory. See :data:`LAYOUTS`.

    Attributes:
        dtypes: numpy types in which rows may be kept; the default first.
        forms: names of the forms in which an implementation may get them; the default first.
        zero_words: words for the rows that :meth:`zero` finds.
        may_repeat_ids: ann-benchmarks pads a truth by repeating a row, where a query has too few
            neighbours. Such a truth is computed again.
    """

    forms: ClassVar[tuple[str, ...]]
    zero_words: ClassVar[str] = "zero vectors"
    may_repeat_ids: ClassVar[bool] = False

    dtypes: ClassVar[tuple[str, ...]]

    def kept(self, values: Array, dtype: str) -> Any:
        """Converts numbers of a file (n, width) to rows of this layout.

        Args:
            dtype: one of ``dtypes``.
        """
        raise NotImplementedError

    def to_memory(self, rows: Any) -> Array:
        """Returns all rows as one array, to be written as plain bytes."""
        return np.ascontiguousarray(rows)

    def from_memory(self, memory: Bytes, n: int, dtype: str) -> Any:
        """Returns the inverse of :meth:`to_memory`, without a copy."""
        return memory.view(dtype).reshape(n, -1)

    def to_message(self, rows: Any) -> Array:
        """Returns queries as one array."""
        return np.ascontiguousarray(rows)

    def from_message(self, array: Array) -> Any:
        """Returns the inverse of :meth:`to_message`."""
        return array

    def hashes(self, rows: Any) -> NDArray[np.uint64]:
        """Returns one number per row: equal for equal rows, 0 for zeros; collisions are rare."""
        return _dense_hashes(rows)

    def glance(self, rows: Any) -> Any:
        """Returns a part of each row, a view: a few bytes from its middle.

        Returns ``rows`` themselves where they are hardly longer, or have no middle.
        """
        n = GLANCE_BYTES // rows.dtype.itemsize
        start = (rows.shape[1] - n) // 2
        return rows[:, start : start + n] if rows.shape[1] > 2 * n else rows

    def zero(self, rows: Any) -> NDArray[np.bool_]:
        """Returns which rows are all zeros or empty, bool (n,)."""
        return np.asarray(~rows.any(axis=1))

    def profile(self, rows: Any, dim: int) -> tuple[int, NDArray[np.float64]]:
        """Returns the number of constant columns, and the length of each row, float64 (n,)."""
        raise NotImplementedError

    def unusable(self, rows: Any) -> NDArray[np.int64]:
        """Returns the numbers of the rows with NaN or infinity."""
        return np.empty(0, np.int64)

    def longest(self, rows: Any) -> int:
        """Returns the size of the largest set; 0 for other rows."""
        return 0

    def between(self, rows: Any, others: Any, rng: np.random.Generator) -> Any:
        """Returns a row between each pair, to be used as a query."""
        raise NotImplementedError

    def form(self, asked: Sequence[str], rows: Any) -> str:
        """Returns the name of the form in which an implementation gets the rows.

        Args:
            asked: its header's ``dtypes``.
        """
        return next((name for name in asked if name in self.forms), self.forms[0])


class FloatRows(Layout):
    """Numbers (n, d): bytes as stored, all else as float32."""

    forms = dtypes = LAYOUT_FORMS["floats"]

    def kept(self, values: Array, dtype: str) -> Any:
        return np.ascontiguousarray(values, dtype=dtype)

    def profile(self, rows: Any, dim: int) -> tuple[int, NDArray[np.float64]]:
        """Lengths are L2 norms."""
        low, high, lengths = [], [], []
        for part in _parts(rows):
            low.append(part.min(axis=0))
            high.append(part.max(axis=0))
            lengths.append(np.sqrt(np.einsum("ij,ij->i", part, part, dtype=np.float64)))
        n_constant = np.count_nonzero(np.min(low, axis=0) == np.max(high, axis=0))
        return int(n_constant), np.concatenate(lengths)

    def unusable(self, rows: Any) -> NDArray[np.int64]:
        with np.errstate(over="ignore", invalid="ignore"):
            total = rows.sum()  # NaN and infinity survive a sum, the cheapest check
        if np.isfinite(total):
            return super().unusable(rows)
        return np.flatnonzero(~np.isfinite(rows).all(axis=1))

    def between(self, rows: Any, others: Any, rng: np.random.Generator) -> Any:
        half = (rows.astype(np.float32) + others.astype(np.float32)) / 2
        return np.ascontiguousarray(half, rows.dtype)

    def form(self, asked: Sequence[str], rows: Any) -> str:
        name: str = rows.dtype.name
        return name if name in asked else "float32"


class BitRows(Layout):
    """Bits packed as by ``numpy.packbits``, uint8 (n, ceil(d / 8)); padding bits are 0."""

    forms = LAYOUT_FORMS["bits"]
    dtypes = ("uint8",)
    zero_words = "rows without a bit"

    def kept(self, values: Array, dtype: str) -> Any:
        """Packs one value per bit."""
        return np.packbits(values != 0, axis=1)

    def profile(self, rows: Any, dim: int) -> tuple[int, NDArray[np.float64]]:
        """Lengths are numbers of ones."""
        of_columns, of_rows = np.zeros(dim, np.int64), []
        for part in _parts(rows):
            ones = np.unpackbits(part, axis=1, count=dim)
            of_columns += ones.sum(axis=0, dtype=np.int64)
            of_rows.append(ones.sum(axis=1, dtype=np.float64))
        return _constant(of_columns, len(rows)), np.concatenate(of_rows)

    def between(self, rows: Any, others: Any, rng: np.random.Generator) -> Any:
        mask = rng.integers(0, 256, rows.shape, dtype=np.uint8)
        return (rows & mask) | (others & ~mask)


class SetRows(Layout):
    """Sets of numbers below d."""

    forms = LAYOUT_FORMS["sets"]
    dtypes = ("uint32",)
    zero_words = "empty sets"
    may_repeat_ids = True

    def kept(self, values: Array, dtype: str) -> Any:
        """Converts a row of 0 and 1 per set."""
        return Sets.from_matrix(values)

    def to_memory(self, rows: Any) -> Array:
        return rows.to_bytes()  # type: ignore[no-any-return]

    def from_memory(self, memory: Bytes, n: int, dtype: str) -> Any:
        return Sets.from_bytes(memory, n)

    def to_message(self, rows: Any) -> Array:
        return rows.padded()  # type: ignore[no-any-return]

    def from_message(self, array: Array) -> Any:
        return Sets.from_padded(array)

    def glance(self, rows: Any) -> Any:
        return rows

    def hashes(self, rows: Any) -> NDArray[np.uint64]:
        scattered = _scattered(rows.members.astype(np.uint64) + np.uint64(1))
        sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(scattered, dtype=np.uint64)])
        return sums[rows.offsets[1:]] - sums[rows.offsets[:-1]]  # type: ignore[no-any-return]

    def zero(self, rows: Any) -> NDArray[np.bool_]:
        return np.asarray(rows.sizes == 0)

    def profile(self, rows: Any, dim: int) -> tuple[int, NDArray[np.float64]]:
        """Lengths are numbers of members."""
        _, counts = np.unique(rows.members, return_counts=True)
        n_constant = dim - len(counts) + _constant(counts, len(rows))
        return n_constant, rows.sizes.astype(np.float64)

    def longest(self, rows: Any) -> int:
        return int(rows.longest)

    def between(self, rows: Any, others: Any, rng: np.random.Generator) -> Any:
        """Returns sets that have each member of either with probability one half."""
        pairs = zip(rows.lists(), others.lists(), strict=True)
        both = [np.concatenate(pair) for pair in pairs]
        return Sets.of(members[rng.random(len(members)) < 0.5] for members in both)


LAYOUTS: dict[str, Layout] = {"floats": FloatRows(), "bits": BitRows(), "sets": SetRows()}


def _parts(rows: Array) -> Iterator[Array]:
    """Yields slices of rows of a few MB, also once bits are unpacked."""
    step = max(1, CHUNK_BYTES // (8 * rows.shape[1]))
    for start in range(0, len(rows), step):
        yield rows[start : start + step]


def _constant(counts: Array, n: int) -> int:
    """Returns how many columns have a one in no row or in every row."""
    return int(np.count_nonzero((counts == 0) | (counts == n)))


def _scattered(numbers: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Returns hashes whose sums rarely collide (the finaliser of splitmix64)."""
    x = numbers * np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def _mixed(words: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Returns numbers in which each bit has changed low ones, too; 0 stays 0.

    The signs of two floats are the highest bits of two words, which would cancel in a sum.
    """
    x = words ^ (words >> np.uint64(32))
    x *= np.uint64(0xBF58476D1CE4E5B9)
    return np.asarray(x ^ (x >> np.uint64(32)))


def _dense_hashes(rows: Array) -> NDArray[np.uint64]:
    width = rows.shape[1] * rows.dtype.itemsize
    words = -(-width // 8)
    odd = np.random.default_rng(0).integers(2**63, size=words, dtype=np.uint64)
    odd = odd * np.uint64(2) + np.uint64(1)
    hashes = np.empty(len(rows), dtype=np.uint64)
    step = max(1, HASHED_BYTES // width)
    for start in range(0, len(rows), step):
        part = rows[start : start + step]
        if part.dtype.kind == "f":
            part = part + part.dtype.type(0)  # -0.0 becomes 0.0
        if width % 8:
            wide = np.zeros((len(part), 8 * words), np.uint8)
            wide[:, :width] = np.ascontiguousarray(part).view(np.uint8)
        else:
            wide = np.ascontiguousarray(part)
        mixed = _mixed(wide.view(np.uint64))
        hashes[start : start + step] = np.einsum("ij,j->i", mixed, odd)
    return hashes
