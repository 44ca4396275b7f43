"""Checks how an array is stored: complete, in this file, and readable; and where to map it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from h5py import h5d, h5t, h5z

from pytest_annmodal.datasets.hdf5.messages import damaged, few, printable, printable_path
from pytest_annmodal.datasets.importers.matrix import opaque
from pytest_annmodal.errors import DatasetError, DatasetFormatError

# The filters of the package hdf5plugin, by their registered numbers.
PLUGINS = {
    307: "bzip2",
    32001: "Blosc",
    32004: "LZ4",
    32008: "Bitshuffle",
    32013: "ZFP",
    32015: "Zstandard",
    32017: "SZ",
    32018: "FCIDECOMP",
    32024: "SZ3",
    32026: "Blosc2",
    32028: "SPERR",
    32033: "HTJ2K",
}
# Types that are kept as they are stored, and their sizes in bytes.
MAPPED = ((h5t.IEEE_F32LE, 4), (h5t.STD_U8LE, 1), (h5t.STD_I8LE, 1))
ONE_FILE = "Write the arrays into one file (docs/datasets.md shows how)."
Extent = tuple[int, int]  # first byte in the file, number of bytes


def require_complete(path: Path, arrays: Sequence[tuple[str, Any]]) -> None:
    """Raises unless every value of the arrays was written and can be read here.

    HDF5 silently reads missing values as zeros.

    Args:
        arrays: name and h5py dataset.

    Raises:
        DatasetFormatError: values were never written, or the file is damaged.
        DatasetError: a filter that it needs is not installed.
    """
    extents: dict[bool, list[Extent]] = {False: [], True: []}
    seen: list[Any] = []
    for name, array in arrays:
        _require_filters(path, name, array)
        chunked = array.id.get_create_plist().get_layout() == h5d.CHUNKED
        where = (_chunks if chunked else _one_run)(path, name, array)
        # Older HDF5 gives the addresses of chunks, and only of chunks, without the user block.
        apart = chunked and array.file.userblock_size > 0
        if array not in seen:  # one array may have two names
            extents[apart] += where
        seen.append(array)
    for pieces in extents.values():
        _require_apart(path, pieces)


def map_offset(array: Any) -> int | None:
    """Returns the array's first byte if it can be mapped without conversion, else None.

    h5py's dtype does not tell: bfloat16, which it converts, is ``<f4`` there.
    """
    kind, n = array.id.get_type(), math.prod(array.shape)
    item = next((size for exact, size in MAPPED if kind.equal(exact)), 0)
    size = array.id.get_storage_size()
    offset = array.id.get_offset() if item and size == item * n else None
    return offset if offset is not None and offset % item == 0 else None


def type_name(array: Any) -> str:
    """Returns numpy's name of the array's type, or ``bfloat16``."""
    kind = array.id.get_type()
    two_bytes = kind.get_class() == h5t.FLOAT and kind.get_size() == 2
    return "bfloat16" if two_bytes and kind.get_fields()[2] == 8 else str(array.dtype.str)


def require_numbers(path: Path, name: str, array: Any) -> None:
    """Raises DatasetFormatError unless it holds integers, or floats that HDF5 can convert."""
    kind = array.id.get_type()
    if array.dtype.kind == "V" and kind.get_class() == h5t.OPAQUE:
        raise DatasetFormatError(f"{path}: {name} {opaque(array.dtype.itemsize)}")
    if array.dtype.kind not in "fiu":
        raise DatasetFormatError(
            f"{path}: {name} holds {array.dtype}; expected floats or integers. Convert it."
        )
    if kind.get_class() == h5t.FLOAT and not _is_usual(kind):
        raise DatasetFormatError(
            f"{path}: {name} holds an unknown float type of {kind.get_precision()} bits; expected "
            "float16, bfloat16, float32 or float64. Write it as float32, or fetch the file again "
            "if it is damaged."
        )


def _is_usual(kind: Any) -> bool:
    """Returns whether sign, exponent and mantissa lie as in IEEE 754, or in C's long double."""
    sign, exponent, exponent_bits, mantissa, mantissa_bits = kind.get_fields()
    return bool(kind.equal(h5t.NATIVE_LDOUBLE)) or (
        kind.get_norm() == h5t.NORM_IMPLIED
        and kind.get_offset() == mantissa == 0
        and kind.get_precision() == 8 * kind.get_size()
        and (exponent, sign) == (mantissa_bits, mantissa_bits + exponent_bits)
        and sign + 1 == kind.get_precision()
        and kind.get_ebias() == 2 ** (exponent_bits - 1) - 1
    )


def require_inside(path: Path, name: str, array: Any) -> None:
    """Raises DatasetFormatError for an array with values in other files.

    Those could be missing, cut off or changed without notice. Call it before anything else: to
    give the shape of a virtual array, HDF5 opens the other files.
    """
    if array.is_virtual:
        others = {source.file_name for source in array.virtual_sources()}
        kind = "virtual: its values lie in other datasets"
    elif array.external:
        others = {str(entry[0]) for entry in array.external}
        kind = "external: its values lie in other files"
    else:
        return
    listed = sorted(printable_path(other) for other in others if other != ".")
    gone = sorted(
        printable_path(other)
        for other in others
        if other != "." and not any((base / other).exists() for base in (path.parent, Path()))
    )
    raise DatasetFormatError(
        f"{path}: {name} is {kind}{f' ({few(listed)})' if listed else ''}. "
        + (f"Missing, and read as zeros: {few(gone)}. " if gone else "")
        + "Expected all values in this file, the only one checked and uploaded. "
        + ("Restore the missing files first. " if gone else "")
        + ONE_FILE
    )


