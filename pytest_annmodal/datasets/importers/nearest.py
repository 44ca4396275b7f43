"""Finds exact neighbours in a train larger than memory, in pieces of rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_annmodal.distances import exact

RUN_BYTES = 256 * 2**20
Floats32 = npt.NDArray[np.float32]
Ids = npt.NDArray[np.int64]


def nearest(
    train: npt.NDArray[Any],
    queries: npt.NDArray[Any],
    k: int,
    metric: str,
    on_progress: Callable[[int, int], None] = lambda *_: None,
) -> tuple[Ids, Floats32]:
    """As :func:`pytest_annmodal.distances.exact.knn`, with progress in bytes of train.

    Args:
        train: n rows as the file has them, usually a map.
        queries: m rows, likewise.
    """
    row_bytes = train.itemsize * train.shape[1]
    step = max(1, RUN_BYTES // row_bytes)
    ids = np.empty((len(queries), 0), dtype=np.int64)
    distances = np.empty((len(queries), 0), dtype=np.float32)
    for start in range(0, len(train), step):
        run = train[start : start + step]
        found, far = exact.knn(run, queries, min(k, len(run)), metric)
        ids, distances = np.hstack((ids, found + start)), np.hstack((distances, far))
        if start:  # a stable sort keeps the smaller id first in a tie
            order = np.argsort(distances, axis=1, kind="stable")[:, :k]
            ids = np.take_along_axis(ids, order, axis=1)
            distances = np.take_along_axis(distances, order, axis=1)
        on_progress((start + len(run)) * row_bytes, train.nbytes)
    return ids, distances
