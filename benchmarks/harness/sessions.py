"""What whole pytest sessions take."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import psutil

from pytest_annmodal.results.reading import read_results
from pytest_annmodal.results.stored import StoredCase

from . import made
from .exact_side import status_bytes
from .jobs import FIXED, TEST
from .processes import (
    CHECKOUT,
    OURS,
    alternate,
    ask,
    environment,
    project,
    pytest_s,
    python_s,
    ratios,
)
from .scale import Scale
from .table import Values

DIGITS = "--dataset=digits-64-euclidean"
EMPTY = "def test_nothing():\n    pass\n"
MANY_EMPTY = """\
import pytest


@pytest.mark.parametrize("n", range({n}))
def test_nothing(n):
    pass
"""
PER_FILE = 1000  # settings; more are refused as a typing error
MANY = """\
# /// script
# [tool.annmodal]
# class = "Index"
# metrics = ["euclidean"]
# search = {{ n = {values} }}
# ///
class Index:
    def __init__(self, metric): ...
    def fit(self, X): ...
    def set_query_arguments(self, n): ...
    def query(self, v, k): ...
"""
# One full collection costs more than a plugin, and falls into one session or the other by chance.
NO_COLLECTOR = ("-c", "import gc, sys, pytest; gc.disable(); sys.exit(pytest.main())")
PLUGIN_TRIES = 6  # of which the fastest on either side counts: what else runs can only add
LOOK_EVERY_S = 0.05
EIGHT_JOBS = CHECKOUT / "tests" / "modal" / "eight_jobs.py"


def work_s(cases: Sequence[StoredCase]) -> float:
    """Seconds of the builds, timed queries and batches that these cases are made of."""
    builds: dict[tuple[object, ...], float] = {}
    asked_s = 0.0
    for case in cases:
        if case.failure is not None or case.measured_as:
            continue
        assert case.build_s is not None
        assert case.mean_s is not None
        assert case.n_queries is not None
        assert case.rounds is not None
        builds[case.implementation, case.build_label, case.dataset, case.build_s] = case.build_s
        asked_s += case.mean_s * case.n_queries * case.rounds
        asked_s += case.n_queries / case.batch_qps if case.batch_qps else 0.0
    return sum(builds.values()) + asked_s


def default(scale: Scale, directory: Path) -> Values:
    """``pytest benchmarks/`` as it comes, with the libraries of the extra ``bench``."""
    volume = directory / "volume"
    directory.mkdir(parents=True, exist_ok=True)
    fixed = (
        *(f"--impl={name}" for name in FIXED),
        "--impl=faiss-binary-flat",
        f"--ann-volume-dir={volume}",
        *scale.asked,
    )
    benchmarks = str(CHECKOUT / "benchmarks")
    pytest_s(benchmarks, "--ann-rounds=1", "--ann-results=off", *fixed, cwd=directory)
    values = []
    for turn in range(scale.alternations):
        results = directory / f"results-{turn}"
        wall_s = pytest_s(benchmarks, f"--ann-results={results}", *fixed, cwd=directory)
        values.append(wall_s / work_s(read_results([results]).cases))
    return {"wall": values}


def large(scale: Scale, directory: Path) -> Values:
    """Exact search of the largest dataset: its wall, and the memory of parent and worker."""
    path = made.file(directory, scale.large, "euclidean", scale.large_queries)
    found: dict[str, list[float]] = {"wall-large": [], "parent-peak": [], "worker-beyond": []}
    user = project(directory / "user", TEST)
    for turn in range(scale.alternations):
        results = directory / f"results-{turn}"
        memory = Memory()
        wall_s = pytest_s(
            "--impl=bruteforce",
            f"--dataset={path}",
            f"--ann-volume-dir={directory / f'volume-{turn}'}",
            f"--ann-results={results}",
            cwd=user,
            watch=memory.watch,
        )
        cases = read_results([results]).cases
        (index_bytes,) = {case.index_bytes for case in cases}
        assert index_bytes is not None
        found["wall-large"].append(wall_s / work_s(cases))
        found["parent-peak"].append(memory.parent_bytes / 1e6)
        found["worker-beyond"].append((memory.child_bytes - index_bytes) / 1e6)
    path.unlink()
    return found


class Memory:
    """The most that a process and the largest of its descendants hold, but for pages of files."""

    def __init__(self) -> None:
        self.parent_bytes = self.child_bytes = 0

    def watch(self, pid: int) -> None:
        """Look now and then, until it ends."""
        process = psutil.Process(pid)
        while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
            self.parent_bytes = max(self.parent_bytes, self._held_bytes(pid))
            for child in process.children(recursive=True):
                self.child_bytes = max(self.child_bytes, self._held_bytes(child.pid))
            time.sleep(LOOK_EVERY_S)

    @staticmethod
    def _held_bytes(pid: int) -> int:
        try:
            return status_bytes("RssAnon", Path(f"/proc/{pid}/status"))
        except OSError:  # it has ended
            return 0


def smallest(scale: Scale, directory: Path) -> Values:
    """One job on the packaged digits ÷ pytest with one empty test and no plugin."""
    ours, empty = project(directory / "ours", TEST), project(directory / "empty", EMPTY)

    def job_s() -> float:
        volume = f"--ann-volume-dir={directory / 'volume'}"
        return pytest_s("--impl=bruteforce", DIGITS, volume, cwd=ours)

    def empty_s() -> float:
        return pytest_s(cwd=empty, plugins=())

    alternate(1, job_s, empty_s)  # compiles, and puts the digits into the volume
    return {"smallest": ratios(alternate(scale.alternations, job_s, empty_s))}


def collected(scale: Scale, directory: Path) -> Values:
    """Thousands of cases beside as many empty tests: seconds and memory."""
    ours = project(directory / "ours", TEST)
    empty = project(directory / "empty", MANY_EMPTY.format(n=scale.collected))
    many = ours / "many"
    many.mkdir(exist_ok=True)
    for number in range(scale.collected // PER_FILE):
        (many / f"many_{number}.py").write_text(MANY.format(values=list(range(PER_FILE))))
    mine = (f"--ann-implementations={many}", "--impl=many_*", DIGITS)
    took: dict[str, list[tuple[float, int]]] = {"ours": [], "empty": []}

    def run(side: str, directory: Path, plugins: tuple[str, ...], *arguments: str) -> float:
        memory = Peak()
        command = ("--collect-only", *arguments)
        wall_s = pytest_s(*command, cwd=directory, plugins=plugins, watch=memory.watch)
        printed = (directory / "printed.txt").read_text()
        assert f"{scale.collected} tests collected" in printed, printed[-1000:]
        took[side].append((wall_s, memory.peak_bytes))
        return wall_s

    seconds = alternate(
        scale.alternations,
        lambda: run("ours", ours, OURS, *mine),
        lambda: run("empty", empty, ()),
    )
    both = list(zip(took["ours"], took["empty"], strict=True))
    return {
        "collect": [one for one, _ in seconds],
        "collect-ratio": ratios(seconds),
        "collect-memory": [one / 1e6 for _, one in took["ours"]],
        "collect-memory-ratio": [one / other for (_, one), (_, other) in both],
    }


class Peak:
    """The kernel's high-water mark of one process, seen shortly before it ends."""

    peak_bytes = 0

    def watch(self, pid: int) -> None:
        process = psutil.Process(pid)
        while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
            seen = status_bytes("VmHWM", Path(f"/proc/{pid}/status"))
            self.peak_bytes = max(self.peak_bytes, seen)
            time.sleep(LOOK_EVERY_S)


