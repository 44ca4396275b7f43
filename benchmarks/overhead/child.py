"""The far side of a comparison: one task in a fresh process, its result as lines of JSON.

``python -m benchmarks.overhead.child TASK JSON``. What is timed in-process is timed here, so
that thread variables and affinity hold from the first import.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


def tight(spec: dict[str, Any]) -> None:
    """A loop as one would write it by hand, over the same class and the same index.

    After the build it waits for a line on stdin before each pass, so that passes of the
    product can come between.
    """
    import importlib.util
    from time import perf_counter_ns

    import h5py
    import numpy as np

    with h5py.File(spec["dataset"], "r") as file:
        train, test = np.array(file["train"]), np.array(file["test"])
    found = importlib.util.spec_from_file_location("implementation_under_test", spec["path"])
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    index = getattr(module, spec["class"])(spec["metric"], **spec["build"])
    index.fit(train)
    if spec["search"]:
        index.set_query_arguments(**spec["search"])
    query, k = index.query, spec["k"]
    tell({"ready": True})
    for _line in sys.stdin:
        for vector in train[:50]:
            query(vector, k)
        times = []
        for vector in test:
            start = perf_counter_ns()
            query(vector, k)
            end = perf_counter_ns()
            times.append(end - start)
        tell({"p50_ns": float(np.percentile(times, 50))})


def resolve(spec: dict[str, Any]) -> None:
    """The first resolve of a process and what it imports, then some more."""
    start = time.perf_counter()
    from pytest_annmodal.datasets.volume.volume import LocalVolume, Reporter, resolve
    from pytest_annmodal.model import Dataset

    import_ms = (time.perf_counter() - start) * 1e3
    times_ms = []
    for _call in range(spec["calls"]):
        start = time.perf_counter()
        dataset = Dataset(name=spec["name"], source=spec["source"], sha256=spec["sha256"])
        found = resolve(dataset, LocalVolume(Path(spec["volume"])), reporter=Reporter())
        times_ms.append((time.perf_counter() - start) * 1e3)
        assert found.was_present
        assert found.size_bytes == spec["size_bytes"]
    tell({"import_ms": import_ms, "first_ms": times_ms[0], "again_ms": times_ms[1:]})


def plugin(_spec: dict[str, Any]) -> None:
    """What the plugin does in every session, after pytest itself has been imported."""
    import pytest
    from _pytest.config import get_config

    config = get_config([])
    config._parser.addini("addopts", "as pytest has added it by then", "args")
    assert pytest.__version__
    start = time.process_time()
    from pytest_annmodal.plugin import hooks as plugin

    plugin.pytest_addoption(config._parser, config.pluginmanager)
    tell({"plugin_ms": (time.process_time() - start) * 1e3})


def load(spec: dict[str, Any]) -> None:
    """From nothing to the first row of ``train``: our way, and the usual one."""
    import h5py
    import numpy as np

    from pytest_annmodal.datasets import hdf5

    path, kept = Path(spec["dataset"]), Path(spec["kept"])

    def usual() -> None:
        with h5py.File(path, "r") as file:
            np.array(file["train"])[0].sum()

    def first() -> None:
        for old in kept.glob("*"):
            old.unlink()
        hdf5.load(path, truth_cache=kept).train[0].sum()

    def later() -> None:
        hdf5.load(path, truth_cache=kept).train[0].sum()

    first()
    usual()
    for _pair in range(spec["pairs"]):
        tell({"usual_s": took_s(usual), "first_s": took_s(first), "later_s": took_s(later)})


def exact(spec: dict[str, Any]) -> None:
    """Ground truth: ours, and the whole distance matrix, block by block."""
    import numpy as np

    from pytest_annmodal.distances import exact

    rng = np.random.default_rng(0)
    k = 100
    # With a structure of its own: plain noise in 100 dimensions is nobody's data.
    centres = rng.standard_normal((100, spec["dim"])).astype(np.float32)
    n = spec["n_train"] + spec["n_queries"]
    vectors = centres[rng.integers(100, size=n)]
    vectors += 0.5 * rng.standard_normal(vectors.shape, dtype=np.float32)
    train, queries = vectors[: spec["n_train"]], vectors[spec["n_train"] :]
    found: dict[str, Any] = {}

    def ours() -> None:
        found["ours"] = exact.knn(train, queries, k, "euclidean")[1]

    def straight() -> None:
        squares = np.einsum("ij,ij->i", train, train)
        nearest = []
        for start in range(0, len(queries), 50):
            block = queries[start : start + 50]
            matrix = squares - 2 * (block @ train.T) + np.einsum("ij,ij->i", block, block)[:, None]
            ids = np.argpartition(matrix, k, axis=1)[:, :k]
            nearest.append(np.sort(np.take_along_axis(matrix, ids, axis=1), axis=1))
        found["straight"] = np.sqrt(np.maximum(np.concatenate(nearest), 0))

    ours()
    straight()
    assert np.allclose(found["ours"], found["straight"], rtol=1e-2, atol=1e-2)
    for _pair in range(spec["pairs"]):
        tell({"ours_s": took_s(ours), "straight_s": took_s(straight)})


def took_s(function: Callable[[], None]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def tell(fields: dict[str, Any]) -> None:
    print(json.dumps(fields), flush=True)  # the answer to the parent


TASKS = {"tight": tight, "plugin": plugin, "resolve": resolve, "load": load, "exact": exact}


def main() -> None:
    spec = json.loads(sys.argv[2])
    if spec.get("core") is not None:
        os.sched_setaffinity(0, {spec["core"]})
    TASKS[sys.argv[1]](spec)


if __name__ == "__main__":
    main()
