"""Reads the rows of an open file in the layout of its metric.

Floats are one row per vector. Bits are one value each (bool, or numbers 0 and 1), or packed eight
to a byte. Sets are one run of members with the set sizes beside it (``size_train``,
``size_test``), or a row of 0 and 1 per set.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pytest_annmodal.datasets.hdf5 import storage
from pytest_annmodal.distances.metrics import BY_WORD
from pytest_annmodal.distances.rows import LAYOUTS, Layout, Sets, joined
from pytest_annmodal.errors import DatasetFormatError

CHUNK_BYTES = 32 * 2**20
BITS, DIMENSION = "bits", "dimension"  # attributes; BITS only of packed files written here
SIZES = {"train": "size_train", "test": "size_test"}  # arrays with the sizes of sets
SAMPLE_ROWS = 1000
LARGEST_MEMBER = 2**31 - 2  # indices of scipy are int32
POINT_TYPES = {"floats": "float", "bits": "bit", "sets": "int"}


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRows:
    """One array of rows in an open file.

    Attributes:
        array: the h5py dataset.
        n: number of rows.
        dim: numbers or bits of a row, or the number of possible members of a set.
        kept_as: numpy type of the rows in memory.
    """

    path: Path
    name: str
    array: Any
    layout: Layout
    n: int
    dim: int
    kept_as: str

    def __len__(self) -> int:
        return self.n

    def read(self, start: int = 0, stop: int | None = None) -> Any:
        """Returns these rows in their layout."""
        with np.errstate(over="ignore", invalid="ignore"):
            values = self.array[start : self.n if stop is None else stop]
            return self.layout.kept(values, self.kept_as)

    def chunks(self) -> Iterator[tuple[int, Any]]:
        """Yields all rows piece by piece, with the number of the first row of each piece."""
        step = max(1, CHUNK_BYTES // self.row_bytes)
        for start in range(0, self.n, step):
            yield start, self.read(start, min(start + step, self.n))

    def taken(self, rows: Any) -> Any:
        """Returns rows of these ascending numbers, by reading all: single rows are slow in HDF5."""
        parts = []
        for start, chunk in self.chunks():
            first, end = np.searchsorted(rows, (start, start + len(chunk)))
            if first < end:
                parts.append(chunk[rows[first:end] - start])
        return joined(parts)

    def repeats(self, rows: Any) -> bool:  # noqa: ARG002 -- only sets do
        """Returns whether a set of the file repeats a member, which changes its distances there.

        Args:
            rows: all rows, as :meth:`read` returns them.
        """
        return False

    @property
    def row_bytes(self) -> int:
        return int(self.array.dtype.itemsize * self.array.shape[1])

    @property
    def map_offset(self) -> int | None:
        """The array's first byte, if it can be mapped without conversion."""
        is_kept = self.array.dtype.name == self.kept_as
        return storage.map_offset(self.array) if is_kept else None


