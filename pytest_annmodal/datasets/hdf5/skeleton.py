"""Creates a dataset file with allocated arrays, whose bytes are written afterwards."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import h5py
from h5py import h5d, h5p, h5s, h5t

Shapes = Mapping[str, tuple[tuple[int, int], str]]  # shape and dtype of each array


def write_skeleton(
    path: Path, shapes: Shapes, metric: str, attrs: Mapping[str, str | float]
) -> dict[str, int]:
    """Creates or replaces ``path``; returns the first byte of each array.

    The arrays are contiguous and hold arbitrary bytes: the caller must write every byte.

    Raises:
        OSError: the disk cannot be written; its errno is set.
    """
    with numbered_errors():
        return _written(path, shapes, {"distance": metric, **attrs})


@contextlib.contextmanager
def numbered_errors() -> Iterator[None]:
    """Sets the errno of disk errors, which HDF5 gives only in the message."""
    try:
        yield
    except OSError as error:
        said = re.search(r"errno = (\d+)", str(error))
        if said is None:
            raise
        raise OSError(int(said[1]), os.strerror(int(said[1]))) from error


def _written(path: Path, shapes: Shapes, attrs: Mapping[str, str | float]) -> dict[str, int]:
    with h5py.File(path, "w", locking=False, libver="earliest") as container:
        for key, value in attrs.items():
            container.attrs[key] = value
        how = h5p.create(h5p.DATASET_CREATE)
        how.set_alloc_time(h5d.ALLOC_TIME_EARLY)
        how.set_fill_time(h5d.FILL_TIME_NEVER)
        offsets = {}
        for name, (shape, dtype) in shapes.items():
            space = h5s.create_simple(shape)
            kind = h5t.py_create(dtype)
            array = h5d.create(container.id, name.encode(), kind, space, dcpl=how)
            offsets[name] = int(array.get_offset())
    return offsets
