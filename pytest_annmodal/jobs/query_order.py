"""In which order queries are asked: as they are in the file, at random, or neighbours in a row.

Caches make the difference: a query that is like the one before it finds its part of the index, and
of the vectors, in the processor's cache. A service sees queries as at random; sorted ones show what
the best order is worth.
"""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from pytest_annmodal.datasets import hdf5
from pytest_annmodal.distances import metrics

SEED = 20_261_130
STEPS = 50  # of the power iteration
MOST_ROWS = 10_000  # that the direction is found from
V = TypeVar("V", bound=hdf5.Vectors)


def ordered(data: V, order: str) -> V:
    """The same queries, with what belongs to each, in another order.

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
    """Each row's place along the direction in which the rows vary most, float64 (n,).

    By power iteration on the covariance of the first rows, from a fixed beginning.
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
