"""The built-in that everything else is compared with is exact wherever float32 can be."""

import numpy as np
import pytest

from pytest_annmodal.implementations.bruteforce import BruteForce
from pytest_annmodal.scoring import exact


@pytest.mark.parametrize(
    ("metric", "scale", "shift"),
    [("euclidean", 1, 1000), ("euclidean", 1e30, 0), ("angular", 1e-25, 0), ("angular", 1e30, 0)],
)
def test_vectors_far_from_the_origin_or_of_odd_lengths(metric, scale, shift):
    """Squares neither cancel nor leave the range of float32; single queries and batches agree."""
    rng = np.random.default_rng(0)
    train = (rng.standard_normal((2000, 16)) * scale + shift).astype(np.float32)
    queries = (rng.standard_normal((20, 16)) * scale + shift).astype(np.float32)
    index = BruteForce(metric)
    index.fit(train)
    _, distances = exact.knn(train, queries, 10, metric)
    for ids in (np.array([index.query(q, 10) for q in queries]), index.batch_query(queries, 10)):
        found = exact.pair_distances(train, queries, ids, metric)
        assert (found.max(axis=1) <= distances[:, -1] * (1 + 1e-5)).all()
