"""A project of a user in a temporary directory: tiny data, tiny implementations, one test file."""

from __future__ import annotations

import json
import os
import textwrap
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import warm_python

DEADLINE_S = 240  # a busy machine is slow, and nothing waits for it that is well
# What other plugins of the machine cost is none of these tests' business.
UNRELATED = ("hypothesispytest", "anyio", "platformdirs", "xdist", "cacheprovider")

EXACT = """
# /// script
# dependencies = ["numpy"]
# [tool.annmodal]
# metrics = ["euclidean"]
# search.extra = [0, 1]
# ///
import numpy as np

class Exact:
    def __init__(self, metric):
        pass
    def fit(self, X):
        self.X = np.array(X)
    def set_query_arguments(self, extra):
        self.extra = extra
    def query(self, v, k):
        return np.argsort(((self.X - v) ** 2).sum(axis=1), kind="stable")[:k]
"""
# Answers are right for every second query only.
HALF = EXACT.replace("# search.extra = [0, 1]\n", "").replace(
    "        return",
    "        self.turn = 1 - getattr(self, 'turn', 0)\n"
    "        if self.turn: return np.arange(k)\n"
    "        return",
)
SEARCH = """
def test_search(ann_benchmark, case):
    ann_benchmark(case)
"""
BRUTE = ("--impl", "exact")


class Project:
    """What a user has, and how they run it."""

    def __init__(self, pytester: pytest.Pytester, small_dataset: Callable[..., Path]) -> None:
        self.pytester, self._small_dataset = pytester, small_dataset
        self.path, self._n_runs = pytester.path, 0
        self.write("mine/exact.py", EXACT)
        self.write("test_it.py", SEARCH)
        self.dataset("small-8-euclidean")

    def write(self, name: str, text: str) -> Path:
        place = self.path / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(textwrap.dedent(text).lstrip("\n"), encoding="utf-8")
        return place

    def dataset(self, name: str, **options: Any) -> Path:
        return self._small_dataset(name, directory=self.path, **options)

    def run(self, *arguments: str | Path, without: tuple[str, ...] = UNRELATED) -> Any:
        """``pytest`` with these arguments, in a process of its own."""
        blocked = [f"-pno:{name}" for name in without]
        command = ["-m", "pytest", f"--basetemp={self._fresh()}", *blocked, *arguments]
        places = [self.path / name for name in ("stdout", "stderr")]
        begun = time.perf_counter()
        with places[0].open("wb") as out, places[1].open("wb") as err:
            written = out.fileno(), err.fileno()
            process = warm_python.start(
                "pytest", command, cwd=Path.cwd(), env=os.environ, output=written
            )
            try:
                status = process.wait(DEADLINE_S)
            finally:
                process.kill()
        texts = [place.read_text(encoding="utf-8") for place in places]
        print(*texts)
        lines = [text.splitlines() for text in texts]
        return pytest.RunResult(status, *lines, time.perf_counter() - begun)

    def _fresh(self) -> Path:
        """A folder for pytest's own temporary files."""
        self._n_runs += 1
        return self.path / f"runpytest-{self._n_runs}"

    def bench(self, *arguments: str | Path, **options: Any) -> Any:
        """``pytest`` on the small dataset with the implementations in ``mine/``."""
        mine = ("--ann-implementations", "mine", "--impl", "exact*")
        data = ("--dataset", "small-8-euclidean.hdf5")
        return self.run(*mine, *data, "--ann-rounds=2", *arguments, **options)

    def saved(self, name: str = "out.json") -> list[dict[str, Any]]:
        """The benchmarks in a file that ``--benchmark-json`` wrote, as strict JSON."""

        def refuse(constant: str) -> None:
            raise AssertionError(f"{constant} is not JSON")

        text = (self.path / name).read_text(encoding="utf-8")
        benchmarks: list[dict[str, Any]] = json.loads(text, parse_constant=refuse)["benchmarks"]
        return benchmarks


@contextmanager
def running(
    folder: Path,
    *arguments: str,
    env: Mapping[str, str] = os.environ,
    options: Sequence[str] = (),
    without: Sequence[str] = UNRELATED,
    cold: bool = False,
) -> Iterator[warm_python.Process]:
    """``python OPTIONS -m pytest ARGUMENTS`` in a folder, ended with the block; errors are in ``stdout``."""
    blocked = [f"-pno:{name}" for name in without]
    command = [*options, "-m", "pytest", *blocked, *arguments]
    process = warm_python.start("pytest", command, cwd=folder, env=env, cold=cold)
    try:
        yield process
    finally:
        process.kill()
        if process.stdout is not None:
            process.stdout.close()
        process.wait()


def lines_with(result: Any, words: str) -> list[str]:
    """The lines of the output that hold these words."""
    return [line for line in result.outlines if words in line]
