"""Answers are scored against what the dataset's own vectors say."""

import dataclasses

import numpy as np
import pytest
import slow_recall

from pytest_annmodal.datasets import hdf5
from pytest_annmodal.distances import exact, metrics
from pytest_annmodal.errors import InvalidResultError
from pytest_annmodal.scoring import scoring, validity

K = 4


@pytest.fixture
def dataset(small_dataset):
    return hdf5.load(small_dataset(n_train=60, n_queries=6))


def checked(*rounds, counts=None, **options):
    ids = np.stack(rounds)
    counts = np.full(ids.shape[:2], K) if counts is None else counts
    return validity.check(validity.Given(ids=ids, counts=counts), k=K, n_train=60, **options)


def test_the_stored_truth_is_perfect(dataset):
    """The stored truth has recall 1 in all rounds, by every rule."""
    truth = dataset.neighbors[:, :K].copy()
    answers = checked(truth, truth)
    recall = scoring.score_rounds(dataset, answers)
    assert answers.n_short == 0
    assert dataclasses.astuple(recall)[:3] == (1, 1, 1)
    assert recall.hits.tolist() == [2 * K] * len(dataset.test)


@pytest.mark.parametrize("n_rounds", [1, 2, 3, 5, 7])
def test_the_recall_of_all_rounds_reaches_the_share_that_it_is(small_dataset, n_rounds):
    """95 of 100 neighbours give a recall of exactly 0.95."""
    data = hdf5.load(small_dataset(n_train=60, n_queries=25))
    for n_missed in range(101):
        found = data.neighbors[:, :K].copy()
        found[np.arange(100).reshape(25, K)[:, ::-1] < n_missed] = -1
        counts = np.tile(np.count_nonzero(found >= 0, axis=1), (n_rounds, 1))
        answers = checked(*[found] * n_rounds, counts=counts, short_answers=True)
        recall = scoring.score_rounds(data, answers)
        assert dataclasses.astuple(recall)[:3] == ((100 - n_missed) / 100,) * 3


def test_every_round_is_checked(dataset):
    """An invalid answer in the last round is found."""
    truth = dataset.neighbors[:, :K]
    bad = truth.copy()
    bad[5, 0] = bad[5, 1]
    with pytest.raises(InvalidResultError, match="twice for query 5"):
        checked(truth, bad)


def test_a_round_with_the_same_ids_but_another_count_is_checked(dataset):
    """An answer of k + 1 ids is invalid, although its first k are equal."""
    truth = dataset.neighbors[:, :K]
    counts = np.full((2, len(truth)), K)
    counts[1, 2] = K + 1
    with pytest.raises(InvalidResultError, match=f"returned {K + 1} ids for query 2"):
        checked(truth, truth, counts=counts)


def test_short_answers_are_counted_over_all_rounds(dataset):
    """Short answers of all rounds are counted as misses."""
    found = dataset.neighbors[:, :K].copy()
    found[0, -1] = -1
    counts = np.full((2, len(found)), K)
    counts[:, 0] = K - 1
    answers = checked(found, found, counts=counts, short_answers=True)
    recall = scoring.score_rounds(dataset, answers)
    assert answers.n_short == 2
    assert recall.by_ids == pytest.approx(1 - 1 / (6 * K))


def test_distances_come_from_train_and_not_from_the_file(dataset):
    """Distances are computed from train, not read from the file."""
    lying = dataclasses.replace(
        dataset, neighbors=dataset.neighbors.copy(), distances=dataset.distances * 0
    )
    recall = scoring.recall_of(lying, dataset.neighbors[:, :K], K)
    assert (recall.by_distance, recall.by_ids, recall.ann_benchmarks) == (1, 1, 0)


def test_ids_that_are_all_padding_find_nothing(dataset):
    """Answers of only padding have recall 0."""
    recall = scoring.recall_of(dataset, np.full((6, K), -1), K)
    assert dataclasses.astuple(recall)[:3] == (0, 0, 0)
    assert not recall.hits.any()


def test_chance_is_what_rows_drawn_at_random_find(small_dataset):
    """Chance is k of n for different rows, and more for equal ones."""
    rng = np.random.default_rng(1)
    vectors = rng.standard_normal((400, 8)).astype(np.float32)
    copies = vectors.copy()
    copies[:300] = copies[0]
    for train, queries, k, least, most in (
        (vectors, vectors[:200], 4, 0.01, 0.03),
        (copies, np.repeat(copies[:1], 200, axis=0), 4, 0.7, 0.8),
        (vectors, vectors[:3], 400, 1, 1),
    ):
        data = hdf5.load(small_dataset(train=train, test=queries, k=k))
        expected, limit = scoring.chance(data, k)
        assert least <= expected <= limit <= most + 0.1
        assert expected <= most


@pytest.mark.parametrize("dtype", ["float32", "uint8", "int8", "float64"])
@pytest.mark.parametrize("metric", metrics.of_layout("floats"))
def test_the_distance_of_a_pair_does_not_depend_on_what_else_is_asked(metric, dtype):
    """To the last bit: one row of a query, all of them, or the farthest."""
    rng = np.random.default_rng(0)
    train = (20 * rng.standard_normal((300, 13))).astype(dtype)
    test = (20 * rng.standard_normal((40, 13))).astype(dtype)
    ids = rng.integers(300, size=(40, 10))
    whole = exact.pair_distances(train, test, ids, metric)
    rows = np.repeat(np.arange(40), 10)
    single = exact.pair_distances(train, test[rows], ids.reshape(-1, 1), metric)
    far, which = exact.farthest(train, test, ids, metric)
    assert (single.reshape(ids.shape) == whole).all()
    assert (far == whole.max(axis=1)).all()
    assert (which == ids[np.arange(40), whole.argmax(axis=1)]).all()


@pytest.mark.parametrize("n_wrong", [0, 1, 5, 10])
def test_answers_in_several_blocks_are_scored_one_by_one(small_dataset, monkeypatch, n_wrong):
    """As many queries at once as fit."""
    data = hdf5.load(small_dataset(n_train=200, n_queries=50))
    rng = np.random.default_rng(0)
    ids = data.neighbors[:, :10].copy()
    ids[:, :n_wrong] = rng.permuted(np.tile(np.arange(200), (50, 1)), axis=1)[:, :n_wrong]
    ids[[len(set(row)) < 10 for row in ids.tolist()]] = np.arange(100, 110)
    near, among, _ = slow_recall.counts(data, ids, 10)
    monkeypatch.setattr(scoring, "IDS_AT_ONCE", 70)
    got = scoring.recall_of(data, ids, 10)
    assert got.hits.tolist() == near.tolist()
    assert got.by_ids == among.sum() / ids.size
