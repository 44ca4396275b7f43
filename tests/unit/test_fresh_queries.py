"""Fresh queries: unknown to the worker, with exact truth, equal for all, each asked once."""

import dataclasses

import numpy as np
import pytest
from jobs import EXACT, make_job, write

from pytest_annmodal.datasets import hdf5
from pytest_annmodal.distances import exact, measure
from pytest_annmodal.errors import DatasetError, SubmissionError
from pytest_annmodal.jobs import fresh_queries, training_data


@pytest.fixture
def load(small_dataset):
    def load(metric="euclidean", **options):
        return hdf5.load(small_dataset(f"small-8-{metric}", metric=metric, **options))

    return load


def rows_of(array):
    return {row.tobytes() for row in array}


class TestFreshen:
    @pytest.mark.parametrize("metric", ["euclidean", "angular", "dot"])
    def test_the_truth_is_exact(self, load, metric):
        """The truth equals a brute-force search over the remaining rows."""
        data = fresh_queries.freshen(load(metric), n_queries=30, seed=3)
        train, test = data.train.astype(np.float64), data.test.astype(np.float64)
        if metric == "euclidean":
            far = ((test[:, None] - train[None]) ** 2).sum(axis=2)
        else:
            far = -(test @ train.T)
        if metric == "angular":
            far /= np.linalg.norm(train, axis=1)[None]
        for row, ids in zip(far, data.neighbors, strict=True):
            assert len(set(ids.tolist())) == 10
            assert row[ids].max() <= np.sort(row)[9] + 1e-6

    def test_held_out_rows_are_in_train_no_more(self, load):
        """Held-out rows are removed from train; all other rows are kept in a new order."""
        data = load()
        fresher = fresh_queries.freshen(data, n_queries=30, seed=3)
        assert fresher.train.shape == (270, 8)
        assert rows_of(fresher.train) < rows_of(data.train)
        assert not np.array_equal(fresher.train, data.train[:270])
        assert not rows_of(fresher.test) & rows_of(data.train)
        assert not rows_of(fresher.test) & rows_of(data.test)
        assert fresher.info.n_train == 270
        assert fresher.info.n_queries == 30
        assert fresher.train_map is None

    def test_a_query_is_moved_by_half_of_a_neighbours_distance(self, load):
        """A query is its held-out row moved by half the distance to a neighbour."""
        data = load()
        fresher = fresh_queries.freshen(data, n_queries=30, seed=3)
        kept = rows_of(fresher.train)
        held = np.array([row for row in data.train if row.tobytes() not in kept])
        moved = np.sqrt(((fresher.test[:, None] - held[None]) ** 2).sum(axis=2)).min(axis=1)
        _, tenth = exact.knn(fresher.train, held, 10, "euclidean")
        assert (moved > 0).all()
        assert (moved <= measure.NOISE * tenth[:, -1].max() * 1.001).all()
        order = np.random.default_rng(3).permutation(300)[:30]
        _, distances = exact.knn(fresher.train, data.train[order].copy(), 10, "euclidean")
        step = np.linalg.norm(fresher.test - data.train[order], axis=1)
        assert step == pytest.approx(measure.NOISE * distances[:, -1], rel=1e-4)

    def test_the_seed_decides(self, load):
        """Queries are equal for all submissions of a session, and differ in the next session."""
        data = load()
        one, same, other = (
            fresh_queries.freshen(data, n_queries=30, seed=seed) for seed in (3, 3, 4)
        )
        assert np.array_equal(one.test, same.test)
        assert np.array_equal(one.train, same.train)
        assert not rows_of(one.test) & rows_of(other.test)

    def test_too_small_a_dataset_is_refused(self, load):
        """A dataset with too few rows is refused with the number needed."""
        with pytest.raises(DatasetError, match="61 fresh queries need at least 305 training"):
            fresh_queries.freshen(load(), n_queries=61, seed=3)

    @pytest.mark.parametrize("metric", ["euclidean", "angular", "dot"])
    def test_duplicates_and_zero_vectors_do_no_harm(self, load, metric):
        """Duplicates and zero vectors give finite queries; a query between duplicates may equal them."""
        rows = np.random.default_rng(0).standard_normal((40, 8)).astype(np.float32)
        rows[:4] = 0
        train = np.repeat(rows, 12, axis=0)
        data = load(metric, train=train, neighbors=None, distances=None)
        fresher = fresh_queries.freshen(data, n_queries=90, seed=3)
        assert np.isfinite(fresher.test).all()
        assert np.isfinite(fresher.distances).all()
        assert fresher.neighbors.max() < len(fresher.train)


class TestParts:
    def test_share_no_query(self, load):
        """Parts share no query, and each has its own truth."""
        data = fresh_queries.freshen(load(), n_queries=30, seed=3)
        cut = list(fresh_queries.parts(data, 4))
        assert [len(part.test) for part in cut] == [7] * 4
        assert len(set().union(*(rows_of(part.test) for part in cut))) == 28
        for number, part in enumerate(cut):
            assert np.array_equal(part.neighbors, data.neighbors[7 * number : 7 * number + 7])
            assert np.array_equal(part.distances, data.distances[7 * number : 7 * number + 7])

    def test_are_no_larger_than_asked_for(self):
        """No more queries are drawn than will be asked."""
        assert fresh_queries.size_of_parts(30, 4, None) == 7
        assert fresh_queries.size_of_parts(30, 4, 5) == 5

    def test_more_parts_than_queries_are_refused(self):
        """More parts than queries are refused."""
        with pytest.raises(SubmissionError, match=r"asks for 2 search settings .* at most 1;"):
            fresh_queries.size_of_parts(3, 4, None)
        with pytest.raises(DatasetError, match="1 fresh queries cannot serve one setting"):
            fresh_queries.size_of_parts(1, 4, None)


class TestInAJob:
    def test_each_setting_and_batch_has_its_own(self, small_dataset, tmp_path):
        """Each setting and each batch of an index has its own queries."""
        path = small_dataset(n_train=600)
        source = write(tmp_path / "mine.py", EXACT)
        job = make_job(path, source, settings=[1, 2, 3], fresh_seed=5)
        data = training_data.load(job, path, None)
        views = training_data.views(job, data)
        parts = [part for pair in views.values() for part in pair]
        assert len(parts) == 6
        seen = [rows_of(part.test) for part in parts]
        assert len(set().union(*seen)) == sum(map(len, seen))
        fewer = make_job(path, source, settings=[1], fresh_seed=5)
        assert np.array_equal(training_data.load(fewer, path, None).train, data.train)
        assert dataclasses.asdict(data.info)["n_train"] == 480
