"""Opens fbin, ibin, u8bin and the like: number of rows, dimension, then all values.

The two numbers are uint32, or uint64 in files of cuVS. A file of true neighbours holds all ids
and then all distances.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pytest_annmodal.datasets.importers.matrix import Array, Asked, Matrix, mapped_bytes, of_array
from pytest_annmodal.errors import DatasetFormatError

DTYPES = {
    ".fbin": "<f4",
    ".ibin": "<i4",
    ".u8bin": "|u1",
    ".i8bin": "|i1",
    ".hbin": "<f2",
    ".f16bin": "<f2",
    ".bin": "<f4",
}
IDS = (".ibin", ".bin")  # suffixes that a truth may have
MOST_BYTES = 2**60  # no file has more
HEADERS = ((8, "<u4"), (16, "<u8"))  # bytes of a header, and the type of its two numbers


def open_bin(path: Path, asked: Asked) -> Matrix:
    """Maps the values; a truth's distances are in ``more`` of the result."""
    dtype = np.dtype(DTYPES[path.suffix.lower()])
    raw = mapped_bytes(path)
    if asked.role == "truth" and path.suffix.lower() in IDS:
        dtype = np.dtype("<i4")
        for header, n, dim in _readings(raw):
            if n and dim and len(raw) == header + 8 * n * dim:
                ids = raw[header : header + 4 * n * dim].view("<u4").reshape(n, dim)
                distances = raw[header + 4 * n * dim :].view("<f4").reshape(n, dim)
                return of_array(path, ids, more={"distances": distances})
    for header, n, dim in _readings(raw):
        if n and dim and len(raw) == header + n * dim * dtype.itemsize:
            return of_array(path, raw[header:].view(dtype).reshape(n, dim))
    part = _asked_part(raw, asked, dtype)
    if part is not None:
        return of_array(path, part)
    raise DatasetFormatError(f"{path}: {_why_not(raw, dtype, asked)}")


def _readings(raw: Array) -> list[tuple[int, int, int]]:
    """Returns header bytes, rows and dimension, as each kind of header gives them."""
    return [
        (size, int(raw[:size].view(kind)[0]), int(raw[:size].view(kind)[1]))
        for size, kind in HEADERS
        if len(raw) >= size
    ]


def _asked_part(raw: Array, asked: Asked, dtype: np.dtype[np.generic]) -> Array | None:
    """Returns the whole rows of a file cut off from a larger one, if no more are asked for."""
    for header, n, dim in _readings(raw):
        row_bytes = dim * dtype.itemsize
        there, rest = divmod(len(raw) - header, row_bytes) if row_bytes else (0, 0)
        if 0 < there < n and rest == 0 and asked.rows is not None and asked.rows[1] <= there:
            return raw[header:].view(dtype).reshape(there, dim)
    return None


def _why_not(raw: Array, dtype: np.dtype[np.generic], asked: Asked) -> str:
    """Returns why the file's size fits neither kind of header."""
    readings = _readings(raw)
    if not readings:
        return f"it has {len(raw)} bytes; expected a header of 8 or 16 bytes, then the values."
    for header, n, dim in readings:
        if len(raw) == header and n * dim == 0:
            return (
                f"its header says {n:,} rows of {dim:,} values; expected at least one row of one "
                "value. Its writer had nothing to write, or failed."
            )
    expected = [header + n * dim * dtype.itemsize for header, n, dim in readings]
    said = [
        f"with a header of {header} bytes {n:,} rows × {dim:,} would be {n_bytes:,} bytes"
        if n_bytes < MOST_BYTES
        else f"with a header of {header} bytes it would be larger than any file"
        for (header, n, dim), n_bytes in zip(readings, expected, strict=True)
    ]
    truth = ", or 8 for each id with its distance" if asked.role == "truth" else ""
    return (
        f"its header does not fit its {len(raw):,} bytes ({dtype.itemsize} per value{truth}): "
        f"{'; '.join(said)}. {_hint(len(raw), dtype, readings)}"
    )


def _hint(n_bytes: int, dtype: np.dtype[np.generic], readings: list[tuple[int, int, int]]) -> str:
    """Returns the likely cause, and what to do."""
    cut = "It is cut off, or its suffix is wrong."
    for header, n, dim in readings:
        row_bytes = dim * dtype.itemsize
        there, rest = divmod(n_bytes - header, row_bytes) if row_bytes else (0, 0)
        if 0 < there < n and not rest:
            return (
                f"It holds {there:,} whole rows: if it was cut from a larger file and kept its "
                f"header, add --rows 0:{there}."
            )
        if rest and there < n and header + n * row_bytes < MOST_BYTES:
            cut = (
                f"It ends {rest:,} bytes into row {there:,}: fetch it again. If it is whole, its "
                "suffix is wrong."
            )
    return cut
