"""Opens and writes the HDF5 container, and checks that its arrays can be read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from pytest_annmodal.datasets.hdf5 import links, storage, stored_rows
from pytest_annmodal.datasets.hdf5.info import DatasetInfo
from pytest_annmodal.datasets.hdf5.messages import damaged, few, printable, printable_path
from pytest_annmodal.datasets.hdf5.metric import metric_of
from pytest_annmodal.datasets.hdf5.stored_rows import StoredRows
from pytest_annmodal.datasets.importers.recognise import HDF5, what_it_is
from pytest_annmodal.distances.metrics import named
from pytest_annmodal.errors import AnnModalError, DatasetError, DatasetFormatError

NAMES = ("train", "test", "neighbors", "distances", *stored_rows.SIZES.values())
FLOATS = ("float32", "float64")
EXPECTED = "An ann-benchmarks file has train, test, neighbors and distances"


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrays:
    """The open file's arrays (h5py datasets: sliced, they become numpy arrays).

    Attributes:
        named: name and h5py dataset of all arrays in the file.
    """

    path: Path
    info: DatasetInfo
    train: StoredRows
    test: StoredRows
    neighbors: Any | None
    distances: Any | None
    named: tuple[tuple[str, Any], ...]


@contextmanager
def opened(path: Path) -> Iterator[Arrays]:
    """Opens a file for reading; checks its shapes, types and storage, but not its values.

    For a damaged file h5py may raise any error, until the file is closed. All become one that
    names the file. :mod:`pytest_annmodal.datasets.hdf5.checker` handles crashes and loops.

    Raises:
        DatasetFormatError, DatasetError: as :func:`pytest_annmodal.datasets.hdf5.inspect` says.
    """
    try:
        container = h5py.File(path, "r", locking=False)
    except FileNotFoundError as error:
        raise DatasetError(f"{path}: there is no such file.") from error
    except PermissionError as error:
        raise DatasetError(f"{path}: it cannot be read ({error.strerror}).") from error
    except MemoryError as error:
        raise _too_large(path) from error
    except Exception as error:
        raise DatasetFormatError(_why_not_hdf5(path, error)) from error
    try:
        with container:
            yield _arrays(path, container)
    except AnnModalError:
        raise
    except MemoryError as error:
        raise _too_large(path) from error
    except Exception as error:
        raise damaged(path, f"its arrays cannot be read ({_said(error)})") from error


def _too_large(path: Path) -> DatasetError:
    return DatasetError(
        f"{path}: reading it takes more memory than there is. Free some, or use a smaller dataset."
    )


def _said(error: Exception) -> str:
    """Returns the text of a library's error, after its class unless that is OSError."""
    kind = "" if isinstance(error, OSError) else f"{type(error).__name__}: "
    return kind + printable(" ".join(str(error).split()), longest=300)


def write_file(
    path: Path,
    arrays: Mapping[str, Any],
    metric: str,
    attrs: Mapping[str, str | float],
    dim: int | None,
) -> None:
    """See :func:`pytest_annmodal.datasets.hdf5.write`."""
    with h5py.File(path, "w", locking=False) as container:
        container.attrs["distance"] = metric
        for key, said in stored_rows.attributes(arrays["train"], metric, dim).items():
            container.attrs[key] = said
        for name, values in stored_rows.written(arrays):
            container.create_dataset(name, data=values)
        for key, value in attrs.items():
            container.attrs[key] = value


def _why_not_hdf5(path: Path, error: Exception) -> str:
    if path.is_dir():
        return f"{path}: it is a directory; expected an HDF5 file."
    size = path.stat().st_size
    with path.open("rb") as stream:
        head = stream.read(8)
    if head == HDF5:
        return (
            f"{path}: the HDF5 file is truncated or damaged ({size:,} bytes are there; "
            f"{_said(error)}){_or_newer(error)}. Fetch or write it again."
        )
    guess = what_it_is(path)
    return (
        f"{path}: it is not an HDF5 file ({size:,} bytes, beginning with {head!r}). {EXPECTED}; "
        f"{f'this is {guess}' if guess else 'check where the file came from'}."
    )


