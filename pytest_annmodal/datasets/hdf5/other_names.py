"""Opens arrays of HDF5 files that are not in ann-benchmarks' layout, to import them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from pytest_annmodal.datasets.hdf5 import links, storage
from pytest_annmodal.datasets.hdf5.messages import printable
from pytest_annmodal.datasets.hdf5.stored_rows import LARGEST_MEMBER
from pytest_annmodal.datasets.importers.matrix import (
    Array,
    Asked,
    Matrix,
    chosen,
    require_shape,
    rows_a_block,
)
from pytest_annmodal.errors import DatasetFormatError

DISTANCES = "distances"


def open_hdf5(path: Path, asked: Asked) -> Matrix:
    """Opens one array: the one asked for, or the only possible one.

    Call it in a process that may crash: the HDF5 library does not guard against damaged files.

    Raises:
        DatasetFormatError: it is missing or damaged, or several arrays are possible.
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


def open_run(path: Path, asked: Asked) -> tuple[Array, Array, int] | None:
    """Reads sets in ann-benchmarks' layout: members in ``train``, set sizes in ``size_train``.

    Returns:
        Members, sizes, and the number of possible members (0: unknown); None if there is no
        such one-dimensional array.

    Raises:
        DatasetFormatError: the sizes are missing, or an array is damaged.
    """
    name = asked.key or asked.role
    above, slash, last = name.rpartition("/")
    names = (name, f"{above}{slash}size_{last}")
    with h5py.File(path, "r", locking=False) as container:
        arrays = [_array(container, text) for text in names]
        if arrays[0] is None or len(arrays[0].shape or ()) != 1:
            return None
        if arrays[1] is None:
            raise DatasetFormatError(
                f"{path}: {printable(name)} is one run of numbers, and there is no "
                f"{printable(names[1])}; expected the size of each set there."
            )
        pairs = [(printable(text), array) for text, array in zip(names, arrays, strict=True)]
        for text, array in pairs:
            storage.require_inside(path, text, array)
        storage.require_complete(path, pairs)
        said = container.attrs.get("dimension", 0)
        dim = int(said) if isinstance(said, (int, np.integer)) else 0
        return arrays[0][:], arrays[1][:], max(0, min(dim, LARGEST_MEMBER))


def _array(container: Any, name: str) -> Any:
    place = links.hard_path(container, name)
    found = container[place] if place is not None else None
    return found if isinstance(found, h5py.Dataset) else None


def _matrices(container: Any) -> dict[str, str]:
    """Returns the arrays of two dimensions with a few words on each; follows no links."""
    found: dict[str, str] = {}

    def look(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and not item.is_virtual and len(item.shape or ()) == 2:
            found[name] = f"({item.dtype} {item.shape[0]:,} × {item.shape[1]:,})"

    container.visititems(look)
    return found


def _named(container: Any, key: str) -> dict[str, str]:
    """Returns an array of another shape, or one behind a soft link, by its name."""
    place = links.hard_path(container, key)
    found = container[place] if place is not None else None
    return {key: ""} if isinstance(found, h5py.Dataset) else {}


def _distances(container: Any, array: Any, asked: Asked) -> dict[str, Array]:
    """Returns the truth's distances, if they lie in the same group."""
    if asked.role != "truth":
        return {}
    with contextlib.suppress(links.LinkOutError):
        place = links.hard_path(container, f"{array.parent.name}/{DISTANCES}")
        found = container[place] if place is not None else None
        if isinstance(found, h5py.Dataset) and not found.is_virtual and not found.external:
            usable = found.shape == array.shape and found.dtype.kind == "f"
            return {DISTANCES: found[:]} if usable else {}
    return {}
