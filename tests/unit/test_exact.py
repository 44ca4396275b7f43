"""Exact neighbours: order, ties, duplicates, zero vectors, cancellation."""

from __future__ import annotations

import numpy as np
import pytest

from pytest_annmodal.distances import candidates, exact, metrics
from pytest_annmodal.errors import ConfigurationError


def brute_force(train, queries, k, metric):
    """The plain way, in float64: every distance, sorted by (distance, id)."""
    everything = np.broadcast_to(np.arange(len(train)), (len(queries), len(train)))
    distances = exact.pair_distances(train, queries, everything, metric)
    order = np.argsort(distances, axis=1, kind="stable")[:, :k]
    return order, np.take_along_axis(distances, order, axis=1)


def check(train, queries, k, metric):
    ids, distances = exact.knn(train, queries, k, metric)
    expected_ids, expected = brute_force(train, queries, k, metric)
    assert ids.dtype == np.int64
    assert distances.dtype == np.float32
    np.testing.assert_array_equal(ids, expected_ids)
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(distances, expected.astype(np.float32))


@pytest.mark.parametrize("metric", metrics.of_layout("floats"))
@pytest.mark.parametrize("n_train", [7, 100, 4096, 9001])
def test_knn_is_what_sorting_all_distances_gives(metric, n_train):
    rng = np.random.default_rng(n_train)
    train = rng.standard_normal((n_train, 12)).astype(np.float32)
    check(train, rng.standard_normal((13, 12)).astype(np.float32), min(10, n_train), metric)


def test_queries_in_several_groups_and_blocks_are_all_answered(monkeypatch):
    monkeypatch.setattr(exact, "GROUP_QUERIES", 64)
    monkeypatch.setattr(exact, "BLOCK_QUERIES", 10)
    monkeypatch.setattr(exact, "CHUNK_BYTES", 4096)
    monkeypatch.setattr(candidates, "TILE_ROWS", 128)
    rng = np.random.default_rng(1)
    train = rng.standard_normal((700, 5)).astype(np.float32)
    monkeypatch.setattr(exact, "TILE_ROWS", 128)
    check(train, rng.standard_normal((150, 5)).astype(np.float32), 10, "euclidean")


@pytest.fixture
def sampled(monkeypatch):
    """Makes the search of a small train use a sample, as for a large one."""
    monkeypatch.setattr(exact, "LEAST_GUESSED", 0)
    monkeypatch.setattr(exact, "SAMPLED_OF", 4)


@pytest.mark.parametrize("metric", metrics.of_layout("floats"))
@pytest.mark.parametrize("n_train", [100, 4099])
def test_a_sample_that_limits_the_search_changes_no_answer(metric, n_train, sampled):
    rng = np.random.default_rng(n_train)
    train = rng.standard_normal((n_train, 6)).astype(np.float32)
    train[50:80] = train[20:50]  # ties
    check(train, rng.standard_normal((40, 6)).astype(np.float32), 20, metric)


def test_queries_that_a_sample_misleads_are_answered_again(sampled, monkeypatch):
    """Queries whose sample is not representative are searched again."""
    groups = []
    knn_group = exact._knn_group

    def noted(*arguments, **options):
        groups.append(len(arguments[3]))
        return knn_group(*arguments, **options)

    monkeypatch.setattr(exact, "_knn_group", noted)
    rng = np.random.default_rng(8)
    train = rng.standard_normal((4000, 6)).astype(np.float32)
    train[::4] *= 0.01
    train[: 4 * 40 : 4] *= 0.001
    queries = np.zeros((3, 6), dtype=np.float32)
    queries[2] = 50 * train[1]
    train[1::8] = queries[2] * rng.uniform(0.9, 1.1, (500, 1)).astype(np.float32)
    check(train, queries, 200, "euclidean")
    assert groups[0] == 3
    assert len(groups) == 2


@pytest.mark.parametrize("metric", metrics.of_layout("floats"))
def test_ties_are_broken_by_the_smaller_id(metric):
    rng = np.random.default_rng(2)
    train = rng.integers(-1, 2, (6000, 4)).astype(np.float32)  # 81 distinct rows
    check(train, rng.integers(-1, 2, (20, 4)).astype(np.float32), 50, metric)


def test_train_sorted_from_far_to_near_costs_nothing_but_time():
    train = np.linspace(100, 0, 9000, dtype=np.float32)[:, None] * np.ones(3, dtype=np.float32)
    check(train, np.zeros((3, 3), dtype=np.float32), 10, "euclidean")


