"""Draws fresh queries: held-out training rows, moved slightly, with exact true neighbours.

A submission could contain a public dataset's queries and answers. So for grading, rows are
drawn from ``train`` by a seed of the session, removed from the index, and moved by noise of
the size of a neighbour's distance; their true neighbours among the remaining rows are
computed. The remaining rows are shuffled, so that memorised row numbers are useless. All
submissions of a session get the same queries.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from pytest_annmodal.datasets import composition, hdf5
from pytest_annmodal.distances import exact, metrics
from pytest_annmodal.errors import DatasetError, SubmissionError

NOISE_NEIGHBOUR = 10
LARGEST_SHARE = 0.2  # of train that may be held out
MOST_QUERIES = 2000
PARTS_PER_SETTING = 2  # one for single queries, one for the batch
V = TypeVar("V", bound=hdf5.Vectors)


def freshen(
    data: hdf5.LoadedDataset, *, n_queries: int, seed: int, k: int = 1
) -> hdf5.LoadedDataset:
    """Returns a dataset of the same vectors with new queries, row order and exact truth.

    Args:
        n_queries: how many to draw; at most a fifth of ``train``.
        seed: of the session; the same seed gives the same queries.
        k: how many true neighbours are needed.

    Raises:
        DatasetError: ``train`` is too small to hold out that many rows.
    """
    n_train = len(data.train)
    if n_queries > LARGEST_SHARE * n_train:
        raise DatasetError(
            f"{n_queries} fresh queries need at least {int(n_queries / LARGEST_SHARE)} training "
            f"vectors, and there are {n_train}; lower --ann-queries or select fewer settings"
        )
    rng = np.random.default_rng(seed)
    held, kept = _split(n_train, n_queries, rng)
    train = data.train[kept]
    test = moved(data.train[held], train, rng, data.info.metric, data.info.dim)
    depth = min(max(k, data.neighbors.shape[1]), len(train))
    neighbors, distances = exact.knn(train, test, depth, data.info.metric)
    info = dataclasses.replace(
        data.info, n_train=len(train), n_queries=n_queries, k_truth=depth, contiguous=False
    )
    return dataclasses.replace(
        data,
        info=info,
        train=train,
        test=test,
        neighbors=neighbors,
        distances=distances,
        train_map=None,
        truth_computed=True,
        **composition.fields(composition.of(train, test, data.info.metric), len(train)),
    )


def _split(
    n_train: int, n_queries: int, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Returns the rows that are held out and those that are kept, in their new order."""
    order = rng.permutation(n_train)
    return order[:n_queries], order[n_queries:]


def kept_rows(n_train: int, n_queries: int, seed: int) -> NDArray[np.int64]:
    """Returns the rows that :func:`freshen` keeps, in their new order."""
    return _split(n_train, n_queries, np.random.default_rng(seed))[1]


def n_drawn(n_train: int) -> int:
    """Returns how many queries are drawn: the same for all, so that all index the same rows."""
    return min(MOST_QUERIES, int(LARGEST_SHARE * n_train))


def moved(rows: Any, train: Any, rng: np.random.Generator, metric: str, dim: int) -> Any:
    """Moves each row by noise of the size of its distance to a neighbour in ``train``."""
    measure = metrics.named(metric).measure
    k = min(NOISE_NEIGHBOUR, len(train))
    _, distances = exact.knn(train, rows, k, measure.noise_metric or metric)
    return measure.moved(rows, distances[:, -1], rng, dim)


def parts(data: V, n_parts: int, size: int | None = None) -> Iterator[V]:
    """Cuts the queries into equal, disjoint parts, so that none is asked twice."""
    size = size or len(data.test) // n_parts
    for start in range(0, size * n_parts, size):
        yield data.cut(slice(start, start + size))


def size_of_parts(n_there: int, n_parts: int, n_queries: int | None) -> int:
    """Returns how many queries each of ``n_parts`` parts has, at most ``n_queries``.

    Raises:
        SubmissionError: the header has more settings than the queries serve.
        DatasetError: there are fewer queries than parts of a single setting.
    """
    each = min(n_there // n_parts, n_queries or n_there)
    if each < 1 and n_there >= PARTS_PER_SETTING:
        raise SubmissionError(
            f"its header asks for {n_parts // PARTS_PER_SETTING} search settings of one build, but "
            f"the {n_there} fresh queries of this dataset serve at most "
            f"{n_there // PARTS_PER_SETTING}; remove values from search",
            kind="too-many-settings",
        )
    if each < 1:
        raise DatasetError(
            f"{n_there} fresh queries cannot serve one setting, which needs "
            f"{PARTS_PER_SETTING}; use a larger dataset"
        )
    return each


@lru_cache(maxsize=1)
def load_fresh(
    path: Path, *, subset: int | None, seed: int, k: int, cache: Path | None
) -> hdf5.LoadedDataset:
    """Loads and freshens a file; the last result is cached for the next submission."""
    data = hdf5.load(path, subset=subset, truth_cache=cache)
    return freshen(data, n_queries=n_drawn(len(data.train)), seed=seed, k=k)