@dataclass(frozen=True, slots=True, kw_only=True)
class UnpackedRows(StoredRows):
    """Rows of 0 and 1 (or bool), one value per bit or possible member."""

    def read(self, start: int = 0, stop: int | None = None) -> Any:
        values = self.array[start : self.n if stop is None else stop]
        if values.dtype.kind != "b":
            self._require_ones(values, start)
        return self.layout.kept(values, self.kept_as)

    def _require_ones(self, values: Any, start: int) -> None:
        wrong = np.argwhere((values != 0) & (values != 1))
        if wrong.size:
            row, column = (int(i) for i in wrong[0])
            raise DatasetFormatError(
                f"{self.path}: {self.name}[{start + row}, {column}] is {values[row, column]}; "
                f"expected 0 or 1 for each bit. Packed bits must be uint8 in the order of "
                f"numpy.packbits, with the number of bits of a row in the attribute {BITS}."
            )

    @property
    def map_offset(self) -> int | None:
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Packed(StoredRows):
    """Bits eight to a byte, in the order of ``numpy.packbits``."""

    def read(self, start: int = 0, stop: int | None = None) -> Any:
        values: Any = self.array[start : self.n if stop is None else stop]
        spare = 8 * values.shape[1] - self.dim
        wrong = np.flatnonzero(values[:, -1] & ((1 << spare) - 1))
        if wrong.size:
            raise DatasetFormatError(
                f"{self.path}: {self.name} has bits beyond its {self.dim} in row "
                f"{start + int(wrong[0])}; expected 0 there, as numpy.packbits writes them."
            )
        return np.ascontiguousarray(values)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOfSets(StoredRows):
    """One run of members; ``offsets`` (n + 1,) say where each set begins."""

    offsets: Any

    def read(self, start: int = 0, stop: int | None = None) -> Any:
        edges = self.offsets[start : (self.n if stop is None else stop) + 1]
        members = self.array[edges[0] : edges[-1]]
        wrong = np.flatnonzero((members < 0) | (members >= self.dim))
        if wrong.size:
            row = int(np.searchsorted(self.offsets, edges[0] + wrong[0], side="right")) - 1
            raise DatasetFormatError(
                f"{self.path}: {self.name} names {members[wrong[0]]} in set {row}; expected "
                f"members from 0 to {self.dim - 1} (its attribute {DIMENSION}, less one)."
            )
        return Sets.from_flat(members, np.diff(edges))

    def repeats(self, rows: Any) -> bool:
        return len(rows.members) != len(self.array)

    @property
    def row_bytes(self) -> int:
        return 1 + int(self.array.dtype.itemsize * len(self.array)) // self.n

    @property
    def map_offset(self) -> int | None:
        return None


def of_file(
    path: Path, layout: Layout, found: Mapping[str, Any], attrs: Mapping[str, Any]
) -> tuple[StoredRows, StoredRows]:
    """Returns ``train`` and ``test`` of an open file; checks their shapes and types.

    Args:
        found: its arrays by name.
        attrs: its attributes.

    Raises:
        DatasetFormatError: they do not fit the layout.
    """
    if layout is LAYOUTS["sets"] and {found[name].ndim for name in SIZES} == {1}:
        return _runs_of_sets(path, layout, found, attrs)
    _require_matrices(path, found, may_be_bool=layout is not LAYOUTS["floats"])
    arrays = {name: found[name] for name in SIZES}
    stored = {array.dtype.name for array in arrays.values()}
    kept_as = next((name for name in layout.dtypes if stored == {name}), layout.dtypes[0])
    kind, dim = _kind_of(path, layout, arrays, attrs)
    train, test = (
        kind(
            path=path,
            name=name,
            array=array,
            layout=layout,
            n=len(array),
            dim=dim,
            kept_as=kept_as,
        )
        for name, array in arrays.items()
    )
    return train, test


