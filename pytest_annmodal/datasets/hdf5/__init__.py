"""Inspects, checks, loads and writes a dataset file in ann-benchmarks' HDF5 format.

``train`` (n, d) and ``test`` (m, d) are vectors; ``neighbors`` and ``distances`` (m, K) are
the exact nearest rows of ``train``. A separate process (:mod:`.checker`) checks each file
before this one opens it. Functions here close every handle before they return, and import h5py
and numpy only when called.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_annmodal.datasets.hdf5.info import (
    CHECKS,
    DatasetInfo,
    Identity,
    LoadedDataset,
    TrainMap,
    Vectors,
)

if TYPE_CHECKING:
    import numpy.typing as npt

    from pytest_annmodal.queries import OwnQueries

__all__ = [
    "CHECKS",
    "DatasetInfo",
    "Identity",
    "LoadedDataset",
    "TrainMap",
    "Vectors",
    "inspect",
    "load",
    "mark_checked",
    "validate",
    "write",
]


def inspect(path: Path) -> DatasetInfo:
    """Returns the file's metric, shapes and types without reading its arrays.

    A separate process opens the file; the result is cached for an unchanged file.

    Raises:
        DatasetFormatError: it is not an ann-benchmarks HDF5 file.
        DatasetError: it does not exist or cannot be read.
    """
    from pytest_annmodal.datasets.hdf5 import known

    return known.described(path)


def validate(path: Path) -> DatasetInfo:
    """Checks structure, values and truth in one pass over the file, in a separate process.

    Raises:
        DatasetFormatError: what is wrong, where, what was expected and what to do.
        DatasetError: it does not exist or cannot be read.
    """
    from pytest_annmodal.datasets.hdf5 import known

    return known.checked(path)


def mark_checked(path: Path, info: DatasetInfo) -> None:
    """Records that the file in its present state was checked before, and what it holds."""
    from pytest_annmodal.datasets.hdf5 import known

    known.remember(path, info)


def load(
    path: Path,
    *,
    subset: int | None = None,
    n_queries: int | None = None,
    k: int = 1,
    truth_cache: Path | None = None,
    own: OwnQueries | None = None,
) -> LoadedDataset:
    """Loads the arrays of a dataset, with a truth of at least ``k`` neighbours.

    Args:
        path: a file that :func:`validate` accepted; a file new to this process is inspected in
            a separate process before it is opened here.
        subset: number of rows of ``train`` to keep, drawn at random with a fixed seed and left in
            their order; their truth is computed.
        n_queries: number of queries to keep, drawn likewise.
        k: how many true neighbours are needed; where the file has fewer, they are computed.
        truth_cache: directory that caches computed truths and counts between runs.
        own: queries to use instead of those in the file; their truth is computed.

    Raises:
        DatasetFormatError: it is not an ann-benchmarks HDF5 file.
        DatasetError: it cannot be read, was changed meanwhile, or has fewer rows than ``subset``.
    """
    from pytest_annmodal.datasets.hdf5 import loading

    return loading.load_file(
        path, subset=subset, n_queries=n_queries, k=k, truth_cache=truth_cache, own=own
    )


def write(
    path: Path,
    *,
    train: Any,
    test: Any,
    neighbors: npt.NDArray[Any] | None,
    distances: npt.NDArray[Any] | None,
    metric: str,
    dim: int | None = None,
    **attrs: str | float,
) -> None:
    """Writes a dataset file in ann-benchmarks' format, contiguous and uncompressed.

    Args:
        train, test: (n, d) and (m, d); bits as one value each, or packed with their number in
            ``dim``; sets as :class:`~pytest_annmodal.distances.rows.Sets`.
        neighbors, distances: both None to have the truth computed when the file is loaded.
        dim: bits of a row, or possible members of a set; by default taken from the rows.
    """
    from pytest_annmodal.datasets.hdf5 import file

    arrays = {"train": train, "test": test, "neighbors": neighbors, "distances": distances}
    file.write_file(path, arrays, metric, attrs, dim)
