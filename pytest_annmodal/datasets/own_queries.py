"""Converts queries of ``--ann-queries`` to the layout of a dataset's rows."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_annmodal.datasets.hdf5.info import DatasetInfo
from pytest_annmodal.distances import metrics
from pytest_annmodal.errors import DatasetError
from pytest_annmodal.queries import OwnQueries

OPTION = "--ann-queries"


def as_kept(own: OwnQueries, info: DatasetInfo, dataset: str) -> Any:
    """Returns the queries in the layout and type of the dataset's rows.

    Args:
        dataset: its name, for errors.

    Raises:
        DatasetError: the file cannot be read or was changed, or its queries do not fit.
    """
    path, called = Path(own.path), f"{OPTION} {own.name}"
    try:
        with path.open("rb") as stream:
            sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
        if sha256 != own.sha256:
            raise DatasetError(f"{called}: {path} was changed since it was read. Start again.")
        rows = np.load(path, allow_pickle=False)
    except OSError as error:
        raise DatasetError(f"{called}: {path} cannot be read ({error.strerror}).") from error
    layout, dim = metrics.named(info.metric).layout, info.dim
    if layout == "bits" and rows.shape[1] == -(-dim // 8) != dim and rows.dtype == np.uint8:
        return _packed(rows, dim, called)
    if rows.shape[1] != dim:
        packed = f", or {-(-dim // 8):,} bytes (uint8)" if layout == "bits" else ""
        raise DatasetError(
            f"{called}: its vectors have {rows.shape[1]:,} dimensions; expected {dim:,}{packed}, "
            f"as {dataset} has them."
        )
    if layout != "floats" and not np.isin(rows, (0, 1)).all():
        what = "bit" if layout == "bits" else "possible member of a set"
        raise DatasetError(
            f"{called}: it holds numbers other than 0 and 1; expected 0 or 1 for each {what}, "
            f"since the metric of {dataset} is {info.metric}."
        )
    if layout == "floats":
        _require_exact(rows, info.kept_as, called, dataset)
    return metrics.named(info.metric).rows.kept(rows, info.kept_as)


def _packed(rows: NDArray[np.uint8], dim: int, called: str) -> NDArray[np.uint8]:
    spare = 8 * rows.shape[1] - dim
    if spare and (rows[:, -1] & ((1 << spare) - 1)).any():
        raise DatasetError(
            f"{called}: it has bits beyond the dataset's {dim}; expected 0 there, as "
            "numpy.packbits writes them."
        )
    return rows


def _require_exact(rows: NDArray[Any], kept_as: str, called: str, dataset: str) -> None:
    """Raises DatasetError for queries that a dataset of bytes cannot hold exactly.

    An implementation that takes bytes takes its queries as bytes too.
    """
    if kept_as == "float32" or rows.dtype == np.dtype(kept_as):
        return
    ends = np.iinfo(kept_as)
    if not ((rows >= ends.min) & (rows <= ends.max) & (rows == np.floor(rows))).all():
        raise DatasetError(
            f"{called}: it holds {rows.dtype}, and {dataset} holds {kept_as}; expected whole "
            f"numbers from {ends.min} to {ends.max}. Scale and round the queries as the dataset's "
            "vectors were."
        )
