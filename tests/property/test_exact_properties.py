"""Exact neighbours equal a full sort of the distances, for difficult vectors."""

from __future__ import annotations

import numpy as np
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pytest_annmodal.distances import exact, metrics

# Few distinct numbers make ties, duplicates and zero vectors; floats make near ties.
NUMBERS = st.one_of(
    st.integers(-2, 2).map(float), st.floats(-1e6, 1e6, width=32, allow_subnormal=False)
)
VECTORS = st.tuples(st.integers(1, 40), st.integers(1, 6), st.integers(1, 4)).flatmap(
    lambda shape: st.tuples(
        hnp.arrays(np.float32, (shape[0], shape[2]), elements=NUMBERS),
        hnp.arrays(np.float32, (shape[1], shape[2]), elements=NUMBERS),
    )
)
METRICS = st.sampled_from(metrics.of_layout("floats"))
LONG_AND_SHORT = np.float32([[194562, 67489]]), np.float32([[0, 2**-24]])
FEW = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@FEW
@given(VECTORS, METRICS, st.data())
def test_knn_is_what_sorting_all_distances_gives(vectors, metric, data):
    train, queries = vectors
    k = data.draw(st.integers(1, len(train)))
    ids, distances = exact.knn(train, queries, k, metric)
    everything = np.broadcast_to(np.arange(len(train)), (len(queries), len(train)))
    expected = exact.pair_distances(train, queries, everything, metric)
    order = np.argsort(expected, axis=1, kind="stable")[:, :k]
    np.testing.assert_array_equal(ids, order)
    sorted_distances = np.take_along_axis(expected, order, axis=1)
    np.testing.assert_array_equal(distances, sorted_distances.astype(np.float32))


@FEW
@given(VECTORS, METRICS)
@example(LONG_AND_SHORT, "euclidean")
def test_pair_distances_are_those_of_the_definition(vectors, metric):
    train, queries = vectors
    ids = np.broadcast_to(np.arange(len(train)), (len(queries), len(train)))
    got = exact.pair_distances(train, queries, ids, metric)
    for row, query in enumerate(queries.astype(np.float64)):
        for column, vector in enumerate(train.astype(np.float64)):
            if metric == "euclidean":
                expected = np.linalg.norm(query - vector)
            elif metric == "manhattan":
                expected = np.abs(query - vector).sum()
            elif metric == "dot":
                expected = -(query @ vector)
            else:
                norms = np.linalg.norm(query) * np.linalg.norm(vector)
                expected = 1 - query @ vector / norms if norms else 1.0
            lengths = np.linalg.norm(query), np.linalg.norm(vector)
            scale = 1 + sum(lengths) + lengths[0] * lengths[1]
            assert abs(got[row, column] - expected) <= 1e-12 * scale
