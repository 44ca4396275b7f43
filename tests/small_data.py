"""Small dataset files with exact truth."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pytest_annmodal.datasets import hdf5
from pytest_annmodal.distances import exact


def write_small(
    directory: Path,
    name: str = "small-8-euclidean",
    *,
    metric: str = "euclidean",
    n_train: int = 300,
    n_queries: int = 20,
    dim: int = 8,
    k: int = 10,
    seed: int = 0,
    **replace: object,
) -> Path:
    """Write ``name.hdf5``; further keyword arguments replace what it holds.

    ``neighbors=None, distances=None`` leaves the truth out.
    """
    rng = np.random.default_rng(seed)
    train = replace.pop("train", None)
    if train is None:
        train = rng.standard_normal((n_train, dim)).astype(np.float32)
    test = replace.pop("test", None)
    if test is None:
        test = rng.standard_normal((n_queries, dim)).astype(np.float32)
    truth = dict.fromkeys(("neighbors", "distances"))
    if not set(truth) <= set(replace):
        ids, distances = exact.knn(train, test, min(k, len(train)), metric)
        truth = {"neighbors": ids.astype(np.int32), "distances": distances}
    truth.update({key: replace.pop(key) for key in tuple(truth) if key in replace})
    path = directory / f"{name}.hdf5"
    path.parent.mkdir(parents=True, exist_ok=True)
    hdf5.write(path, train=train, test=test, metric=metric, **truth, **replace)
    return path
