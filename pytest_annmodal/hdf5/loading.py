"""Arrays out of a dataset file, with the truth that belongs to them."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_annmodal.errors import DatasetError
from pytest_annmodal.hdf5 import known
from pytest_annmodal.hdf5.file import Arrays, opened
from pytest_annmodal.hdf5.info import Identity, LoadedDataset, TrainMap
from pytest_annmodal.scoring import exact

TRUTH_K = 100
TRUTH_VERSION = 1  # part of every cache key: raise it when what is cached changes
CHUNK_BYTES = 32 * 2**20
Array = npt.NDArray[Any]


def load_file(
    path: Path, *, subset: int | None, n_queries: int | None, k: int, truth_cache: Path | None
) -> LoadedDataset:
    """See :func:`pytest_annmodal.hdf5.load`."""
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


def _compute(train: Array, test: Array, k: int, metric: str) -> dict[str, Array]:
    ids, distances = exact.knn(train, test, k, metric)
    return {"neighbors": ids, "distances": distances}


def _count(train: Array, test: Array) -> dict[str, Array]:
    hashes = _row_hashes(train)
    zero_train = sum(not train[row].any() for row in np.flatnonzero(hashes == 0))
    return {
        "zero_train": np.asarray(zero_train),
        "zero_test": np.asarray(np.count_nonzero(~test.any(axis=1))),
        "duplicates": np.asarray(len(train) - len(np.unique(hashes))),
    }


def _row_hashes(train: Array) -> npt.NDArray[np.uint64]:
    """One number per row: equal for equal rows, 0 for zero; unequal rows rarely collide."""
    even = train.shape[1] % 2 == 0
    words = train.shape[1] // 2 if even else train.shape[1]
    odd = np.random.default_rng(0).integers(2**63, size=words, dtype=np.uint64)
    odd = odd * np.uint64(2) + np.uint64(1)
    hashes = np.empty(len(train), dtype=np.uint64)
    step = max(1, CHUNK_BYTES // (4 * train.shape[1]))
    for start in range(0, len(train), step):
        rows = train[start : start + step] + np.float32(0.0)  # -0.0 becomes 0.0
        bits = rows.view(np.uint64) if even else rows.view(np.uint32).astype(np.uint64)
        hashes[start : start + step] = bits @ odd
    return hashes


class _Cache:
    """Arrays kept in a directory under a key that changes with the dataset file."""

    def __init__(self, path: Path, directory: Path | None) -> None:
        self.directory = directory
        status = path.stat()
        text = f"{TRUTH_VERSION}|{path.name}|{status.st_size}|{status.st_mtime_ns}"
        mark = hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:16]
        self.prefix = f"{path.stem}-{mark}"

    def get(self, what: str, compute: Callable[[], dict[str, Array]]) -> dict[str, Array]:
        """What is kept under this name, or what ``compute`` gives, which is then kept."""
        if self.directory is None:
            return compute()
        place = self.directory / f"{self.prefix}-{what}.npz"
        try:
            # Opened here: np.load leaves a damaged file open.
            with place.open("rb") as stream, np.load(stream, allow_pickle=False) as kept:
                return {name: kept[name] for name in kept.files}
        except (OSError, ValueError, EOFError, zipfile.BadZipFile):
            pass  # not there, or cut off: computed anew
        values = compute()
        self._keep(place, values)
        return values

    def _keep(self, place: Path, values: dict[str, Any]) -> None:
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(dir=place.parent, suffix=".tmp")
        except OSError:
            return  # a cache that cannot be written only costs time
        try:
            with os.fdopen(handle, "wb") as stream:
                np.savez(stream, **values)
            Path(temporary).replace(place)
        except OSError:
            Path(temporary).unlink(missing_ok=True)
