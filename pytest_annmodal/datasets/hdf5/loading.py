"""Loads the arrays of a dataset file and the truth for them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_annmodal.datasets import composition, own_queries
from pytest_annmodal.datasets.hdf5 import known
from pytest_annmodal.datasets.hdf5.file import Arrays, opened
from pytest_annmodal.datasets.hdf5.info import DatasetInfo, Identity, LoadedDataset, TrainMap
from pytest_annmodal.datasets.truth import TRUTH_K, Array, _Cache, _compute
from pytest_annmodal.distances import exact, metrics
from pytest_annmodal.errors import DatasetError
from pytest_annmodal.queries import OwnQueries

SAMPLE_SEED = 0


def load_file(
    path: Path,
    *,
    subset: int | None,
    n_queries: int | None,
    k: int,
    truth_cache: Path | None,
    own: OwnQueries | None = None,
) -> LoadedDataset:
    """See :func:`pytest_annmodal.datasets.hdf5.load`."""
    known.described(path)
    before = known.identity(path)
    with opened(path) as arrays:
        info = arrays.info
        n_train = _how_many(path, "train", info.n_train, subset)
        train_map, train = _train(arrays, n_train, before)
        whole = n_train == info.n_train
        if own is not None:
            test, stored = own_queries.as_kept(own, info, path.stem), None
        else:
            is_deep = info.k_truth >= min(k, n_train)
            test, stored = _own(arrays, train, n_queries, whole=whole and is_deep)
    asked = own.sha256 if own else _cut(info.n_queries, len(test))
    cut, depth = f"{_cut(info.n_train, n_train)}-{asked}", min(max(TRUTH_K, k), n_train)
    known.require_same(path, before)
    cache = _Cache(path, truth_cache)
    name = f"truth-{info.metric}-{cut}-{depth}"
    truth = (
        _clean(stored, train, test, info)
        if stored
        else cache.get(name, lambda: _compute(train, test, depth, info.metric))
    )
    rows = cache.get(f"copy-{info.metric}-{cut}", lambda: composition.of(train, test, info.metric))
    return LoadedDataset(
        info=dataclasses.replace(
            info,
            n_train=n_train,
            n_queries=len(test),
            k_truth=truth["neighbors"].shape[1],
            sampled_from=0 if whole else info.n_train,
        ),
        train=train,
        test=test,
        neighbors=truth["neighbors"],
        distances=truth["distances"],
        train_map=train_map,
        truth_computed=stored is None,
        **composition.fields(rows, n_train),
    )


def _own(
    arrays: Arrays, train: Any, n_queries: int | None, *, whole: bool
) -> tuple[Any, dict[str, Array] | None]:
    """Returns the file's queries or a sample of them, and the file's truth if it can be used.

    Args:
        whole: whether the file's truth is for all these rows, and has k columns.
    """
    there = arrays.info.n_queries
    queries = sampled_rows(there, min(n_queries or there, there))
    every = arrays.test.read()
    usable = whole and not _by_another_rule(arrays, train, every)
    return every[queries], _stored(arrays, queries) if usable else None


def _how_many(path: Path, name: str, there: int, wanted: int | None) -> int:
    if wanted is None:
        return there
    if not 1 <= wanted <= there:
        raise DatasetError(
            f"{path}: {name} has {there:,} rows and cannot be cut to {wanted:,}. "
            f"Ask for 1 to {there:,}."
        )
    return wanted


def sampled_rows(there: int, n: int) -> npt.NDArray[np.int64]:
    """Returns the row numbers of a random sample, int64, ascending.

    Random, since the first rows of a sorted file may be of one class.
    """
    rng = np.random.default_rng(SAMPLE_SEED)
    return np.sort(rng.choice(there, n, replace=False))


def _train(arrays: Arrays, n_train: int, identity: Identity) -> tuple[TrainMap | None, Any]:
    """Returns all rows, mapped if possible, or a sample of them."""
    train_map = _train_map(arrays, identity)
    mapped = _mapped(train_map) if train_map else None
    if n_train == arrays.info.n_train:
        return train_map, arrays.train.read() if mapped is None else mapped
    rows = sampled_rows(arrays.info.n_train, n_train)
    return None, arrays.train.taken(rows) if mapped is None else mapped[rows]


def _by_another_rule(arrays: Arrays, train: Any, test: Any) -> bool:
    """Returns whether the file's truth may differ from ours.

    Sets that repeat a member, and empty queries, have other distances in ann-benchmarks.
    """
    repeats = arrays.train.repeats(train) or arrays.test.repeats(test)
    layout = arrays.train.layout
    return repeats or (layout.may_repeat_ids and bool(layout.zero(test).any()))


def _stored(arrays: Arrays, queries: npt.NDArray[np.int64]) -> dict[str, Array] | None:
    """Returns the file's truth for these queries, or None if it has none that can be used."""
    if arrays.neighbors is None or arrays.distances is None:
        return None
    neighbors = arrays.neighbors[:][queries]
    ordered = np.sort(neighbors, axis=1)
    if arrays.train.layout.may_repeat_ids and (ordered[:, 1:] == ordered[:, :-1]).any():
        return None
    return {
        "neighbors": neighbors,
        "distances": arrays.distances[:][queries],
    }


def _cut(there: int, n: int) -> str:
    """Returns the part of a cache key that tells all rows from a sample of them."""
    return str(n) if n == there else f"{n}-sample-{SAMPLE_SEED}"


def _train_map(arrays: Arrays, identity: Identity) -> TrainMap | None:
    if arrays.info.train_offset is None:
        return None
    return TrainMap(
        path=str(arrays.path.absolute()),
        offset=arrays.info.train_offset,
        shape=arrays.train.array.shape,
        dtype=arrays.info.kept_as,
        identity=identity,
    )


def _mapped(where: TrainMap) -> Array:
    # Mode "c" is MAP_PRIVATE: writing changes this process's copy and never the file.
    mapped = np.memmap(where.path, where.dtype, "c", where.offset, where.shape)
    return np.asarray(mapped)


def _narrow(values: Array) -> npt.NDArray[np.float32]:
    return np.ascontiguousarray(values, dtype=np.float32)


def _clean(
    stored: Mapping[str, Array], train: Any, test: Any, info: DatasetInfo
) -> dict[str, Array]:
    """Returns the file's truth as int64 ids and float32 distances.

    Some files have NaN where a zero vector has no cosine: it becomes 1. For metrics whose
    distances differ in unit from file to file, they are computed from the rows.
    """
    neighbors = np.ascontiguousarray(stored["neighbors"], dtype=np.int64)
    if metrics.named(info.metric).measure.is_exact:
        distances = _narrow(exact.pair_distances(train, test, neighbors, info.metric))
    else:
        distances = _narrow(stored["distances"])
        distances[np.isnan(distances)] = 1.0
    return {
        "neighbors": neighbors,
        "distances": distances,
    }
