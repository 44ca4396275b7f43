"""The rows of an open file, read as the layout of its metric keeps them.

Floats are one row a vector. Bits are a value each (bool, or numbers 0 and 1), or packed eight to
a byte. Sets are one run of members with the sizes beside it (``size_train``, ``size_test``), or a
row of 0 and 1 each.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pytest_annmodal.datasets.hdf5 import storage
from pytest_annmodal.distances.rows import Layout, joined
from pytest_annmodal.errors import DatasetFormatError

CHUNK_BYTES = 32 * 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRows:
    """One array of rows in an open file.

    Attributes:
        array: as h5py has it.
        n, dim: rows; numbers, bits, or the largest member and one.
        kept_as: the numpy type that they are kept in.
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
        """These rows as they are kept."""
        with np.errstate(over="ignore", invalid="ignore"):
            values = self.array[start : self.n if stop is None else stop]
            return self.layout.kept(values, self.kept_as)

    def chunks(self) -> Iterator[tuple[int, Any]]:
        """All of them, piece by piece, with the number of the first row."""
        step = max(1, CHUNK_BYTES // self.row_bytes)
        for start in range(0, self.n, step):
            yield start, self.read(start, min(start + step, self.n))

    def taken(self, rows: Any) -> Any:
        """Rows of these ascending numbers; HDF5 takes ages to find single ones."""
        parts = []
        for start, chunk in self.chunks():
            first, end = np.searchsorted(rows, (start, start + len(chunk)))
            if first < end:
                parts.append(chunk[rows[first:end] - start])
        return joined(parts)

    @property
    def row_bytes(self) -> int:
        return int(self.array.dtype.itemsize * self.array.shape[1])

    @property
    def map_offset(self) -> int | None:
        """Where its bytes begin, if they are in the file as they are kept."""
        is_kept = self.array.dtype.name == self.kept_as
        return storage.map_offset(self.array) if is_kept else None


def of_file(path: Path, layout: Layout, found: Mapping[str, Any]) -> tuple[StoredRows, StoredRows]:
    """``train`` and ``test`` of an open file; their shapes and types are checked.

    Args:
        found: its arrays by name.

    Raises:
        DatasetFormatError: they are not such rows.
    """
    _require_matrices(path, found)
    stored = {found[name].dtype.name for name in ("train", "test")}
    kept_as = next((name for name in layout.dtypes if stored == {name}), layout.dtypes[0])
    train, test = (
        StoredRows(
            path=path, name=name, array=found[name], layout=layout, n=len(found[name]),
            dim=int(found[name].shape[1]), kept_as=kept_as,
        )
        for name in ("train", "test")
    )  # fmt: skip
    return train, test


def _require_matrices(path: Path, found: Mapping[str, Any]) -> None:
    """Two dimensions, numbers, at least one row and column, of one width."""
    for name in ("train", "test"):
        array = found[name]
        if array.ndim != 2:
            raise DatasetFormatError(
                f"{path}: {name} has shape {array.shape}; expected two dimensions, one "
                "row a vector."
            )
        storage.require_numbers(path, name, array)
        if 0 in array.shape:
            raise DatasetFormatError(
                f"{path}: {name} has shape {array.shape}; expected at least one row and one column."
            )
    train, test = found["train"], found["test"]
    if train.shape[1] != test.shape[1]:
        raise DatasetFormatError(
            f"{path}: train has {train.shape[1]} dimensions and test has {test.shape[1]}; "
            "they must be equal."
        )
