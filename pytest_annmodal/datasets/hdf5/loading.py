"""Arrays out of a dataset file, with the truth that belongs to them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pytest_annmodal.datasets.hdf5 import known
from pytest_annmodal.datasets.hdf5.file import Arrays, opened
from pytest_annmodal.datasets.hdf5.info import Identity, LoadedDataset, TrainMap
from pytest_annmodal.datasets.truth import TRUTH_K, Array, _Cache, _compute, _count
from pytest_annmodal.errors import DatasetError


def load_file(
    path: Path, *, subset: int | None, n_queries: int | None, k: int, truth_cache: Path | None
) -> LoadedDataset:
    """See :func:`pytest_annmodal.datasets.hdf5.load`."""
    known.described(path)
    before = known.identity(path)
    with opened(path) as arrays:
        n_train = _how_many(path, "train", arrays.info.n_train, subset)
        n_test = min(n_queries or arrays.info.n_queries, arrays.info.n_queries)
        train_map = _train_map(arrays, n_train, before)
        train = _mapped(train_map) if train_map else _narrow(arrays.train[:n_train])
        test = _narrow(arrays.test[:n_test])
        stored = None
        whole = n_train == arrays.info.n_train
        if whole and arrays.neighbors is not None and arrays.info.k_truth >= min(k, n_train):
            assert arrays.distances is not None
            stored = {
                "neighbors": arrays.neighbors[:n_test],
                "distances": arrays.distances[:n_test],
            }
        info = arrays.info
    known.require_same(path, before)
    cache, depth = _Cache(path, truth_cache), min(max(TRUTH_K, k), n_train)
    truth = (
        _clean(stored)
        if stored
        else cache.get(
            f"truth-{info.metric}-{n_train}-{n_test}-{depth}",
            lambda: _compute(train, test, depth, info.metric),
        )
    )
    counts = cache.get(f"counts-{n_train}-{n_test}", lambda: _count(train, test))
    return LoadedDataset(
        info=dataclasses.replace(
            info, n_train=n_train, n_queries=n_test, k_truth=truth["neighbors"].shape[1]
        ),
        train=train,
        test=test,
        neighbors=truth["neighbors"],
        distances=truth["distances"],
        n_zero_train=int(counts["zero_train"]),
        n_zero_test=int(counts["zero_test"]),
        n_duplicates=int(counts["duplicates"]),
        train_map=train_map,
        truth_computed=stored is None,
    )


def _how_many(path: Path, name: str, there: int, wanted: int | None) -> int:
    if wanted is None:
        return there
    if not 1 <= wanted <= there:
        raise DatasetError(
            f"{path}: {name} has {there:,} rows and cannot be cut to {wanted:,}. "
            f"Ask for 1 to {there:,}."
        )
    return wanted


def _train_map(arrays: Arrays, n_train: int, identity: Identity) -> TrainMap | None:
    if arrays.info.train_offset is None:
        return None
    return TrainMap(
        path=str(arrays.path.absolute()),
        offset=arrays.info.train_offset,
        shape=(n_train, arrays.info.dim),
        dtype="<f4",
        identity=identity,
    )


def _mapped(where: TrainMap) -> npt.NDArray[np.float32]:
    # Mode "c" is MAP_PRIVATE: writing changes this process's copy and never the file.
    mapped = np.memmap(where.path, where.dtype, "c", where.offset, where.shape)
    return np.asarray(mapped)


def _narrow(values: Array) -> npt.NDArray[np.float32]:
    return np.ascontiguousarray(values, dtype=np.float32)


def _clean(stored: Mapping[str, Array]) -> dict[str, Array]:
    """The file's truth; NaN is how some files say that a zero vector has no cosine."""
    distances = _narrow(stored["distances"])
    distances[np.isnan(distances)] = 1.0
    return {
        "neighbors": np.ascontiguousarray(stored["neighbors"], dtype=np.int64),
        "distances": distances,
    }