def _kind_of(
    path: Path, layout: Layout, arrays: Mapping[str, Any], attrs: Mapping[str, Any]
) -> tuple[type[StoredRows], int]:
    """Returns the class that reads the rows, and their dimension."""
    train = arrays["train"]
    width = int(train.shape[1])
    if layout is LAYOUTS["floats"]:
        return StoredRows, width
    if layout is not LAYOUTS["bits"] or any(a.dtype != np.uint8 for a in arrays.values()):
        return UnpackedRows, width
    said = _number(path, attrs, BITS)
    if said is not None:
        if -(-said // 8) != width:
            raise DatasetFormatError(
                f"{path}: its attribute {BITS} says {said}, and train has {width} bytes a row; "
                f"expected {-(-said // 8)}. Correct one of them."
            )
        return Packed, said
    # A byte above 1 must be eight packed bits; with 0 and 1 only, each byte is taken as one bit.
    step = max(1, len(train) // SAMPLE_ROWS)
    if max(array[:: step if array is train else 1].max() for array in arrays.values()) <= 1:
        return UnpackedRows, width
    said = _number(path, attrs, DIMENSION)
    return Packed, said if said is not None and -(-said // 8) == width else 8 * width


def _runs_of_sets(
    path: Path, layout: Layout, found: Mapping[str, Any], attrs: Mapping[str, Any]
) -> tuple[StoredRows, StoredRows]:
    offsets = {name: _offsets(path, name, found) for name in SIZES}
    dim = _number(path, attrs, DIMENSION)
    if dim is None:
        dim = 1 + max(int(found[name][:].max(initial=0)) for name in SIZES)
    train, test = (
        RunOfSets(
            path=path,
            name=name,
            array=found[name],
            layout=layout,
            n=len(offsets[name]) - 1,
            dim=dim,
            kept_as=layout.dtypes[0],
            offsets=offsets[name],
        )
        for name in SIZES
    )
    return train, test


def _offsets(path: Path, name: str, found: Mapping[str, Any]) -> Any:
    """Returns where each set of a run begins, int64 (n + 1,)."""
    array, sizes = found[name], found.get(SIZES[name])
    if sizes is None or sizes.ndim != 1 or not len(sizes):
        raise DatasetFormatError(
            f"{path}: {name} is one run of numbers, and {SIZES[name]} "
            f"{'is missing' if sizes is None else f'has shape {sizes.shape}'}; expected the size "
            "of each set there."
        )
    for part, values in ((name, array), (SIZES[name], sizes)):
        if values.dtype.kind not in "iu":
            raise DatasetFormatError(
                f"{path}: {part} holds {values.dtype}; expected whole numbers."
            )
    counts = sizes[:].astype(np.int64)
    if (counts < 0).any() or counts.sum() != len(array):
        raise DatasetFormatError(
            f"{path}: {SIZES[name]} adds up to {int(counts.sum()):,}, but {name} has "
            f"{len(array):,} members. The file is cut off, or its writer failed: write it again."
        )
    return np.concatenate([[0], np.cumsum(counts)])


def _number(path: Path, attrs: Mapping[str, Any], name: str) -> int | None:
    said = attrs.get(name)
    if said is None:
        return None
    try:
        number = int(said)
    except (TypeError, ValueError):
        number = 0
    if not 1 <= number <= LARGEST_MEMBER:
        raise DatasetFormatError(
            f"{path}: its attribute {name} is {str(said)[:60]!r}; expected a whole number, at "
            "least 1. Correct it."
        )
    return number


def attributes(train: Any, metric: str, dim: int | None) -> dict[str, str | int]:
    """Returns the attributes of a file with these rows."""
    layout = BY_WORD[metric].layout if metric in BY_WORD else "floats"
    packed = {BITS: dim} if layout == "bits" and dim is not None else {}
    is_sparse = isinstance(train, Sets)
    width = 1 + int(train.members.max(initial=0)) if is_sparse else train.shape[1]
    return {
        "type": "sparse" if is_sparse else "dense",
        "point_type": POINT_TYPES[layout],
        DIMENSION: dim or width,
        **packed,
    }


def written(arrays: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yields names and arrays to write; sets give two arrays."""
    for name, values in arrays.items():
        if isinstance(values, Sets):
            yield name, values.members.astype(np.int32)
            yield SIZES[name], values.sizes
        elif values is not None:
            yield name, values


def _require_matrices(path: Path, found: Mapping[str, Any], *, may_be_bool: bool) -> None:
    """Raises DatasetFormatError unless both are tables of numbers, not empty and of one width."""
    for name in ("train", "test"):
        array = found[name]
        if array.ndim != 2:
            raise DatasetFormatError(
                f"{path}: {name} has shape {array.shape}; expected two dimensions, one "
                "row per vector."
            )
        if not (may_be_bool and array.dtype.kind == "b"):
            storage.require_numbers(path, name, array)
        if 0 in array.shape:
            raise DatasetFormatError(
                f"{path}: {name} has shape {array.shape}; expected at least one row and one column."
            )
    train, test = found["train"], found["test"]
    if train.shape[1] != test.shape[1]:
        raise DatasetFormatError(
            f"{path}: train has {train.shape[1]} dimensions and test has {test.shape[1]}; "
            "expected the same number."
        )
