"""Datasets of this benchmark: clustered rows, written once a run."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pytest_annmodal.datasets import hdf5
from pytest_annmodal.distances import exact

from .scale import Size

N_CENTRES = 100
SPREAD = 0.5  # of a cluster, where its centres have 1
CHUNK_ROWS = 50_000
TRUTH_K = 10
SEED = 0


def vectors(n: int, dim: int, seed: int = SEED) -> NDArray[np.float32]:
    """Clustered rows, float32 (n, dim): plain noise in 100 dimensions is nobody's data."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(SEED).standard_normal((N_CENTRES, dim), dtype=np.float32)
    rows = np.empty((n, dim), dtype=np.float32)
    for start in range(0, n, CHUNK_ROWS):
        chunk = rows[start : start + CHUNK_ROWS]
        rng.standard_normal(dtype=np.float32, out=chunk)
        chunk *= np.float32(SPREAD)
        chunk += centres[rng.integers(N_CENTRES, size=len(chunk))]
    return rows


def file(
    directory: Path, size: Size, metric: str, n_queries: int, *, true_of: int | None = None
) -> Path:
    """A dataset file, contiguous and in the page cache; the same path for the same wish.

    Args:
        true_of: the truth is computed for so many queries, and repeated for all: where only the
            speed of a job counts, not its recall. All of them by default.
    """
    path = directory / f"rows-{size.n}-{n_queries}-{size.dim}-{metric}.hdf5"
    if path.exists():
        return path
    directory.mkdir(parents=True, exist_ok=True)
    train, test = vectors(size.n, size.dim), vectors(n_queries, size.dim, SEED + 1)
    ids, distances = exact.knn(train, test[:true_of], min(TRUTH_K, size.n), metric)
    turn = np.arange(n_queries) % len(ids)
    hdf5.write(
        path,
        train=train,
        test=test if true_of is None else test[turn],
        neighbors=ids[turn].astype(np.int32),
        distances=distances[turn],
        metric=metric,
    )
    with path.open("rb+") as stream:
        os.fsync(stream.fileno())  # its writing back would be measured otherwise
    return path
