"""What stands before the first query: finding the file, mapping it, knowing the truth."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from pytest_annmodal.datasets import hdf5
from pytest_annmodal.datasets.hdf5 import DatasetInfo
from pytest_annmodal.datasets.volume.stamp import Stamp

from .figures import Row, Scale
from .processes import ask

DIM = 100
RESOLVE_AIM_MS = 20.0
SPARE_BYTES = 2 * 10**9


def rows(scale: Scale, directory: Path) -> Iterator[Row]:
    """Cached resolve, load to the first row, ground truth."""
    yield from _resolve(scale, directory / "volume")
    yield from _load(scale, directory)
    yield from _exact(scale)


def _resolve(scale: Scale, volume: Path) -> Iterator[Row]:
    """A stamped file that is all holes: nothing of it may be read."""
    name, source, sha256 = "large-100-euclidean", "https://datasets.invalid/large.hdf5", "0" * 64
    volume.mkdir()
    path = volume / f"{name}.hdf5"
    with path.open("wb") as file:
        file.truncate(scale.resolve_bytes)
    info = DatasetInfo(
        metric="euclidean",
        dim=DIM,
        n_train=scale.resolve_bytes // (4 * DIM),
        n_queries=1000,
        k_truth=100,
        contiguous=True,
        train_offset=2048,
        dtype="<f4",
    )
    Stamp(
        sha256=sha256,
        size_bytes=scale.resolve_bytes,
        source=source,
        info=info,
        mtime_ns=path.stat().st_mtime_ns,
    ).write(volume / f"{name}.json")
    spec = {
        "name": name,
        "source": source,
        "sha256": sha256,
        "volume": str(volume),
        "size_bytes": scale.resolve_bytes,
        "calls": 1 + scale.resolve_calls,
    }
    answers = [ask("resolve", **spec)[0] for _process in range(scale.fresh_processes)]
    size = f"{scale.resolve_bytes / 2**30:.3g} GiB"
    yield Row(
        name=f"cached resolve() of {size}, again",
        unit="ms",
        values=tuple(value for answer in answers for value in answer["again_ms"]),
        aim=RESOLVE_AIM_MS,
    )
    yield Row(
        name=f"cached resolve() of {size}, the first of a process",
        unit="ms",
        values=tuple(answer["first_ms"] for answer in answers),
        aim=RESOLVE_AIM_MS,
    )
    yield Row(
        name="imports before the first resolve(), Python's own included",
        unit="ms",
        values=tuple(answer["import_ms"] for answer in answers),
    )


def _load(scale: Scale, directory: Path) -> Iterator[Row]:
    """A contiguous file, in the page cache, against ``np.array`` of it."""
    path = directory / "rows-100-euclidean.hdf5"
    free = shutil.disk_usage(directory).free
    answers = []
    if free > scale.load_bytes + SPARE_BYTES:
        rng = np.random.default_rng(0)
        train = rng.random((scale.load_bytes // (4 * DIM), DIM), dtype=np.float32)
        truth = np.zeros((10, 10))
        hdf5.write(
            path,
            train=train,
            test=train[:10],
            neighbors=truth.astype(np.int32),
            distances=truth.astype(np.float32),
            metric="euclidean",
        )
        del train
        with path.open("rb+") as file:
            os.fsync(file.fileno())  # its writing back would be measured otherwise
        kept = directory / "counts"
        answers = ask("load", dataset=str(path), kept=str(kept), pairs=scale.load_pairs)
        path.unlink()
    size = f"{scale.load_bytes / 1e6:.3g} MB"
    for which, words, aim in (
        ("later_s", "to the first row", 0.1),
        ("first_s", "the first time, zeros and duplicates counted", None),
    ):
        yield Row(
            name=f"load {size}, {words} / np.array",
            unit="ratio",
            values=tuple(answer[which] / answer["usual_s"] for answer in answers),
            aim=aim,
        )


def _exact(scale: Scale) -> Iterator[Row]:
    answers = ask(
        "exact",
        n_train=scale.exact_train,
        n_queries=scale.exact_queries,
        dim=DIM,
        pairs=scale.exact_pairs,
    )
    yield Row(
        name=f"exact.knn, {scale.exact_queries} x {scale.exact_train} x {DIM} / whole matrix",
        unit="ratio",
        values=tuple(answer["ours_s"] / answer["straight_s"] for answer in answers),
        aim=1.0,
    )