def _or_newer(error: Exception) -> str:
    """Returns the other reason for a version that HDF5 does not know, or ""."""
    if "bad version" not in str(error):
        return ""
    return f", or written for a newer HDF5 than {storage.h5py_versions()} reads"


def _arrays(path: Path, container: Any) -> Arrays:
    metric = metric_of(path, container.attrs)
    found = {name: item for name in NAMES if (item := _find(path, container, name)) is not None}
    _require_arrays(path, found, container)
    train, test = stored_rows.of_file(path, named(metric).rows, found, container.attrs)
    neighbors, distances = found.get("neighbors"), found.get("distances")
    if neighbors is not None and distances is not None:
        _require_truth(path, len(test), neighbors, distances)
    storage.require_complete(path, list(found.items()))
    info = DatasetInfo(
        metric=metric,
        dim=train.dim,
        n_train=len(train),
        n_queries=len(test),
        k_truth=0 if neighbors is None else int(neighbors.shape[1]),
        contiguous=train.array.id.get_offset() is not None,
        train_offset=train.map_offset,
        dtype=storage.type_name(train.array),
        kept_as=train.kept_as,
    )
    return Arrays(
        path=path, info=info, train=train, test=test, neighbors=neighbors, distances=distances,
        named=tuple(found.items()),
    )  # fmt: skip


def _find(path: Path, container: Any, name: str) -> Any | None:
    """Returns the array of that name in this file, or None."""
    try:
        place = links.hard_path(container, name)
    except links.LinkOutError as error:
        raise _elsewhere(path, name, str(error)) from None
    try:
        item = container[place] if place is not None else None
    except KeyError as error:
        if storage.is_newer(container, error):
            raise DatasetError(
                f"{path}: {name} was written for a newer HDF5 than {storage.h5py_versions()} "
                "reads. Install a newer h5py (pip install -U h5py), or write the file again for "
                "older ones: h5py.File(path, 'w', libver='earliest')."
            ) from error
        why = f"{name} cannot be opened ({_said(error)}){_or_newer(error)}"
        raise damaged(path, why) from error
    if not isinstance(item, h5py.Dataset):
        return None
    storage.require_inside(path, name, item)
    return item


def _elsewhere(path: Path, name: str, other: str) -> DatasetFormatError:
    return DatasetFormatError(
        f"{path}: {name} is a link into another file ({printable_path(other)}); expected all "
        f"values in this file, the only one checked and uploaded. {storage.ONE_FILE}"
    )


def _require_arrays(path: Path, found: Mapping[str, Any], container: Any) -> None:
    missing = [name for name in ("train", "test") if name not in found]
    if ("neighbors" in found) != ("distances" in found):
        missing += [name for name in ("neighbors", "distances") if name not in found]
    if missing:
        there = few([printable(n) + _if_no_array(container, n) for n in sorted(container)])
        raise DatasetFormatError(
            f"{path}: it lacks {' and '.join(missing)}; it has {there or 'nothing'}. "
            f"{EXPECTED} (without both of the last two, the truth is computed). If the arrays have "
            "other names, use annmodal import (--key train=NAME)."
        )


def _if_no_array(container: Any, name: str) -> str:
    try:
        place = links.hard_path(container, name)
    except links.LinkOutError:
        return " (a link into another file)"
    if place is None:
        return " (a link that leads nowhere)"
    item = container[place]
    if isinstance(item, h5py.Dataset):
        return ""
    return f" (a group of {few(list(map(printable, item))) or 'nothing'})"


def _require_truth(path: Path, n_queries: int, neighbors: Any, distances: Any) -> None:
    shape = neighbors.shape
    if len(shape) != 2 or shape[0] != n_queries or shape[1] == 0 or distances.shape != shape:
        raise DatasetFormatError(
            f"{path}: neighbors has shape {shape} and distances {distances.shape}; expected "
            f"both to be ({n_queries}, K), a row for each of the {n_queries} queries."
        )
    if not np.issubdtype(neighbors.dtype, np.integer):
        raise DatasetFormatError(
            f"{path}: neighbors holds {neighbors.dtype}; expected integers, rows of train."
        )
    if distances.dtype.name not in FLOATS:
        raise DatasetFormatError(
            f"{path}: distances holds {distances.dtype}; expected float32 or float64."
        )
    storage.require_numbers(path, "distances", distances)
