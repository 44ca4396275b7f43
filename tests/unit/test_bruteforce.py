"""The built-in bruteforce is exact wherever float32 allows it."""

import numpy as np
import pytest

from pytest_annmodal.distances import exact, metrics
from pytest_annmodal.implementations import bruteforce
from pytest_annmodal.implementations.bruteforce import BruteForce

PLACES = [(1, 0), (1, 1e3), (1, 1e4), (1, 3e4), (1e15, 0), (1e-15, 0), (1e30, 0), (1e-25, 0)]


@pytest.mark.parametrize(("scale", "shift"), PLACES)
@pytest.mark.parametrize("metric", metrics.of_layout("floats"))
def test_vectors_far_from_the_origin_or_of_odd_lengths(metric, scale, shift):
    """Squares neither cancel nor overflow in float32; single queries and batches agree."""
    rng = np.random.default_rng(0)
    train = (rng.standard_normal((2000, 16)) * scale + shift).astype(np.float32)
    queries = (rng.standard_normal((20, 16)) * scale + shift).astype(np.float32)
    index = BruteForce(metric)
    index.fit(train)
    truth, _ = exact.knn(train, queries, 10, metric)
    kth = exact.pair_distances(train, queries, truth, metric)[:, -1]
    tie = np.maximum(1e-6 * np.abs(kth), exact.rounding(train, queries, truth[:, -1], metric))
    for ids in (np.array([index.query(q, 10) for q in queries]), index.batch_query(queries, 10)):
        found = exact.pair_distances(train, queries, ids, metric)
        assert (found.max(axis=1) <= kth + tie).all()


@pytest.mark.parametrize("metric", metrics.of_layout("floats"))
def test_zero_vectors_are_similar_to_nothing(metric):
    """Zero rows and zero queries have the distance that the metric defines."""
    rng = np.random.default_rng(0)
    train = rng.standard_normal((50, 4)).astype(np.float32)
    train[[3, 30]] = 0
    queries = np.vstack([rng.standard_normal((5, 4)), np.zeros(4)]).astype(np.float32)
    index = BruteForce(metric)
    index.fit(train)
    truth, _ = exact.knn(train, queries, 50, metric)
    expected = exact.pair_distances(train, queries, truth, metric)
    got = exact.pair_distances(train, queries, index.batch_query(queries, 50), metric)
    np.testing.assert_allclose(got, expected, atol=1e-5)


@pytest.mark.parametrize("dtype", ["uint8", "int8"])
@pytest.mark.parametrize("metric", metrics.of_layout("floats"))
def test_bytes_are_compared_without_rounding(metric, dtype):
    """Bytes are compared exactly: rows that differ only in the last of 1,500 columns are told apart."""
    rng = np.random.default_rng(0)
    info = np.iinfo(dtype)
    base = rng.choice([info.min, info.max], 1500)
    train = np.tile(base, (400, 1))
    places = rng.integers(0, 1500, (400, 5))
    for row, place in zip(train, places, strict=True):
        row[place] = rng.integers(info.min, info.max + 1, 5)
    queries = np.vstack([train[:5], rng.integers(info.min, info.max + 1, (5, 1500))])
    index = BruteForce(metric)
    index.fit(train.astype(dtype))
    assert index.get_memory_usage() < 1.1 * train.astype(dtype).nbytes
    far = exact_distances(metric, train, queries)
    nearest = np.sort(far, axis=1)[:, :50]
    asked = queries.astype(dtype)
    for ids in (np.array([index.query(q, 50) for q in asked]), index.batch_query(asked, 50)):
        found = np.sort(np.take_along_axis(far, ids, axis=1), axis=1)
        np.testing.assert_allclose(found, nearest, rtol=1e-14 if metric == "angular" else 0)


@pytest.mark.parametrize("dtype", ["float32", "uint8"])
@pytest.mark.parametrize("k", [3, 40])
def test_a_batch_in_many_parts_has_the_answers_of_its_queries(monkeypatch, dtype, k):
    """Parts of queries and of rows do not change an answer; a part may have fewer rows than k."""
    for name, value in {"QUERIES": 4, "SCORES": 60, "MOST_PARTS": 3}.items():
        monkeypatch.setattr(bruteforce, name, value)
    rows = np.random.default_rng(6).integers(0, 100, (210, 7)).astype(dtype)
    index = BruteForce("euclidean")
    index.fit(rows[:200])
    asked, train = rows[200:].astype(np.int64), rows[:200].astype(np.int64)
    far = exact_distances("euclidean", train, asked)
    found = np.take_along_axis(far, index.batch_query(rows[200:], k), axis=1)
    np.testing.assert_array_equal(found, np.sort(far, axis=1)[:, :k])


def exact_distances(metric, train, queries):
    """By whole numbers, float64 (m, n); what orders as they do, for euclidean and angular."""
    if metric == "manhattan":
        return np.array([np.abs(train - query).sum(axis=1) for query in queries])
    if metric == "euclidean":
        return np.array([((train - query) ** 2).sum(axis=1) for query in queries])
    products = queries @ train.T
    return -products / (np.linalg.norm(train, axis=1) if metric == "angular" else 1)


def test_bits_are_counted_alike_by_numpy_1(monkeypatch):
    """With numpy 1, which has no ``bitwise_count``, a table gives the same answers."""
    rows = np.random.default_rng(5).integers(0, 256, (50, 13), np.uint8)
    asked = [_nearest_bits(rows, row) for row in rows[:5]]
    monkeypatch.delattr(np, "bitwise_count", raising=False)
    assert [_nearest_bits(rows, row) for row in rows[:5]] == asked
    assert [ids[0] for ids in asked] == [0, 1, 2, 3, 4]


def _nearest_bits(rows, row):
    index = BruteForce("hamming")
    index.fit(rows)
    return index.query(row, 10).tolist()
