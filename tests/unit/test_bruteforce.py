"""The built-in that everything else is compared with is exact wherever float32 can be."""

import numpy as np
import pytest

from pytest_annmodal.distances import exact, metrics
from pytest_annmodal.implementations.bruteforce import BruteForce

PLACES = [(1, 0), (1, 1e3), (1, 1e4), (1, 3e4), (1e15, 0), (1e-15, 0), (1e30, 0), (1e-25, 0)]


@pytest.mark.parametrize(("scale", "shift"), PLACES)
@pytest.mark.parametrize("metric", metrics.of_layout("floats"))
def test_vectors_far_from_the_origin_or_of_odd_lengths(metric, scale, shift):
    """Squares neither cancel nor leave the range of float32; single queries and batches agree."""
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
    """Neither nearer nor farther than the metric says, as a row and as a query."""
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
