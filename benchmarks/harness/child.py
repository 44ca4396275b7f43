"""The far side of a comparison: one task in a fresh process, its result as lines of JSON.

``python -m benchmarks.harness.child TASK JSON``. What is timed in-process is timed here, so
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
    from time import perf_counter_ns

    import h5py
    import numpy as np

    with h5py.File(spec["dataset"], "r") as file:
        train, test = np.array(file["train"]), np.array(file["test"])
    module = _module(spec["path"])
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


def imported(spec: dict[str, Any]) -> None:
    """What an implementation's file imports, after numpy, which every worker has already."""
    import numpy as np

    assert np.__version__
    start = time.perf_counter()
    _module(spec["path"])
    tell({"import_s": time.perf_counter() - start})


def looked(spec: dict[str, Any]) -> None:
    """A dataset file until its first row can be used: our way, and ``np.array`` of it."""
    import h5py
    import numpy as np

    from pytest_annmodal.datasets import hdf5
    from pytest_annmodal.datasets.volume.volume import LocalVolume, Reporter, resolve
    from pytest_annmodal.model import Dataset

    def usual() -> None:
        with h5py.File(spec["dataset"], "r") as file:
            np.array(file["train"])[0].sum()

    def look(name: str, source: str, volume: Path) -> None:
        dataset = Dataset(name=name, source=source)
        found = resolve(dataset, LocalVolume(volume), reporter=Reporter())
        data = hdf5.load(found.path, k=10, truth_cache=volume / ".truth")
        data.train[0].sum()

    def forget(folder: Path) -> None:
        for old in folder.glob("*"):
            old.unlink()

    volume, path = Path(spec["volume"]), Path(spec["dataset"])
    there, own = (path.stem, f"volume:{path.name}"), (path.stem, f"file:{path}")
    look("small", f"file:{spec['small']}", volume)  # imports, and starts what checks files
    look(*there, volume)  # makes its stamp
    usual()
    for _turn in range(spec["alternations"]):
        forget(volume / ".truth")
        stored_s = took_s(lambda: look(*there, volume))
        usual_s = took_s(usual)
        again_s = took_s(lambda: look(*there, volume))
        forget(volume / ".truth")
        forget(volume / ".stamps")
        own_s = took_s(lambda: look(*own, volume))
        tell({"stored_s": stored_s, "usual_s": usual_s, "again_s": again_s, "own_s": own_s})


def _module(path: str) -> Any:
    import importlib.util

    found = importlib.util.spec_from_file_location("implementation_under_test", path)
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def took_s(function: Callable[[], object]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def tell(fields: dict[str, Any]) -> None:
    print(json.dumps(fields), flush=True)  # the answer to the parent


def truth(spec: dict[str, Any]) -> None:
    from . import exact_side

    exact_side.run(spec, tell)


def memory_mapped_truth(spec: dict[str, Any]) -> None:
    """Exact neighbours of two files in the fbin layout, as an import finds them."""
    import numpy as np

    from pytest_annmodal.datasets.truth import TRUTH_K
    from pytest_annmodal.distances import exact

    from .importing import METRIC

    def rows(path: str) -> Any:
        n, dim = np.fromfile(path, dtype="<u4", count=2)
        return np.memmap(path, dtype="<f4", mode="r", offset=8, shape=(n, dim))

    train, test = rows(spec["train"]), np.array(rows(spec["test"]))
    tell({"truth_s": took_s(lambda: exact.knn(train, test, min(TRUTH_K, len(train)), METRIC))})


def scored(spec: dict[str, Any]) -> None:
    from . import scoring_side

    scoring_side.run(spec, tell)


TASKS = {
    "tight": tight,
    "plugin": plugin,
    "imported": imported,
    "looked": looked,
    "truth": truth,
    "memory_mapped_truth": memory_mapped_truth,
    "scored": scored,
}


def main() -> None:
    spec = json.loads(sys.argv[2])
    if spec.get("core") is not None:
        os.sched_setaffinity(0, {spec["core"]})
    TASKS[sys.argv[1]](spec)


if __name__ == "__main__":
    main()
