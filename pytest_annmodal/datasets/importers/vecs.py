"""fvecs, ivecs and bvecs: each row is its dimension as an int32, then that many numbers."""

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
    """A strided map of the file, or of what it holds where it is compressed."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    packed = suffixes[-1] == ".gz"
    dtype = np.dtype(DTYPES[suffixes[-2] if packed else suffixes[-1]])
    raw = mapped_bytes(path, unpacked(path, asked) if packed else None)
    if len(raw) < 4:
        raise DatasetFormatError(
            f"{path}: it has {len(raw)} bytes; expected rows that begin with 4 bytes of dimension."
        )
    dim = int(raw[:4].view("<i4")[0])
    row_bytes = 4 + dim * dtype.itemsize
    n, rest = divmod(len(raw), row_bytes) if dim > 0 else (0, 0)
    if n == 0:
        raise DatasetFormatError(
            f"{path}: row 0 says that it has {dim:,} dimensions, and the file has {len(raw):,} "
            f"bytes; expected at least one row of 4 + {dtype.itemsize} × dimension bytes."
        )
    begun = n + (rest >= 4)  # rows whose dimension is there
    words: npt.NDArray[np.int32] = np.ndarray((begun,), "<i4", raw, 0, (row_bytes,))
    if rest:
        _require_dimensions(path, words, 0, dim, row_bytes)
        raise DatasetFormatError(
            f"{path}: it ends {rest:,} bytes into row {n:,} (byte {n * row_bytes:,}); expected "
            f"{row_bytes:,} bytes a row. It is cut off: fetch it again."
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
    """Rows of another dimension that fit in sum would be read as nonsense."""
    wrong = np.flatnonzero(words != dim)
    if wrong.size:
        row = first + int(wrong[0])
        raise DatasetFormatError(
            f"{path}: row {row:,} (byte {row * row_bytes:,}) says that it has "
            f"{int(words[wrong[0]]):,} dimensions; expected {dim:,}, as in row 0. It is damaged or "
            "of another kind (fvecs, ivecs and bvecs differ by their suffix alone)."
        )


def unpacked(path: Path, asked: Asked) -> Path:
    """The content of a gzip file, as a file in the scratch folder.

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
