"""Opens fvecs, ivecs and bvecs: each row is its dimension as an int32, then its numbers."""

from __future__ import annotations

import gzip
import shutil
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_annmodal.datasets.importers.matrix import (
    Array,
    Asked,
    Matrix,
    mapped_bytes,
    rows_a_block,
)
from pytest_annmodal.errors import DatasetFormatError

DTYPES = {".fvecs": "<f4", ".ivecs": "<i4", ".bvecs": "|u1"}
COPY_BYTES = 2**20


def open_vecs(path: Path, asked: Asked) -> Matrix:
    """Maps the rows of the file, or of its unpacked content."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    packed = suffixes[-1] == ".gz"
    dtype = np.dtype(DTYPES[suffixes[-2] if packed else suffixes[-1]])
    raw = mapped_bytes(path, unpacked(path, asked) if packed else None)
    if len(raw) < 4:
        raise DatasetFormatError(
            f"{path}: it has {len(raw)} bytes; expected rows that begin with a 4-byte dimension."
        )
    dim = int(raw[:4].view("<i4")[0])
    row_bytes = 4 + dim * dtype.itemsize
    n, rest = divmod(len(raw), row_bytes) if dim > 0 else (0, 0)
    if n == 0:
        raise DatasetFormatError(
            f"{path}: row 0 gives its dimension as {dim:,}, but the file has {len(raw):,} "
            f"bytes; expected at least one row of 4 + {dtype.itemsize} × dimension bytes."
        )
    begun = n + (rest >= 4)  # rows whose dimension is complete
    words: npt.NDArray[np.int32] = np.ndarray((begun,), "<i4", raw, 0, (row_bytes,))
    if rest:
        _require_dimensions(path, words, 0, dim, row_bytes)
        raise DatasetFormatError(
            f"{path}: it ends {rest:,} bytes into row {n:,} (byte {n * row_bytes:,}); expected "
            f"{row_bytes:,} bytes per row. It is cut off: fetch it again."
        )
    values: Array = np.ndarray((n, dim), dtype, raw, offset=4, strides=(row_bytes, dtype.itemsize))

    def blocks(first: int, end: int) -> Iterator[Array]:
        step = rows_a_block(dim)
        for start in range(first, end, step):
            stop = min(start + step, end)
            _require_dimensions(path, words[start:stop], start, dim, row_bytes)
            yield values[start:stop]

    return Matrix(path=path, n=n, dim=dim, dtype=dtype.str, blocks=blocks)


def _require_dimensions(path: Path, words: Any, first: int, dim: int, row_bytes: int) -> None:
    """Raises DatasetFormatError for a row of another dimension, which would be misread."""
    wrong = np.flatnonzero(words != dim)
    if wrong.size:
        row = first + int(wrong[0])
        raise DatasetFormatError(
            f"{path}: row {row:,} (byte {row * row_bytes:,}) gives its dimension as "
            f"{int(words[wrong[0]]):,}; expected {dim:,}, as in row 0. It is damaged, or its "
            "suffix is wrong (fvecs, ivecs or bvecs)."
        )


def unpacked(path: Path, asked: Asked) -> Path:
    """Unpacks a gzip file into the scratch folder; returns the new file.

    Raises:
        DatasetFormatError: it is damaged.
    """
    target = asked.spooled(".raw")
    try:
        with gzip.open(path, "rb") as packed, target.open("wb") as stream:
            shutil.copyfileobj(packed, stream, COPY_BYTES)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DatasetFormatError(
            f"{path}: it cannot be unpacked ({error}); expected a whole gzip file. Fetch it again."
        ) from error
    return target