def test_a_zero_vector_is_at_angular_distance_one_from_everything():
    train = np.array([[1, 0], [0, 0], [-1, 0], [0, 0]], dtype=np.float32)
    queries = np.array([[0, 0], [2, 0]], dtype=np.float32)
    ids, distances = exact.knn(train, queries, 4, "angular")
    assert ids.tolist() == [[0, 1, 2, 3], [0, 1, 3, 2]]
    assert distances.tolist() == [[1, 1, 1, 1], [0, 1, 1, 2]]


def test_dot_puts_the_largest_inner_product_first_and_negates_it():
    train = np.array([[1, 1], [5, 0], [0, -3]], dtype=np.float32)
    ids, distances = exact.knn(train, np.array([[1, 1]], dtype=np.float32), 3, "dot")
    assert ids.tolist() == [[1, 0, 2]]
    assert distances.tolist() == [[-5, -2, 3]]


def test_near_ties_far_from_the_origin_are_ordered_by_their_true_distance():
    # |a|^2 + |b|^2 - 2ab in float32 would have errors of about 1e3 here.
    rng = np.random.default_rng(3)
    train = (1e5 + rng.standard_normal((5000, 16))).astype(np.float32)
    check(train, (1e5 + rng.standard_normal((10, 16))).astype(np.float32), 20, "euclidean")


def test_one_far_outlier_does_not_spoil_the_others():
    rng = np.random.default_rng(4)
    train = rng.standard_normal((5000, 16)).astype(np.float32)
    train[77] *= 1e6
    check(train, rng.standard_normal((10, 16)).astype(np.float32), 20, "euclidean")


@pytest.mark.parametrize("metric", metrics.of_layout("floats"))
@pytest.mark.parametrize("size", [1e-30, 1e25])
def test_squares_beyond_float32_do_not_matter(metric, size):
    rng = np.random.default_rng(5)
    train = (size * rng.standard_normal((200, 6))).astype(np.float32)
    check(train, (size * rng.standard_normal((5, 6))).astype(np.float32), 10, metric)


def test_a_tiny_vector_beside_large_ones_keeps_its_direction():
    train = np.array([[1e20, 1], [1e-20, 1e-20]], dtype=np.float32)
    ids, _ = exact.knn(train, np.array([[1, 1]], dtype=np.float32), 2, "angular")
    assert ids.tolist() == [[1, 0]]


def test_pair_distances_of_duplicates_are_exactly_zero():
    train = (1e6 + np.random.default_rng(6).random((50, 300))).astype(np.float32)
    ids = np.arange(50)[:, None]
    assert not exact.pair_distances(train, train, ids, "euclidean").any()


def test_pair_distances_in_chunks_are_those_in_one_piece(monkeypatch):
    rng = np.random.default_rng(7)
    train, queries = rng.random((90, 7), dtype=np.float32), rng.random((40, 7), dtype=np.float32)
    ids = rng.integers(0, 90, (40, 3))
    whole = exact.pair_distances(train, queries, ids, "angular")
    monkeypatch.setattr(exact, "PAIRS_BYTES", 1)
    np.testing.assert_array_equal(exact.pair_distances(train, queries, ids, "angular"), whole)


def test_float64_input_is_accepted():
    rng = np.random.default_rng(8)
    check(rng.standard_normal((300, 4)), rng.standard_normal((5, 4)), 10, "euclidean")


def test_no_queries_give_no_answers():
    ids, distances = exact.knn(np.ones((5, 2), np.float32), np.ones((0, 2), np.float32), 3, "dot")
    assert ids.shape == distances.shape == (0, 3)


@pytest.mark.parametrize("k", [0, 6])
def test_k_outside_one_to_n_is_refused(k):
    with pytest.raises(ConfigurationError, match="between 1 and the 5 rows"):
        exact.knn(np.ones((5, 2), np.float32), np.ones((1, 2), np.float32), k, "euclidean")


@pytest.mark.parametrize("function", [exact.knn, exact.pair_distances])
def test_an_unknown_metric_is_refused(function):
    ones = np.ones((5, 2), np.float32)
    argument = 1 if function is exact.knn else np.zeros((5, 1), int)
    with pytest.raises(ConfigurationError, match="metric 'haversine' is not supported"):
        function(ones, ones, argument, "haversine")


@pytest.mark.parametrize("metric", metrics.of_layout("floats"))
def test_denormal_numbers_are_vectors_too(metric):
    rng = np.random.default_rng(11)
    train, queries = (rng.standard_normal((n, 6)).astype(np.float32) for n in (300, 9))
    check(train * np.float32(1e-40), queries * np.float32(1e-40), 10, metric)