def plugin_import(scale: Scale, _directory: Path) -> Values:
    """Import and options, timed inside fresh processes that have imported pytest."""
    times = [ask("plugin")[0]["plugin_ms"] for _process in range(3 * scale.alternations)]
    return {"plugin-import": times}


def plugin_session(scale: Scale, directory: Path) -> Values:
    """CPU time of a session that does not use the plugin, beside one with an empty plugin.

    For a plugin's name pytest reads the metadata of every installed distribution, so both have one.
    """
    empty = project(directory, EMPTY)
    (empty / "empty_plugin.py").touch()
    with_it, without = ("-p", "annmodal"), ("-p", "empty_plugin")
    differences_ms = []
    for turn in range(scale.alternations + 1):
        fastest = {with_it: float("inf"), without: float("inf")}
        for number in range(PLUGIN_TRIES):
            for side in (with_it, without) if number % 2 else (without, with_it):
                fastest[side] = min(fastest[side], _collect_cpu_s(empty, *side))
        if turn:  # the first compiles
            differences_ms.append((fastest[with_it] - fastest[without]) * 1e3)
    return {"plugin-session": differences_ms}


def _collect_cpu_s(directory: Path, *arguments: str) -> float:
    """Not wall seconds: on a shared machine those vary by more than a plugin costs."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [
            sys.executable,
            *NO_COLLECTOR,
            "-q",
            "--collect-only",
            "-p",
            "no:cacheprovider",
            *arguments,
        ],
        cwd=directory,
        env={**environment(None), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        stdout=subprocess.DEVNULL,
        check=True,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def modal(scale: Scale, directory: Path) -> Values:
    """A session on the loopback plane, new for each turn, so nothing is cached."""
    directory.mkdir(parents=True, exist_ok=True)
    values = []
    for _turn in range(scale.alternations):
        python_s(str(EIGHT_JOBS), "--json", cwd=directory)
        taken = json.loads((directory / "printed.txt").read_text().splitlines()[-1])
        values.append(taken["session_s"] / taken["slowest_s"])
    return {"modal": values}
