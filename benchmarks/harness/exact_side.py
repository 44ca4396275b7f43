"""The truth of a dataset beside faiss and the matrix product alone, in a process of its own."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import threadpoolctl
from numpy.typing import NDArray

from pytest_annmodal.distances import exact

from . import made

Float32s = NDArray[np.float32]
BLOCK_QUERIES, TILE_ROWS = 512, 4096
STATUS, REFERENCES = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def run(spec: dict[str, Any], tell: Callable[[dict[str, Any]], None]) -> None:
    """Seconds of each side in turn; bytes that ours needs beyond the data."""
    train = made.vectors(spec["n_train"], spec["dim"])
    queries = made.vectors(spec["n_queries"], spec["dim"], made.SEED + 1)
    k, metric = spec["k"], spec["metric"]

    def ours() -> None:
        exact.knn(train, queries, k, metric)

    sides: dict[str, Callable[[], object]] = {"ours_s": ours}
    if "product" in spec["beside"]:
        sides["product_s"] = lambda: product(train, queries)
    if "faiss" in spec["beside"]:
        sides["faiss_s"] = faiss_flat(train, queries, k, metric)
    if "one thread" in spec["beside"]:
        sides["one_thread_s"] = lambda: on_one_core(ours)
    tell({"beyond_bytes": beyond_bytes(ours)})
    for turn in range(spec["alternations"]):
        order = list(sides) if turn % 2 else list(sides)[::-1]
        tell({name: took_s(sides[name]) for name in order})


def product(train: Float32s, queries: Float32s) -> None:
    """Every inner product, by the block and tile, into memory that is used again."""
    keys = np.empty((BLOCK_QUERIES, TILE_ROWS), dtype=np.float32)
    for start in range(0, len(train), TILE_ROWS):
        tile = train[start : start + TILE_ROWS]
        for first in range(0, len(queries), BLOCK_QUERIES):
            block = queries[first : first + BLOCK_QUERIES]
            out = keys.reshape(-1)[: len(block) * len(tile)].reshape(len(block), len(tile))
            np.matmul(block, tile.T, out=out)


def faiss_flat(train: Float32s, queries: Float32s, k: int, metric: str) -> Callable[[], object]:
    """A search of its flat index; for angular of rows that have length 1, as is usual."""
    import faiss

    faiss.omp_set_num_threads(1)
    index = (faiss.IndexFlatL2 if metric == "euclidean" else faiss.IndexFlatIP)(train.shape[1])
    if metric == "angular":
        train = train / np.linalg.norm(train, axis=1, keepdims=True)
        queries = queries / np.linalg.norm(queries, axis=1, keepdims=True)
    index.add(train)
    return lambda: index.search(queries, k)


def on_one_core(function: Callable[[], None]) -> None:
    with _one_core(), threadpoolctl.threadpool_limits(1):
        function()


@contextmanager
def _one_core() -> Iterator[None]:
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def beyond_bytes(function: Callable[[], None]) -> int:
    """By how much the resident memory is larger at most while it runs."""
    REFERENCES.write_text("5")  # the kernel's high-water mark begins anew
    before = status_bytes("VmRSS")
    function()
    return status_bytes("VmHWM") - before


def status_bytes(name: str, status: Path = STATUS) -> int:
    """A figure of ``/proc/PID/status``; 0 where it is not there."""
    for line in status.read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    return 0


def took_s(function: Callable[[], object]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start
