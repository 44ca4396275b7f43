"""One dataset file in ann-benchmarks' HDF5 format: look, check, load, write.

``train`` (n, d) and ``test`` (m, d) are vectors; ``neighbors`` and ``distances`` (m, K) are
the exact nearest rows of ``train``. No file is opened in this process that was not checked
before: that is done in another one (:mod:`.checker`). Every handle is closed before a function
here returns, and neither h5py nor numpy is imported before one is called.
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
    "validate",
    "vouch",
    "write",
]


def inspect(path: Path) -> DatasetInfo:
    """What the file says it holds, without reading its arrays.

    The file is opened in another process; the same file is looked at once.

    Raises:
        DatasetFormatError: it is not an ann-benchmarks HDF5 file.
        DatasetError: it is not there or cannot be read.
    """
    from pytest_annmodal.datasets.hdf5 import known

    return known.described(path)


def validate(path: Path) -> DatasetInfo:
    """Check everything that can be checked in one pass over the file, in another process.

    Raises:
        DatasetFormatError: what is wrong, where, what was expected and what to do.
        DatasetError: it is not there or cannot be read.
    """
    from pytest_annmodal.datasets.hdf5 import known

    return known.checked(path)


def vouch(path: Path, info: DatasetInfo) -> None:
    """Say that the file as it is now was checked before, and what it holds."""
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
    """Arrays ready to be benchmarked.

    Args:
        path: a file that :func:`validate` accepted; one that this process does not know is
            looked at in another process before it is opened here.
        subset: keep only so many rows of ``train``, drawn at random with a fixed seed and left in
            their order; the truth is computed anew for them.
        n_queries: keep only so many queries, drawn likewise.
        k: how many true neighbours are needed; where the file has fewer, they are computed.
        truth_cache: directory that keeps computed truths and counts between runs.
        own: queries that take the place of those in the file; their truth is computed.

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
    """Write a dataset file in ann-benchmarks' format, contiguous and uncompressed.

    Args:
        train, test: (n, d) and (m, d); for bits as a value each, or packed, and then ``dim`` says
            how many there are; for sets :class:`~pytest_annmodal.distances.rows.Sets`.
        neighbors, distances: may both be None: the truth is then computed by who loads the file.
        dim: bits of a row, or members that sets may have; else it is what the rows show.
    """
    from pytest_annmodal.datasets.hdf5 import file

    arrays = {"train": train, "test": test, "neighbors": neighbors, "distances": distances}
    file.write_file(path, arrays, metric, attrs, dim)
