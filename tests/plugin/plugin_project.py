"""A project of a user in a temporary directory: tiny data, tiny implementations, one test file."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

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
        self.path = pytester.path
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
        """``pytest`` with these arguments."""
        blocked = [f"-pno:{name}" for name in without]
        return self.pytester.runpytest_subprocess(*blocked, *arguments, timeout=DEADLINE_S)

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


def lines_with(result: Any, words: str) -> list[str]:
    """The lines of the output that hold these words."""
    return [line for line in result.outlines if words in line]