def _require_filters(path: Path, name: str, array: Any) -> None:
    """Raises if a filter of the array is not installed; loads hdf5plugin if it has the filter."""
    plist = array.id.get_create_plist()
    for index in range(plist.get_nfilters()):
        number, _flags, _values, said = plist.get_filter(index)
        if h5z.filter_avail(number) or _plugin_brings(number):
            continue
        called = PLUGINS.get(number) or printable(said.decode(errors="replace")) or "unnamed"
        if number in PLUGINS:
            raise DatasetError(
                f"{path}: {name} is compressed with the filter {called} (number {number}), which "
                "h5py lacks. Install it (pip install hdf5plugin), or write the file with "
                "compression='gzip', which every h5py reads."
            )
        raise DatasetFormatError(
            f"{path}: {name} needs the filter {called} (number {number}), which neither h5py nor "
            "hdf5plugin has. Install its plugin and name its folder in HDF5_PLUGIN_PATH, or "
            "write the file with compression='gzip'. If it should need no filter, it is damaged: "
            "fetch it again."
        )


def _plugin_brings(number: int) -> bool:
    if number not in PLUGINS:
        return False
    try:
        import hdf5plugin  # noqa: F401 -- importing it registers the filters
    except ImportError:
        return False
    return bool(h5z.filter_avail(number))


def _one_run(path: Path, name: str, array: Any) -> list[Extent]:
    """Returns where an array without chunks lies."""
    stored, size = array.id.get_storage_size(), math.prod(array.shape) * _item_bytes(array)
    if stored == 0:
        raise DatasetFormatError(
            f"{path}: {name} was never written: the file has its shape {array.shape} and no "
            "values, which would be read as zeros. Write it again."
        )
    offset = array.id.get_offset()  # None if it lies in the header
    if stored != size:
        raise damaged(path, f"{name} takes {stored:,} bytes where its shape takes {size:,}")
    if offset is not None and offset + size > path.stat().st_size:
        raise damaged(path, f"{name} reaches beyond its end")
    return [] if offset is None else [(offset, size)]


def _item_bytes(array: Any) -> int:
    return int(array.id.get_type().get_size())


def _chunks(path: Path, name: str, array: Any) -> list[Extent]:
    """Returns where the chunks lie; checks that each exists once and has the right size."""
    grid = [-(-length // step) for length, step in zip(array.shape, array.chunks, strict=True)]
    expected, there = math.prod(grid), int(array.id.get_num_chunks())
    if there < expected:
        raise DatasetFormatError(
            f"{path}: {expected - there:,} of the {expected:,} chunks of {name} were never "
            f"written, and would be read as zeros. Expected values for its whole shape "
            f"{array.shape}: finish writing it, or write it again."
        )
    if there > expected:
        raise damaged(path, f"{name} has {there:,} chunks where its shape has {expected:,}")
    if not hasattr(array.id, "chunk_iter"):
        return []  # this h5py was built with an old HDF5
    filtered = array.id.get_create_plist().get_nfilters() > 0
    usual, end = math.prod(array.chunks) * _item_bytes(array), path.stat().st_size
    found, extents = np.zeros(grid, dtype=np.bool_), []

    def look(chunk: Any) -> None:
        steps = zip(chunk.chunk_offset, array.chunks, strict=True)
        place, rest = zip(*(divmod(at, step) for at, step in steps), strict=True)
        inside = not any(rest) and all(p < n for p, n in zip(place, grid, strict=True))
        whole = chunk.size > 0 and (filtered or chunk.size == usual)
        if not (inside and whole and chunk.byte_offset + chunk.size <= end):
            raise damaged(path, f"a chunk of {name} has an impossible place or size")
        found[place] = True
        extents.append((int(chunk.byte_offset), int(chunk.size)))

    array.id.chunk_iter(look)
    if not found.all():
        raise damaged(path, f"a chunk of {name} is stored twice, and another is missing")
    return extents


def _require_apart(path: Path, extents: list[Extent]) -> None:
    """Raises if two pieces share a byte: a damaged address mostly points into another piece."""
    places = np.array(sorted(extents), dtype=np.uint64).reshape(-1, 2)
    if (places[1:, 0] < places[:-1].sum(axis=1)).any():
        raise damaged(path, "two pieces of its arrays lie in the same place")


def stored_bytes(arrays: Sequence[Any]) -> int:
    """Returns how many bytes the arrays take when they are read."""
    return sum(math.prod(array.shape) * array.dtype.itemsize for array in arrays)


def chunk_bytes(arrays: Sequence[Any]) -> int:
    """Returns the size of the largest chunk in bytes."""
    return max((math.prod(a.chunks) * a.dtype.itemsize for a in arrays if a.chunks), default=0)


def is_newer(container: Any, error: Exception) -> bool:
    """Returns whether HDF5 met an unknown version in a file with checksums: a newer file."""
    version = container.id.get_create_plist().get_version()[0]
    return version >= 2 and "bad version number" in str(error)


def h5py_versions() -> str:
    return f"h5py {h5py.__version__} with HDF5 {h5py.version.hdf5_version}"
