"""Counts zero rows and duplicate rows of a dataset, and measures how sorted it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_annmodal.distances import exact, metrics

SAMPLE_PAIRS = 2000
SEED = 0
Array = npt.NDArray[Any]


def of(train: Any, test: Any, metric: str) -> dict[str, Array]:
    """Returns counts and figures of the rows as arrays to cache; :func:`fields` reads them."""
    layout = metrics.named(metric).rows
    hashes = layout.hashes(train)
    zero_train = np.count_nonzero(layout.zero(train[np.flatnonzero(hashes == 0)]))
    _, group, sizes = np.unique(hashes, return_inverse=True, return_counts=True)
    return {
        "zero_train": np.asarray(zero_train),
        "zero_test": np.asarray(np.count_nonzero(layout.zero(test))),
        "duplicates": np.asarray(len(train) - len(sizes)),
        "most_copied": np.asarray(sizes.max()),
        "copied": np.packbits(sizes[group] > 1),
        "order_ratio": np.asarray(order_ratio(train, metric)),
    }


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
