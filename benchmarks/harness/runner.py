"""A run as ann-benchmarks' runner does it: ``python -m benchmarks.harness.runner SPEC``.

What that program does with a definition, in our words and code, since it is in no package index. It
opens the HDF5 file and forks a process for the definition. That reads ``train`` and ``test`` into
arrays, fits, and then for each group of query arguments asks all queries as often as there are
runs. After each query it computes the distance of each candidate in Python, a numpy call each,
before it asks the next. Of the runs the best time is kept, and the last run's times, ids and
distances go into an HDF5 file, one for each group.
"""

from __future__ import annotations

import importlib.util
import json
import multiprocessing
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import psutil
from numpy.typing import NDArray

Rows = NDArray[np.float32]
Candidate = tuple[int, float]
PROGRESS_EVERY = 1000


def euclidean(a: Rows, b: Rows) -> float:
    return float(np.linalg.norm(a - b))


def angular(a: Rows, b: Rows) -> float:
    return float(1 - np.dot(a, b) / (np.linalg.norm(a) * np.linalg.norm(b)))


DISTANCES: dict[str, Callable[[Rows, Rows], float]] = {"euclidean": euclidean, "angular": angular}


def instance(spec: dict[str, Any]) -> Any:
    """The same class as the other side's, made with the same build arguments."""
    found = importlib.util.spec_from_file_location("implementation_under_test", spec["path"])
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return getattr(module, spec["class"])(spec["metric"], **spec["build"])


def run_definition(spec: dict[str, Any]) -> None:
    """In the forked process: everything of one definition."""
    with h5py.File(spec["dataset"], "r") as file:
        train, test = np.array(file["train"]), np.array(file["test"])
    algorithm = instance(spec)
    before_kb = psutil.Process().memory_info().rss / 1024
    start = time.time()
    algorithm.fit(train)
    build_s = time.time() - start
    index_kb = psutil.Process().memory_info().rss / 1024 - before_kb
    for number, arguments in enumerate(spec["searches"]):
        algorithm.set_query_arguments(**arguments)
        attributes, results = ask_all(algorithm, train, test, spec)
        attributes |= {"build_time": build_s, "index_size": index_kb, "run": str(arguments)}
        store(Path(spec["out"]) / f"{number}.hdf5", attributes, results, spec["k"])


def ask_all(
    algorithm: Any, train: Rows, test: Rows, spec: dict[str, Any]
) -> tuple[dict[str, Any], list[tuple[float, list[Candidate]]]]:
    """All queries, run after run; the best run's mean time, and the last run's answers."""
    k, distance = spec["k"], DISTANCES[spec["metric"]]
    best_s = float("inf")
    results: list[tuple[float, list[Candidate]]] = []
    for _run in range(spec["runs"]):
        results = []
        for n_done, vector in enumerate(test, 1):
            start = time.time()
            ids = algorithm.query(vector, k)
            took_s = time.time() - start
            found = [(int(row), distance(vector, train[row])) for row in ids]
            if n_done % PROGRESS_EVERY == 0:
                print(f"{n_done} of {len(test)} queries", flush=True)
            results.append((took_s, found))
        best_s = min(best_s, sum(took_s for took_s, _ in results) / len(results))
    n_candidates = sum(len(found) for _, found in results) / len(results)
    attributes = {
        "best_search_time": best_s,
        "candidates": n_candidates,
        "run_count": spec["runs"],
        "count": k,
    }
    return attributes, results


def store(
    path: Path, attributes: dict[str, Any], results: list[tuple[float, list[Candidate]]], k: int
) -> None:
    """One file a group; what is missing of an answer is filled up."""
    with h5py.File(path, "w") as file:
        file.attrs.update(attributes)
        times = file.create_dataset("times", (len(results),), "f")
        neighbors = file.create_dataset("neighbors", (len(results), k), "i")
        distances = file.create_dataset("distances", (len(results), k), "f")
        for row, (took_s, found) in enumerate(results):
            times[row] = took_s
            neighbors[row] = [candidate for candidate, _ in found] + [-1] * (k - len(found))
            distances[row] = [far for _, far in found] + [float("inf")] * (k - len(found))


def main() -> int:
    spec = json.loads(sys.argv[1])
    with h5py.File(spec["dataset"], "r") as file:
        assert file["train"].shape[1] == file["test"].shape[1]
    forked = multiprocessing.get_context("fork").Process(target=run_definition, args=(spec,))
    forked.start()
    forked.join()
    return forked.exitcode or 0


if __name__ == "__main__":
    sys.exit(main())
