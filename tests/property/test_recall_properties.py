"""Properties of recall for any vectors."""

import dataclasses

import numpy as np
import pytest
import slow_recall
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pytest_annmodal.datasets import hdf5
from pytest_annmodal.datasets.hdf5 import DatasetInfo
from pytest_annmodal.distances import exact, metrics
from pytest_annmodal.distances.rows import LAYOUTS
from pytest_annmodal.scoring import scoring, validity

FLOATS = metrics.of_layout("floats")


@st.composite
def datasets(draw, metrics=FLOATS):
    """Small sets with many ties: few values, duplicates, zero vectors."""
    metric = draw(st.sampled_from(metrics))
    dim = draw(st.integers(1, 5))
    n_train, n_queries = draw(st.integers(1, 24)), draw(st.integers(1, 6))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    spread = draw(st.sampled_from([1, 2, 1000]))
    scale = draw(st.sampled_from([1e-2, 1.0, 37.0]))
    train = rng.integers(-spread, spread + 1, (n_train, dim)).astype(np.float32) * scale
    test = rng.integers(-spread, spread + 1, (n_queries, dim)).astype(np.float32) * scale
    train[rng.random(n_train) < draw(st.sampled_from([0, 0.3]))] = 0
    if draw(st.booleans()):
        train[rng.integers(n_train, size=n_train // 2)] = train[0]
        test[0] = train[0]
    return dataset_of(train.astype(np.float32), test.astype(np.float32), metric)


def dataset_of(train, test, metric, dim=None) -> hdf5.LoadedDataset:
    neighbors, distances = exact.knn(train, test, len(train), metric)
    info = DatasetInfo(
        metric=metric,
        dim=dim or train.shape[1],
        n_train=len(train),
        n_queries=len(test),
        k_truth=len(train),
        contiguous=False,
        train_offset=None,
        dtype="<f4",
    )
    return hdf5.LoadedDataset(
        info=info,
        train=train,
        test=test,
        neighbors=neighbors,
        distances=distances,
        n_zero_train=0,
        n_zero_test=0,
        n_duplicates=0,
        train_map=None,
        truth_computed=True,
    )


def random_ids(data, n_train, n_queries, k, seed) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.stack([rng.permutation(n_train)[:k] for _ in range(n_queries)])


def draw_k(data, dataset) -> int:
    return data.draw(st.integers(1, len(dataset.train)))


def figures(recall):
    return recall.by_distance, recall.by_ids, recall.ann_benchmarks


@st.composite
def rows_of_any_layout(draw):
    """A dataset of any metric, with near ties at any scale, and a truth that may be off."""
    metric = draw(st.sampled_from(metrics.NAMES))
    layout = metrics.named(metric).layout
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    dim = draw(st.sampled_from([1, 3, 17, 70]))
    n_train, n_queries = draw(st.integers(2, 30)), draw(st.integers(1, 6))
    if layout == "floats":
        n, kind = n_train + n_queries, draw(st.sampled_from(["float32", "float32", "uint8"]))
        spread = draw(st.sampled_from([1e-7, 1e-5, 1e-3, 1.0]))  # around float32's own steps
        scale = 100.0 if kind == "uint8" else 10.0 ** draw(st.integers(-25, 18))
        base = rng.standard_normal((draw(st.integers(1, 4)), dim))
        whole = base[rng.integers(len(base), size=n)]
        whole = np.abs(whole + spread * rng.standard_normal((n, dim))) * scale
        whole[rng.random(n) < draw(st.sampled_from([0, 0.2]))] = 0
        with np.errstate(invalid="ignore", over="ignore"):
            rows = np.clip(whole, 0, 255 if kind == "uint8" else 1e18).astype(kind)
        train, test = rows[:n_train], rows[n_train:]
    else:
        kept = LAYOUTS[layout]
        train = kept.kept(rng.random((n_train, dim)) < 0.3, kept.dtypes[0])
        test = kept.kept(rng.random((n_queries, dim)) < 0.3, kept.dtypes[0])
    dataset = dataset_of(train, test, metric, dim)
    if draw(st.booleans()):  # another's truth: some rows are wrong, some distances are rounded
        wrong = rng.random(dataset.neighbors.shape) < 0.1
        permuted = rng.permuted(dataset.neighbors, axis=1)
        some = wrong.any(axis=1)
        rounded = dataset.distances * np.float32(draw(st.sampled_from([0, 0.999, 1.001])))
        dataset = dataclasses.replace(
            dataset,
            neighbors=np.where(some[:, None], permuted, dataset.neighbors),
            distances=rounded.astype(np.float32),
        )
    return dataset


@settings(max_examples=400)
@given(rows_of_any_layout(), st.data(), st.integers(0, 2**32))
def test_recall_is_what_all_distances_in_float64_say(dataset, data, seed):
    """To the last hit of each query, by every rule and metric, whatever is left out on the way."""
    k = draw_k(data, dataset)
    rng = np.random.default_rng(seed)
    ids = dataset.neighbors[:, :k].copy()
    for row in np.flatnonzero(rng.random(len(ids)) < 0.8):
        others = rng.permutation(np.setdiff1d(np.arange(len(dataset.train)), ids[row]))
        n = min(len(others), int(rng.integers(0, k + 1)))
        ids[row, k - n :] = others[:n]
    ids[rng.random(ids.shape) < data.draw(st.sampled_from([0, 0.2]))] = -1
    wanted = slow_recall.counts(dataset, ids, k)
    got = scoring.recall_of(dataset, ids, k)
    assert got.hits.tolist() == wanted[0].tolist()
    assert figures(got) == tuple(int(rule.sum()) / ids.size for rule in wanted)


@given(rows_of_any_layout(), st.integers(0, 2**32))
def test_a_distance_lies_between_its_bounds(dataset, seed):
    """In every metric that has bounds."""
    metric, n = dataset.info.metric, len(dataset.train)
    which = np.repeat(np.arange(len(dataset.test)), n)
    ids = np.tile(np.random.default_rng(seed).permutation(n), len(dataset.test))
    bounds = exact.pair_bounds(dataset.train, dataset.test, which, ids, metric)
    assert (bounds is not None) == (metric in FLOATS)
    if bounds is not None:
        found = exact.pair_distances(dataset.train, dataset.test[which], ids[:, None], metric)
        assert (bounds[0] <= found[:, 0]).all()
        assert (found[:, 0] <= bounds[1]).all()


@given(datasets(), st.data())
def test_exact_answers_are_perfect(dataset, data):
    """Exact answers have recall 1 by every rule."""
    k = draw_k(data, dataset)
    got = scoring.recall_of(dataset, dataset.neighbors[:, :k], k)
    assert figures(got) == (1, 1, 1)


@given(datasets(), st.data())
def test_exact_answers_with_other_ties_are_perfect_by_distance(dataset, data):
    """Another choice among ties has recall 1 by distance."""
    k = draw_k(data, dataset)
    metric, n = dataset.info.metric, len(dataset.train)
    everything = np.broadcast_to(np.arange(n), (len(dataset.test), n))
    distances = exact.pair_distances(dataset.train, dataset.test, everything, metric)
    shuffled = np.random.default_rng(data.draw(st.integers(0, 9))).permutation(n)
    order = shuffled[np.argsort(distances[:, shuffled], axis=1, kind="stable")]
    got = scoring.recall_of(dataset, order[:, :k], k)
    assert got.by_distance == 1
    assert got.ann_benchmarks == 1


@given(datasets(), st.data(), st.integers(0, 99))
def test_recall_is_between_0_and_1(dataset, data, seed):
    """Recall is in [0, 1] for any ids, and by ids it is never higher than by distance."""
    k = draw_k(data, dataset)
    ids = random_ids(data, len(dataset.train), len(dataset.test), k, seed)
    ids[np.random.default_rng(seed).random(ids.shape) < 0.2] = -1
    got = scoring.recall_of(dataset, ids, k)
    assert all(0 <= value <= 1 for value in figures(got))
    assert got.by_distance >= got.by_ids
    assert got.ann_benchmarks >= got.by_ids


@given(datasets(), st.data(), st.integers(0, 99))
def test_the_order_of_an_answers_ids_does_not_matter(dataset, data, seed):
    """The order of ids in an answer does not matter."""
    k = draw_k(data, dataset)
    ids = random_ids(data, len(dataset.train), len(dataset.test), k, seed)
    other = np.random.default_rng(seed + 1).permuted(ids, axis=1)
    assert scoring.recall_of(dataset, ids, k) == scoring.recall_of(dataset, other, k)


@given(datasets(), st.data(), st.integers(0, 99))
def test_the_order_of_the_queries_does_not_matter(dataset, data, seed):
    """The order of queries does not matter."""
    k = draw_k(data, dataset)
    ids = random_ids(data, len(dataset.train), len(dataset.test), k, seed)
    order = np.random.default_rng(seed).permutation(len(ids))
    moved = dataclasses.replace(
        dataset,
        test=dataset.test[order],
        neighbors=dataset.neighbors[order],
        distances=dataset.distances[order],
    )
    one, other = scoring.recall_of(dataset, ids, k), scoring.recall_of(moved, ids[order], k)
    assert figures(one) == pytest.approx(figures(other), abs=1e-12)


@given(datasets(), st.data(), st.integers(0, 99))
def test_one_more_right_id_is_never_worse(dataset, data, seed):
    """Replacing a miss by a true neighbour raises recall by ids."""
    k = draw_k(data, dataset)
    ids = random_ids(data, len(dataset.train), len(dataset.test), k, seed)
    truth = dataset.neighbors[:, :k]
    missing = [(q, i) for q in range(len(ids)) for i in truth[q] if i not in ids[q]]
    assume(missing)
    query, right = missing[0]
    column = next(c for c, i in enumerate(ids[query]) if i not in truth[query])
    better = ids.copy()
    better[query, column] = right
    before, after = scoring.recall_of(dataset, ids, k), scoring.recall_of(dataset, better, k)
    assert after.by_ids == pytest.approx(before.by_ids + 1 / ids.size)
    assert after.by_distance >= before.by_distance
    assert after.ann_benchmarks >= before.ann_benchmarks


@given(datasets(), st.data())
def test_the_first_right_ids_count_as_what_they_are(dataset, data):
    """j of k true neighbours give j/k by ids, and at least that by distance."""
    k = draw_k(data, dataset)
    j = data.draw(st.integers(0, k))
    ids = dataset.neighbors[:, :k].copy()
    ids[:, j:] = -1
    got = scoring.recall_of(dataset, ids, k)
    assert figures(got) == pytest.approx((j / k, j / k, j / k))


@given(datasets(), st.data())
def test_the_files_own_order_of_near_ties_is_perfect_too(dataset, data):
    """A file's own ids have recall 1, although float32 may swap near ties."""
    k = draw_k(data, dataset)
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    swapped = dataset.neighbors.copy()
    swapped[:, :k] = rng.permuted(swapped[:, :k], axis=1)
    disordered = dataclasses.replace(dataset, neighbors=swapped)
    got = scoring.recall_of(disordered, dataset.neighbors[:, :k], k)
    assert (got.by_distance, got.by_ids) == (1, 1)


@settings(max_examples=30)
@given(datasets(), st.data(), st.integers(0, 99))
def test_rounds_are_averaged(dataset, data, seed):
    """Recall is the mean over rounds."""
    k = draw_k(data, dataset)
    right = dataset.neighbors[:, :k]
    other = random_ids(data, len(dataset.train), len(dataset.test), k, seed)
    rounds = np.stack([right, other, right])
    given = validity.Given(ids=rounds, counts=np.full(rounds.shape[:2], k))
    answers = validity.check(given, k=k, n_train=len(dataset.train))
    got = scoring.score_rounds(dataset, answers)
    alone = scoring.recall_of(dataset, other, k)
    assert answers.n_short == 0
    assert got.by_ids == pytest.approx((2 + alone.by_ids) / 3)
    assert got.by_distance == pytest.approx((2 + alone.by_distance) / 3)


@given(datasets(), st.data(), st.integers(-50, 50), st.integers(0, 99))
def test_recall_does_not_depend_on_the_unit_of_the_vectors(dataset, data, power, seed):
    """Scaling all vectors by a power of two does not change recall."""
    k = draw_k(data, dataset)
    factor = np.float32(2.0**power)
    other = dataset_of(dataset.train * factor, dataset.test * factor, dataset.info.metric)
    ids = random_ids(data, len(dataset.train), len(dataset.test), k, seed)
    ids[np.random.default_rng(seed).random(ids.shape) < 0.2] = -1
    one, scaled = scoring.recall_of(dataset, ids, k), scoring.recall_of(other, ids, k)
    assert (scaled.by_distance, scaled.by_ids) == (one.by_distance, one.by_ids)


@pytest.mark.parametrize("metric", FLOATS)
@pytest.mark.parametrize("power", range(-15, 16, 3))
def test_random_answers_are_worth_chance_at_every_scale(metric, power):
    """Random answers have chance recall at every scale of the vectors."""
    rng = np.random.default_rng(0)
    n, m, k = 1000, 40, 10
    vectors = (rng.standard_normal((n + m, 8)) * 10.0**power).astype(np.float32)
    dataset = dataset_of(vectors[:n], vectors[n:], metric)
    ids = np.stack([rng.permutation(n)[:k] for _ in range(m)])
    assert scoring.recall_of(dataset, ids, k).by_distance < 4 * k / n
    assert scoring.recall_of(dataset, dataset.neighbors[:, :k], k).by_distance == 1


def test_a_product_that_cancels_may_be_off_by_the_rounding_of_its_terms():
    """An inner product that cancels (1e6 - 1e6) has the tolerance of its terms."""
    train = np.array([[1e3, -1e3], [1e3, -1e3 + 1e-4], [1e3, -999.0]], np.float32)
    dataset = dataset_of(train, np.array([[1e3, 1e3]], np.float32), "dot")
    assert [scoring.recall_of(dataset, np.array([[row]]), 1).by_distance for row in range(3)] == [
        0, 0, 1,
    ]  # fmt: skip
    near = dataset_of(train[:2], dataset.test, "dot")
    assert scoring.recall_of(near, np.array([[0]]), 1).by_distance == 1
