"""Orders the queries: as in the file, at random, or sorted so that similar ones follow each other.

The order matters because of caches: after a similar query, the needed parts of the index and of
the vectors are in the processor's cache. A service gets queries in random order; sorted ones show
how much the best order gains.
"""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from pytest_annmodal.datasets import hdf5
from pytest_annmodal.distances import metrics

SEED = 20_261_130
STEPS = 50  # of the power iteration
MOST_ROWS = 10_000  # from which the direction is computed
V = TypeVar("V", bound=hdf5.Vectors)


def ordered(data: V, order: str) -> V:
    """Returns the same queries, each with its truth, in another order.

    Args:
        order: ``file``; ``random``, the same in every run; ``sorted``, by the first principal
            component of the queries (of bits as 0 and 1; sets by their members).
    """
    if order == "file":
        return data
    n = len(data.test)
    if order == "random":
        return data.cut(np.random.default_rng(SEED).permutation(n))
    return data.cut(_sorted(data.test, data.info))


def _sorted(test: Any, info: hdf5.DatasetInfo) -> NDArray[np.int64]:
    layout = metrics.named(info.metric).layout
    if layout == "sets":
        members = [tuple(one.tolist()) for one in test.lists()]
        return np.array(sorted(range(len(members)), key=members.__getitem__), np.int64)
    rows = np.unpackbits(test, axis=1, count=info.dim) if layout == "bits" else test
    return np.argsort(_along_principal(rows), kind="stable")


def _along_principal(rows: NDArray[Any]) -> NDArray[np.float64]:
    """Returns each row's coordinate on the first principal component, float64 (n,).

    By power iteration on the covariance of the first rows, from a fixed start.
    """
    some = rows[:MOST_ROWS].astype(np.float64)
    np.subtract(some, some.mean(axis=0), out=some)
    direction: NDArray[Any] = np.random.default_rng(SEED).standard_normal((rows.shape[1],))
    for _ in range(STEPS):
        turned = some.T @ (some @ direction)
        if not turned.any():  # all rows are equal
            break
        direction = turned / float(np.linalg.norm(turned))
    return np.asarray(rows @ direction, np.float64)
