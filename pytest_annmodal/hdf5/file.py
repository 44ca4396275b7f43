"""The HDF5 container itself: the only code that touches h5py."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_annmodal.errors import DatasetError, DatasetFormatError
from pytest_annmodal.hdf5.info import (
    METRIC_WORDS,
    UNSUPPORTED_METRICS,
    DatasetInfo,
    metric_word,
)
from pytest_annmodal.hdf5.lookalikes import what_it_is
from pytest_annmodal.model import Metric

FLOATS = ("float32", "float64")
EXPECTED = "An ann-benchmarks file has train, test, neighbors and distances"


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrays:
    """The open file's arrays (h5py datasets: sliced, they become numpy arrays)."""

    path: Path
    info: DatasetInfo
    train: Any
    test: Any
    neighbors: Any | None
    distances: Any | None


@contextmanager
def opened(path: Path) -> Iterator[Arrays]:
    """Open a file for reading; its shapes and types are checked, its numbers are not.

    Raises:
        DatasetFormatError, DatasetError: as :func:`pytest_annmodal.hdf5.inspect` says.
    """
    import h5py

    try:
        container = h5py.File(path, "r", locking=False)
    except FileNotFoundError as error:
        raise DatasetError(f"{path}: there is no such file.") from error
    except PermissionError as error:
        raise DatasetError(f"{path}: it may not be read ({error.strerror}).") from error
    except OSError as error:
        raise DatasetFormatError(_why_not_hdf5(path, error)) from error
    with container:
        try:
            yield _arrays(path, container)
        except OSError as error:  # h5py's word for bytes that are not where they should be
            elsewhere = "external" in str(error)
            raise DatasetFormatError(
                f"{path}: its arrays cannot be read: "
                f"{'they lie in another file' if elsewhere else 'the file is damaged or cut off'} "
                f"({error}). {'Write them into this one.' if elsewhere else 'Fetch it again.'}"
            ) from error


def write_file(
    path: Path,
    arrays: Mapping[str, npt.NDArray[Any] | None],
    metric: str,
    attrs: Mapping[str, str | float],
) -> None:
    """Create or replace ``path``."""
    import h5py

    with h5py.File(path, "w", locking=False) as container:
        container.attrs["distance"] = metric
        container.attrs["type"] = "dense"
        container.attrs["point_type"] = "float"
        for name, values in arrays.items():
            if values is not None:
                container.create_dataset(name, data=values)
                if name == "train":
                    container.attrs["dimension"] = values.shape[1]
        for key, value in attrs.items():
            container.attrs[key] = value


def _why_not_hdf5(path: Path, error: OSError) -> str:
    if path.is_dir():
        return f"{path}: it is a directory; expected an HDF5 file."
    size = path.stat().st_size
    with path.open("rb") as stream:
        head = stream.read(8)
    if head == b"\x89HDF\r\n\x1a\n":
        return (
            f"{path}: the HDF5 file is truncated or damaged ({size:,} bytes are there; {error}). "
            "Fetch or write it again."
        )
    guess = what_it_is(path)
    return (
        f"{path}: it is not an HDF5 file ({size:,} bytes, beginning with {head!r}). {EXPECTED}; "
        f"{f'this is {guess}' if guess else 'check where the file came from'}."
    )


def _arrays(path: Path, container: Any) -> Arrays:
    import h5py

    metric = _metric(path, container)
    found = {
        name: item
        for name in ("train", "test", "neighbors", "distances")
        if isinstance(item := container.get(name), h5py.Dataset)
    }
    _require_arrays(path, found, container)
    train, test = found["train"], found["test"]
    neighbors, distances = found.get("neighbors"), found.get("distances")
    _require_vectors(path, train, test)
    if neighbors is not None and distances is not None:
        _require_truth(path, len(test), neighbors, distances)
    # From the file's first byte; None if chunked. A link may lead into another file.
    offset = train.id.get_offset() if train.file.filename == container.filename else None
    info = DatasetInfo(
        metric=metric,
        dim=int(train.shape[1]),
        n_train=int(train.shape[0]),
        n_queries=int(test.shape[0]),
        k_truth=0 if neighbors is None else int(neighbors.shape[1]),
        contiguous=offset is not None,
        train_offset=offset,
        dtype=train.dtype.str,
    )
    return Arrays(
        path=path, info=info, train=train, test=test, neighbors=neighbors, distances=distances
    )


def _metric(path: Path, container: Any) -> Metric:
    word = _metric_said(container.attrs) or _metric_in_name(path)
    if word is not None and metric_word(word) in METRIC_WORDS:
        return METRIC_WORDS[metric_word(word)]
    if word is None:
        raise DatasetFormatError(
            f"{path}: neither the attribute 'distance' nor the file's name says its metric. "
            "Set the attribute to euclidean, angular or dot, or name the file "
            "NAME-DIM-euclidean.hdf5."
        )
    kind = "vectors of floats" if word in UNSUPPORTED_METRICS else "euclidean, angular or dot"
    raise DatasetFormatError(
        f"{path}: metric {word!r} is not supported; expected {kind}. Choose another dataset."
    )


def _metric_said(attrs: Mapping[str, Any]) -> str:
    """The attribute ``distance``: text or bytes, maybe in an array of one, or ""."""
    said = attrs.get("distance", "")
    if isinstance(said, np.ndarray) and said.size == 1:
        said = said.item()
    text = said.decode(errors="replace") if isinstance(said, bytes) else str(said)
    return "" if "Empty(" in text else text.strip().lower()


def _metric_in_name(path: Path) -> str | None:
    # What comes after the last word may be a number or a copy's mark.
    words = re.split(r"[^a-z0-9_]+", path.name.lower().removesuffix(".corrupt"))
    known = (*METRIC_WORDS, *UNSUPPORTED_METRICS)
    return next((word for word in reversed(words) if word in known), None)


def _require_arrays(path: Path, found: Mapping[str, Any], container: Any) -> None:
    missing = [name for name in ("train", "test") if name not in found]
    if ("neighbors" in found) != ("distances" in found):
        missing += [name for name in ("neighbors", "distances") if name not in found]
    if missing:
        there = ", ".join(name + _if_no_array(container, name) for name in sorted(container))
        raise DatasetFormatError(
            f"{path}: it lacks {' and '.join(missing)}; it has {there or 'nothing'}. "
            f"{EXPECTED} (the last two may be absent together: the truth is then computed)."
        )


def _if_no_array(container: Any, name: str) -> str:
    item = container.get(name)
    if item is None:
        return " (a link that leads nowhere)"
    return "" if hasattr(item, "shape") else f" (a group of {', '.join(item) or 'nothing'})"


def _require_vectors(path: Path, train: Any, test: Any) -> None:
    for name, array in (("train", train), ("test", test)):
        if array.ndim != 2:
            raise DatasetFormatError(
                f"{path}: {name} has shape {array.shape}; expected two dimensions, one "
                "row a vector."
            )
        if array.dtype.kind not in "fiu":
            raise DatasetFormatError(
                f"{path}: {name} holds {array.dtype}; expected floats or integers. Convert it."
            )
        if 0 in array.shape:
            raise DatasetFormatError(
                f"{path}: {name} has shape {array.shape}; expected at least one row and one column."
            )
    if train.shape[1] != test.shape[1]:
        raise DatasetFormatError(
            f"{path}: train has {train.shape[1]} dimensions and test has {test.shape[1]}; "
            "they must be equal."
        )


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
