"""Copies and zero rows of a dataset are counted, whatever part of a row is looked at first."""

import numpy as np
import pytest

from pytest_annmodal.datasets import composition
from pytest_annmodal.distances import metrics
from pytest_annmodal.distances.rows import LAYOUTS


def counted(rows, metric):
    found = composition.of(rows, rows[:3], metric)
    return composition.fields(found, len(rows))


def rows_of(metric, *, width, seed):
    """Rows of which many share a middle, some are copies, and some are zero."""
    rng = np.random.default_rng(seed)
    values = rng.integers(-3, 4, (200, width)).astype(np.float32)
    middle = slice(width // 4, width - width // 4)
    values[20:120, middle] = values[0, middle]
    values[120:140, middle] = 0
    values[30:36], values[150:152], values[[7, 9]] = values[1], values[2], 0
    if metrics.named(metric).layout == "floats":
        return values, values
    bits = values > 0
    return bits, LAYOUTS[metrics.named(metric).layout].kept(bits, "")


@pytest.mark.parametrize("at_once", [3, 2**14])
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("width", [4, 33, 100, 600, 2000])
@pytest.mark.parametrize("metric", ["euclidean", "hamming", "jaccard"])
def test_copies_are_counted_as_by_comparing_whole_rows(monkeypatch, metric, width, seed, at_once):
    """Rows that are equal in the middle only are not copies, and zeros there are no zero row."""
    monkeypatch.setattr(composition, "ROWS_AT_ONCE", at_once)
    monkeypatch.setattr(composition, "SAMPLE_PAIRS", 5)  # of the order, which is not asked here
    values, rows = rows_of(metric, width=width, seed=seed)
    _, group, sizes = np.unique(values, axis=0, return_inverse=True, return_counts=True)
    got = counted(rows, metric)
    assert got["n_duplicates"] == len(values) - len(sizes)
    assert got["n_most_copied"] == sizes.max()
    assert got["copied"].tolist() == (sizes[group.reshape(-1)] > 1).tolist()
    assert got["n_zero_train"] == np.count_nonzero(~values.any(axis=1))


@pytest.mark.parametrize("dtype", ["float32", "uint8", "int8"])
def test_most_rows_may_share_their_middle(dtype):
    """Nearly all are read as a whole then, and -0.0 is 0.0."""
    values = np.zeros((50, 300), dtype)
    values[:, 0] = np.arange(50) // 2
    values[0] = -values[0]
    got = counted(values, "euclidean")
    assert (got["n_duplicates"], got["n_most_copied"], got["n_zero_train"]) == (25, 2, 2)
    assert got["copied"].all()


def test_rows_without_copies_are_alone():
    """None is copied, and the largest group is one row."""
    rows = np.arange(40 * 64, dtype=np.float32).reshape(40, 64)
    got = counted(rows, "euclidean")
    assert (got["n_duplicates"], got["n_most_copied"], got["n_zero_train"]) == (0, 1, 0)
    assert not got["copied"].any()


def test_rows_that_differ_in_signs_alone_are_no_copies():
    """Signs are the highest bits of words: those of two words cancelled in a sum."""
    bits = (np.arange(256)[:, None] >> np.arange(8)) & 1
    got = counted((2 * bits - 1).astype(np.float32), "euclidean")
    assert (got["n_duplicates"], got["n_most_copied"]) == (0, 1)
