"""A metric is one row of the table and one measure; no other module names it."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import pytest_annmodal
from pytest_annmodal.datasets import hdf5
from pytest_annmodal.distances import exact, measures, metrics
from pytest_annmodal.errors import DatasetFormatError
from pytest_annmodal.jobs.fresh_queries import freshen

PACKAGE = Path(pytest_annmodal.__file__).parent
# The table, the datasets' rows (which say their metric), what is wrong between two metrics, and the
# stand-in for another project.
MAY_NAME_METRICS = {
    "distances/metrics",
    "distances/measures",
    "datasets/catalog",
    "datasets/generated",
    "datasets/importers/reasons",
    "distances/measure",
    "worker/base_ann",
}
NOT_OURS = ("implementations", "data")

ROW = '    Metric(name="chebyshev", words=("linf",)),\n'
MEASURE = """
class Chebyshev(Measure):
    def pairs(self, rows: Float64s, queries: Float64s) -> Float64s:
        return np.asarray(np.abs(rows - queries).max(axis=-1))
"""
LINEAR = """
# /// script
# dependencies = ["numpy"]
# [tool.annmodal]
# metrics = ["chebyshev"]
# ///
import numpy as np

class Linear:
    def __init__(self, metric):
        assert metric == "chebyshev"
    def fit(self, X):
        self.X = np.array(X)
    def query(self, v, k):
        return np.argsort(np.abs(self.X - v).max(axis=1), kind="stable")[:k]
"""


def package_with_chebyshev(folder: Path) -> Path:
    """A copy of the package to which one metric was added, in two places."""
    copy = folder / "pytest_annmodal"
    shutil.copytree(PACKAGE, copy)  # with what is compiled of it, which then need not be again
    table, arithmetic = copy / "distances" / "metrics.py", copy / "distances" / "measures.py"
    before = table.read_text()
    table.write_text(before.replace(")\n# Keys", f"{ROW})\n# Keys"))
    assert table.read_text() != before
    before = arithmetic.read_text()
    with_class = before.replace("\n\nMEASURES:", f"\n\n{MEASURE}\n\nMEASURES:")
    arithmetic.write_text(
        with_class.replace(
            '"manhattan": Manhattan()', '"manhattan": Manhattan(), "chebyshev": Chebyshev()'
        )
    )
    assert arithmetic.read_text() != with_class != before
    return folder


def test_every_metric_has_a_measure_and_words_of_its_own() -> None:
    """Rows and measures have the same names, and each word means one metric."""
    assert set(measures.MEASURES) == set(metrics.METRICS)
    words = [word for row in metrics.METRICS.values() for word in (row.name, *row.words)]
    assert len(words) == len(set(words))


def test_nothing_but_the_table_knows_a_metric_by_its_name() -> None:
    """No text in another module is the name of a metric."""
    words = set(metrics.BY_WORD)
    found = {
        (name, node.value)
        for path in sorted(PACKAGE.rglob("*.py"))
        if path.relative_to(PACKAGE).parts[0] not in NOT_OURS
        and (name := path.relative_to(PACKAGE).with_suffix("").as_posix()) not in MAY_NAME_METRICS
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and node.value in words
    }
    assert found == set()


@pytest.mark.parametrize("metric", metrics.of_layout("floats"))
def test_a_files_truth_is_checked_by_its_own_metric(tmp_path: Path, metric: str) -> None:
    """A truth by the file's metric is accepted, one by any other metric refused."""
    rng = np.random.default_rng(1)
    train, test = (rng.standard_normal((n, 6), dtype=np.float32) for n in (200, 10))
    for name in metrics.of_layout("floats"):
        neighbors, distances = exact.knn(train, test, 10, name)
        path = tmp_path / f"truth-of-{name}.hdf5"
        hdf5.write(
            path, train=train, test=test, neighbors=neighbors, distances=distances, metric=metric
        )  # fmt: skip
        if name == metric:
            assert hdf5.validate(path).metric == metric
        else:
            with pytest.raises(DatasetFormatError):
                hdf5.validate(path)


@pytest.mark.parametrize("metric", metrics.of_layout("floats"))
def test_fresh_queries_lie_where_rows_do(tmp_path: Path, metric: str) -> None:
    """A fresh query is near to its nearest row, and its truth is exact."""
    rng = np.random.default_rng(2)
    train, test = (rng.standard_normal((n, 6), dtype=np.float32) for n in (300, 5))
    path = tmp_path / "file.hdf5"
    hdf5.write(path, train=train, test=test, neighbors=None, distances=None, metric=metric)
    fresh = freshen(hdf5.load(path), n_queries=30, seed=3, k=5)
    ids, distances = exact.knn(fresh.train, fresh.test, 5, metric)
    np.testing.assert_array_equal(fresh.neighbors[:, :5], ids)
    far = exact.knn(fresh.train, fresh.test, len(fresh.train), metric)[1]
    assert (distances[:, 0] < np.median(far, axis=1)).all()


def test_a_metric_that_is_added_goes_all_the_way(tmp_path: Path) -> None:
    """A new metric needs two places: its files are read, checked, searched and scored."""
    rng = np.random.default_rng(0)
    train, test = (rng.standard_normal((n, 6), dtype=np.float32) for n in (300, 20))
    every = np.abs(test[:, None] - train).max(axis=2)
    neighbors = np.argsort(every, axis=1, kind="stable")[:, :10].astype(np.int32)
    distances = np.take_along_axis(every, neighbors, axis=1)
    for name, truth in (("stored-6-linf", (neighbors, distances)), ("asked-6-linf", (None, None))):
        hdf5.write(
            tmp_path / f"{name}.hdf5", train=train, test=test, neighbors=truth[0],
            distances=truth[1], metric="linf",
        )  # fmt: skip
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "linear.py").write_text(LINEAR)
    (tmp_path / "theirs.py").write_text(LINEAR)
    (tmp_path / "test_it.py").write_text("def test_it(ann_benchmark, case): ann_benchmark(case)\n")
    done = subprocess.run(
        [
            sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:hypothesispytest",
            "--ann-implementations=mine", "--submission=theirs.py", "--impl=linear", "--impl=theirs",
            "--dataset=stored-6-linf.hdf5", "--dataset=asked-6-linf.hdf5", "--ann-fresh-queries",
            "--benchmark-json=out.json",
        ],
        cwd=tmp_path, capture_output=True, text=True, check=False,
        env={
            **os.environ,
            "PYTHONPATH": str(package_with_chebyshev(tmp_path / "copy")),
            "ANNMODAL_VOLUME_DIR": str(tmp_path / "volume"),
        },
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    results = json.loads((tmp_path / "out.json").read_text())["benchmarks"]
    assert len(results) == 4
    for result in results:
        assert (result["extra_info"]["metric"], result["extra_info"]["recall"]) == (
            "chebyshev",
            1.0,
        )
