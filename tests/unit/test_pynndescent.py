"""The built-in pynndescent: what it gives the library and makes of its answers.

The library compiles itself for minutes; the tests of it are slow ones (tests/contract).
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from pytest_annmodal.distances.rows import Sets
from pytest_annmodal.manifests import manifest

PATH = next(Path(item.path) for item in manifest.builtin() if item.name == "pynndescent")


class FillsUp:
    """A library that repeats the last row if it finds fewer than k."""

    far = np.inf

    def __init__(self, rows: np.ndarray, **settings: object) -> None:
        self.rows = rows

    def prepare(self) -> None:
        pass

    def query(self, rows: np.ndarray, k: int, epsilon: float) -> tuple[np.ndarray, np.ndarray]:
        assert rows.shape[1:] == self.rows.shape[1:]
        assert rows.dtype == self.rows.dtype
        ids, distances = np.full((len(rows), k), 8), np.full((len(rows), k), self.far)
        ids[:, :5], distances[:, :5] = np.array([3, 8, 1, 0, 2])[:k], np.linspace(0, 0.9, 5)[:k]
        return ids, distances


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> type[FillsUp]:
    module = ModuleType("pynndescent")
    module.NNDescent = FillsUp
    monkeypatch.setitem(sys.modules, "pynndescent", module)
    return FillsUp


def built(metric: str, rows: object) -> object:
    spec = importlib.util.spec_from_file_location("annmodal_pynndescent", PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    index = module.PyNNDescent(metric)
    index.fit(rows)
    return index


@pytest.mark.parametrize(("metric", "far"), [("euclidean", np.inf), ("angular", 1.0)])
def test_repeated_rows_are_removed(
    metric: str, far: float, library: type[FillsUp], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Repeated rows are removed from the answer, and found ones stay."""
    monkeypatch.setattr(library, "far", far)
    rows = np.zeros((9, 4), np.float32)
    index = built(metric, rows)
    for ids in (index.batch_query(rows[:2], 8)[1], index.query(rows[0], 8)):
        assert ids.tolist() == [3, 8, 1, 0, 2, -1, -1, -1]
    assert index.query(rows[0], 5).tolist() == [3, 8, 1, 0, 2]


@pytest.mark.parametrize("dim", [1, 8, 13, 64, 250])
def test_sets_are_packed_as_numpy_packs_bits(dim: int, library: type[FillsUp]) -> None:
    """Sets are packed as by numpy.packbits, for train, batch and query."""
    ones = np.random.default_rng(dim).random((12, dim)) < 0.3
    ones[4] = False
    sets = Sets.from_matrix(ones)
    index = built("jaccard", sets.csr(dim))
    np.testing.assert_array_equal(index.index.rows, np.packbits(ones, axis=1))
    assert index.batch_query(sets[:3].csr(dim), 3).shape == (3, 3)
    assert index.query(sets[:1].csr(dim), 3).shape == (3,)
