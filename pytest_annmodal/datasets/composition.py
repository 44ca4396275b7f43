"""Counts zero rows and duplicate rows of a dataset, and measures how sorted it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_annmodal.distances import exact, metrics
from pytest_annmodal.distances.rows import Layout

SAMPLE_PAIRS = 2000
SEED = 0
ROWS_AT_ONCE = 2**14  # copied to be looked at
Array = npt.NDArray[Any]


def of(train: Any, test: Any, metric: str) -> dict[str, Array]:
    """Returns counts and figures of the rows as arrays to cache; :func:`fields` reads them."""
    layout = metrics.named(metric).rows
    glances = layout.hashes(layout.glance(train))
    zeros = np.flatnonzero(glances == 0)
    some, hashes = _alike(layout, train, glances)
    _, group, sizes = np.unique(hashes, return_inverse=True, return_counts=True)
    copied = np.zeros(len(train), np.bool_)
    copied[some] = sizes[group] > 1
    return {
        "zero_train": np.asarray(sum(map(np.count_nonzero, _each(layout.zero, train, zeros)))),
        "zero_test": np.asarray(np.count_nonzero(layout.zero(test))),
        "duplicates": np.asarray(len(some) - len(sizes)),
        "most_copied": np.asarray(sizes.max(initial=1)),
        "copied": np.packbits(copied),
        "order_ratio": np.asarray(order_ratio(train, metric)),
    }


def _alike(layout: Layout, train: Any, glances: Array) -> tuple[Array, Array]:
    """Returns the numbers of the rows that may have copies, and a hash of each.

    Two equal rows are equal where one glances at them. Only rows that are not alone in this are
    read as a whole.
    """
    ordered = np.sort(glances)
    several = np.unique(ordered[1:][ordered[1:] == ordered[:-1]])
    if not several.size:
        return np.empty(0, np.int64), np.empty(0, np.uint64)
    place = np.minimum(np.searchsorted(several, glances), len(several) - 1)
    some = np.flatnonzero(several[place] == glances)
    if layout.glance(train) is train:
        return some, glances[some]
    if 2 * len(some) > len(train):
        return some, layout.hashes(train)[some]
    return some, np.concatenate(list(_each(layout.hashes, train, some)))


def _each(look: Callable[[Any], Array], train: Any, rows: Array) -> Iterator[Array]:
    """Yields the results for these rows of ``train``, a few at a time."""
    for start in range(0, len(rows), ROWS_AT_ONCE):
        yield look(train[rows[start : start + ROWS_AT_ONCE]])


def fields(found: Mapping[str, Array], n_train: int) -> dict[str, Any]:
    """Returns them as fields of a :class:`~pytest_annmodal.datasets.hdf5.LoadedDataset`."""
    return {
        "n_zero_train": int(found["zero_train"]),
        "n_zero_test": int(found["zero_test"]),
        "n_duplicates": int(found["duplicates"]),
        "n_most_copied": int(found["most_copied"]),
        "copied": np.unpackbits(found["copied"], count=n_train).astype(np.bool_),
        "order_ratio": float(found["order_ratio"]),
    }


def order_ratio(train: Any, metric: str) -> float:
    """Returns the distance of consecutive rows divided by the distance of random rows.

    Both are medians over ``SAMPLE_PAIRS`` pairs. About 1 in random order, near 0 in a sorted file.
    """
    rng = np.random.default_rng(SEED)
    n = len(train)
    if n < 2:
        return 1.0
    # An inner product is not a distance between two rows.
    measured = metrics.named(metric).measure.noise_metric or metric
    rows = rng.integers(0, n - 1, SAMPLE_PAIRS)
    following, others = rows + 1, rng.integers(0, n, SAMPLE_PAIRS)
    near, far = (
        float(np.median(exact.pair_distances(train, train[rows], ids[:, None], measured)))
        for ids in (following, others)
    )
    return near / far if far else 1.0
