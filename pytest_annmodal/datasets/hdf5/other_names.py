"""Arrays of an HDF5 file that is no dataset in ann-benchmarks' layout, for importing."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py

from pytest_annmodal.datasets.hdf5 import links, storage
from pytest_annmodal.datasets.hdf5.messages import printable
from pytest_annmodal.datasets.importers.matrix import (
    Array,
    Asked,
    Matrix,
    chosen,
    require_shape,
    rows_a_block,
)

DISTANCES = "distances"


def open_hdf5(path: Path, asked: Asked) -> Matrix:
    """One array, by its name or the only one that it can be.

    To be called in a process that may crash: the HDF5 library is not made for damaged files.

    Raises:
        DatasetFormatError: it is not there, damaged, or nobody knows which is meant.
    """
    container = asked.closing.enter_context(h5py.File(path, "r", locking=False))
    there = _matrices(container)
    key = asked.key
    if key is not None and key not in there:
        with contextlib.suppress(links.LinkOutError):
            there |= _named(container, key)
    array = container[chosen(path, asked, there, "array")]
    name = printable(array.name.strip("/"))
    storage.require_inside(path, name, array)
    require_shape(path, array.shape, array.dtype, name)
    if array.dtype.kind != "b":
        storage.require_numbers(path, name, array)
    storage.require_complete(path, [(name, array)])

    def blocks(first: int, end: int) -> Iterator[Array]:
        step = rows_a_block(array.shape[1])
        for start in range(first, end, step):
            yield array[start : min(start + step, end)]

    n, dim = array.shape
    dtype = storage.type_name(array)
    return Matrix(
        path=path,
        n=n,
        dim=dim,
        dtype=dtype,
        blocks=blocks,
        more=_distances(container, array, asked),
    )


def _matrices(container: Any) -> dict[str, str]:
    """The arrays of two dimensions; links are not followed."""
    found: dict[str, str] = {}

    def look(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and not item.is_virtual and len(item.shape or ()) == 2:
            found[name] = f"({item.dtype} {item.shape[0]:,} × {item.shape[1]:,})"

    container.visititems(look)
    return found


def _named(container: Any, key: str) -> dict[str, str]:
    """What a name leads to that is no array of two dimensions, or is behind a soft link."""
    place = links.hard_path(container, key)
    found = container[place] if place is not None else None
    return {key: ""} if isinstance(found, h5py.Dataset) else {}


def _distances(container: Any, array: Any, asked: Asked) -> dict[str, Array]:
    """The truth's distances, if they lie beside it."""
    if asked.role != "truth":
        return {}
    with contextlib.suppress(links.LinkOutError):
        place = links.hard_path(container, f"{array.parent.name}/{DISTANCES}")
        found = container[place] if place is not None else None
        if isinstance(found, h5py.Dataset) and not found.is_virtual and not found.external:
            usable = found.shape == array.shape and found.dtype.kind == "f"
            return {DISTANCES: found[:]} if usable else {}
    return {}
