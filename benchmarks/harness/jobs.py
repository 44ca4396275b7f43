"""Whole jobs: their fixed cost, and how they compare with the same work done by others."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pytest_annmodal.datasets import synthetic
from pytest_annmodal.manifests import manifest
from pytest_annmodal.model import Implementation, Search

from . import made, searching
from .processes import alternate, ask, project, pytest_s, python_s, ratios
from .scale import Scale, Size
from .table import Values

TEST = "def test_search(ann_benchmark, case):\n    ann_benchmark(case)\n"
RUNS = 3
# pynndescent compiles itself for half a minute in every new process: that is its own cost.
FIXED = ("annoy", "bruteforce", "faiss-hnsw", "faiss-ivf", "hnswlib", "scikit-learn", "usearch")
TINY = Size(n=1_500, dim=64)
EF = range(10, 10**6, 20)
PAIRED_EF = 300
# The implementation says itself what it took, and of every build and every query.
LOGGED = """\
# /// script
# [tool.annmodal]
# class = "Logged"
# metrics = ["euclidean"]
# build = {{ M = 12 }}
# search = {{ ef = {ef} }}
# ///
import time
from importlib.util import module_from_spec, spec_from_file_location

found = spec_from_file_location("built_in_hnswlib", {path!r})
built_in = module_from_spec(found)
found.loader.exec_module(built_in)
now = time.perf_counter_ns


class Logged(built_in.Hnswlib):
    def tell(self, taken_ns):
        with open({log!r}, "a") as file:
            file.write(f"{{taken_ns}}\\n")

    def fit(self, X):
        start = now()
        super().fit(X)
        self.n_asked = self.asked_ns = 0
        self.tell(now() - start)

    def query(self, v, k):
        start = now()
        found = super().query(v, k)
        self.asked_ns += now() - start
        self.n_asked += 1
        if self.n_asked % 20 == 0:
            self.tell(self.asked_ns)
            self.asked_ns = 0
        return found

    def batch_query(self, X, k):
        start = now()
        found = super().batch_query(X, k)
        self.tell(now() - start)
        return found
"""


def fixed(scale: Scale, directory: Path) -> Values:
    """What is left of a small job's wall time, library by library."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / "digits-64-euclidean.hdf5"
    synthetic.generate(path, "euclidean", n_train=TINY.n, n_queries=50)
    values: dict[str, list[float]] = {}
    by_name = {item.name: item for item in manifest.builtin()}
    for name in FIXED:
        if not manifest.missing_requirements(by_name[name]):
            values[f"fixed-{name}"] = _fixed(by_name[name], path, scale.alternations)
    values["fixed-largest"] = [max(turn) for turn in zip(*values.values(), strict=True)]
    return values


def _fixed(implementation: Implementation, path: Path, alternations: int) -> list[float]:
    """Wall less build, queries and batch of a job, less the import of its file beside it."""
    variant = implementation.variants[0]
    search = Search(case_id="one", arguments=variant.search, k=10, rounds=1)
    job = searching.job_of(implementation, path, build=variant.build, searches=(search,))
    beside_s = []
    for _turn in range(alternations + 1):
        import_s = ask("imported", path=implementation.path)[0]["import_s"]
        start = time.perf_counter()
        (measured,) = searching.run(job, path, cache=path.parent / "kept")
        wall_s = time.perf_counter() - start
        batch_s = measured.n_queries / measured.batch_qps if measured.batch_qps else 0.0
        asked_s = sum(measured.latencies_ns) / 1e9
        beside_s.append(wall_s - import_s - measured.build_s - asked_s - batch_s)
    return beside_s[1:]  # the first starts what later ones share


def large(scale: Scale, directory: Path) -> Values:
    """Many settings of hnswlib on words, beside the runner."""
    path = made.file(
        directory, scale.words_sized, "angular", scale.large_job_queries, true_of=1_000
    )
    settings = [EF[number] for number in range(scale.large_job_settings)]
    return {"large-job": _beside_the_runner(scale, directory, path, "angular", settings)}


def small(scale: Scale, directory: Path) -> Values:
    """A job of seconds, beside the runner."""
    path = made.file(directory, scale.small, "euclidean", scale.small_job_queries)
    return {"small-job": _beside_the_runner(scale, directory, path, "euclidean", [10, 30, 100])}


def _beside_the_runner(
    scale: Scale, directory: Path, path: Path, metric: str, settings: Sequence[int]
) -> list[float]:
    """Wall of a session ÷ that of the runner: the same file, build, settings, queries and runs."""
    user = project(directory / "user", TEST)
    (hnswlib,) = (item for item in manifest.builtin() if item.name == "hnswlib")
    out = directory / "runner"
    out.mkdir(exist_ok=True)
    spec: dict[str, Any] = {
        "path": hnswlib.path,
        "class": hnswlib.class_name,
        "dataset": str(path),
        "metric": metric,
        "build": {"M": 12},
        "searches": [{"ef": ef} for ef in settings],
        "k": 10,
        "runs": RUNS,
        "out": str(out),
    }
    turns = iter(range(10**6))

    def ours() -> float:
        return pytest_s(
            "--impl=hnswlib",
            f"--dataset={path}",
            f"--ann-param=ef={','.join(map(str, settings))}",
            f"--ann-rounds={RUNS}",
            "--ann-max-time=100000",
            f"--ann-volume-dir={directory / f'volume-{next(turns)}'}",  # a first look each time
            cwd=user,
        )

    def theirs() -> float:
        one_core = {"OMP_NUM_THREADS": "1"}
        return python_s(
            "-m", "benchmarks.harness.runner", json.dumps(spec), cwd=user, more=one_core
        )

    return ratios(alternate(scale.alternations, ours, theirs))


def paired(scale: Scale, directory: Path) -> Values:
    """A comparison of equal sides ÷ what its builds and queries took by their own account."""
    path = made.file(directory, scale.small, "euclidean", scale.small_job_queries)
    user, log = project(directory / "user", TEST), directory / "log"
    (hnswlib,) = (item for item in manifest.builtin() if item.name == "hnswlib")
    mine = user / "mine"
    mine.mkdir(exist_ok=True)
    for name in ("one", "other"):
        text = LOGGED.format(ef=PAIRED_EF, path=hnswlib.path, log=str(log))
        (mine / f"{name}.py").write_text(text)
    values = []
    for _turn in range(scale.alternations):
        log.write_text("")
        wall_s = pytest_s(
            f"--ann-implementations={mine}",
            "--impl=one",
            "--ann-baseline=other",
            f"--dataset={path}",
            f"--ann-volume-dir={directory / 'volume'}",
            cwd=user,
        )
        values.append(wall_s / (sum(map(int, log.read_text().split())) / 1e9))
    return {"paired": values}
