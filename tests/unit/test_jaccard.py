"""Sets: read in both layouts, searched, scored with many ties, and drawn as fresh queries."""

from __future__ import annotations

import tracemalloc

import h5py
import numpy as np
import pytest
from jobs import make_job, measured, write

from pytest_annmodal.comparison.compare import compare
from pytest_annmodal.datasets import generated, hdf5, synthetic
from pytest_annmodal.distances import exact
from pytest_annmodal.distances.rows import LAYOUTS, Sets
from pytest_annmodal.errors import DatasetFormatError
from pytest_annmodal.execution import run_job
from pytest_annmodal.implementations.bruteforce import BruteForce
from pytest_annmodal.jobs import fresh_queries, training_data
from pytest_annmodal.jobs.halves import halves, questions
from pytest_annmodal.scoring import scoring

DIM = 40
LISTS = """
import numpy as np
class Index:
    def fit(self, X):
        assert isinstance(X, list) and X[0].dtype == np.uint32
        assert all((np.diff(x.astype(int)) > 0).all() for x in X)
        self.X = [set(x.tolist()) for x in X]
    def query(self, v, k):
        v = set(v.tolist())
        far = [1 - len(v & x) / len(v | x) if v | x else 0.0 for x in self.X]
        return np.argsort(far, kind="stable")[:k]
    def batch_query(self, Q, k):
        return [self.query(v, k) for v in Q]
"""
CSR = """
import numpy as np
class Index:
    def fit(self, X):
        assert X.format == "csr" and X.dtype == bool and X.shape[1] == 40
        self.X = X.toarray().astype(int)
    def batch_query(self, Q, k):
        both = Q.toarray().astype(int) @ self.X.T
        either = Q.sum(axis=1)[:, None] + self.X.sum(axis=1) - both
        far = 1 - np.where(either > 0, both / np.maximum(either, 1), 1)
        return np.argsort(far, axis=1, kind="stable")[:, :k]
"""


def matrix(n, seed=0, share=0.15):
    """Rows of bool; the first two are empty."""
    values = np.random.default_rng(seed).random((n, DIM)) < share
    values[1:3] = False
    return values


def far(train, test):
    """Jaccard distances of all pairs; two empty sets are at 0."""
    both = test.astype(int) @ train.astype(int).T
    either = test.sum(axis=1)[:, None] + train.sum(axis=1) - both
    return 1 - np.where(either > 0, both / np.maximum(either, 1), 1)


def put(path, train, test, *, dense=False, truth=True, k=20, **attrs):
    """Writes a file as ann-benchmarks does."""
    every = far(train, test)
    every[test.sum(axis=1) == 0] = 1  # there two empty sets are far
    neighbors = np.argsort(every, axis=1, kind="stable")[:, :k]
    with h5py.File(path, "w") as file:
        file.attrs.update({"distance": "jaccard", "type": "dense" if dense else "sparse", **attrs})
        for name, rows in (("train", train), ("test", test)):
            file[name] = rows if dense else np.nonzero(rows)[1]
            if not dense:
                file[f"size_{name}"] = rows.sum(axis=1)
        if truth:
            file["neighbors"] = neighbors
            file["distances"] = np.take_along_axis(every, neighbors, axis=1)
    return path


@pytest.fixture
def set_file(tmp_path):
    """300 sets of some members of 40, some empty; 20 queries, many ties."""
    return put(tmp_path / "some-jaccard.hdf5", matrix(300), matrix(20, 1), dimension=DIM)


class TestSearch:
    @pytest.mark.parametrize("k", [1, 10, 300])
    @pytest.mark.parametrize("share", [0.02, 0.3])
    def test_is_what_comparing_all_gives(self, k, share):
        """Neighbours equal a full comparison, with empty sets; ties go to the smaller row."""
        train, test = matrix(300, 0, share), matrix(30, 1, share)
        every = far(train, test)
        expected = np.argsort(every, axis=1, kind="stable")[:, :k]
        sets, asked = Sets.from_matrix(train), Sets.from_matrix(test)
        ids, distances = exact.knn(sets, asked, k, "jaccard")
        np.testing.assert_array_equal(ids, expected)
        np.testing.assert_allclose(
            distances, np.take_along_axis(every, expected, axis=1), rtol=1e-6
        )
        np.testing.assert_allclose(
            exact.pair_distances(sets, asked, ids, "jaccard"),
            np.take_along_axis(every, ids, axis=1),
            atol=1e-15,
        )


class TestFiles:
    @pytest.mark.parametrize("dense", [True, False])
    def test_of_both_layouts_are_read(self, tmp_path, dense):
        """Rows of bool and runs of members are read."""
        test = matrix(20, 1)
        test[1:3, 5] = True  # a truth of empty queries is not believed
        path = put(tmp_path / "x.hdf5", matrix(300), test, dense=dense, dimension=DIM)
        info = hdf5.validate(path)
        assert (info.dim, info.n_train, info.n_queries) == (DIM, 300, 20)
        data = hdf5.load(path)
        np.testing.assert_array_equal(data.train.csr(DIM).toarray(), matrix(300))
        assert (data.truth_computed, data.train_map, data.n_zero_train) == (False, None, 2)
        np.testing.assert_allclose(
            data.distances, np.sort(far(matrix(300), test), axis=1)[:, :20], rtol=1e-6
        )

    def test_without_order_truth_or_dimension_are_read_as_well(self, tmp_path):
        """Members are sorted and made distinct; the truth of such files is computed anew."""
        path = put(tmp_path / "x.hdf5", matrix(300), matrix(20, 1))
        with h5py.File(path, "r+") as file:
            rows = Sets.from_matrix(matrix(300)).lists()
            rows = [np.concatenate([row[::-1], row[:1]]) for row in rows]
            del file["train"], file["size_train"]
            file["train"] = np.concatenate(rows)
            file["size_train"] = [len(row) for row in rows]
        assert hdf5.validate(path).dim == 1 + np.nonzero(matrix(300))[1].max()
        data = hdf5.load(path)
        np.testing.assert_array_equal(data.train.csr(DIM).toarray(), matrix(300))
        assert data.truth_computed
        expected = np.sort(far(matrix(300), matrix(20, 1)), axis=1)
        np.testing.assert_allclose(data.distances, expected[:, :100], rtol=1e-6)

    def test_with_a_truth_that_repeats_a_row_get_one_of_their_own(self, set_file):
        """A truth that repeats a row (as in ann-benchmarks) is computed anew."""
        with h5py.File(set_file, "r+") as file:
            file["neighbors"][:, 5:] = file["neighbors"][:, 4:5]
            file["distances"][:, 5:] = file["distances"][:, 4:5]
            del file["neighbors"], file["distances"]
            file["neighbors"], file["distances"] = np.zeros((20, 9), int), np.ones((20, 9))
        data = hdf5.load(set_file)
        assert data.truth_computed
        assert len(np.unique(data.neighbors[0])) == 100

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (
                lambda f: f.__delitem__("size_train"),
                "train is one run of numbers, and size_train is",
            ),
            (lambda f: f["size_train"].__setitem__(0, 1000), "size_train adds up to"),
            (lambda f: f["size_test"].__setitem__(0, -1), "size_test adds up to"),
            (lambda f: f["train"].__setitem__(9, 40), "train names 40 in set"),
            (lambda f: f["train"].__setitem__(9, -7), "train names -7 in set"),
            (lambda f: f["distances"].__setitem__((7, 0), 0.123), "but the jaccard distance"),
            (
                lambda f: f.attrs.__setitem__("dimension", "many"),
                "its attribute dimension is 'many'",
            ),
        ],
    )
    def test_that_are_damaged_are_refused(self, set_file, change, message):
        """Damaged files are refused with what does not fit."""
        with h5py.File(set_file, "r+") as file:
            change(file)
        with pytest.raises(DatasetFormatError, match=message):
            hdf5.validate(set_file)

    def test_of_other_numbers_than_0_and_1_are_refused(self, tmp_path):
        """Rows with numbers other than 0 and 1 are refused."""
        values = matrix(300).astype(int)
        values[8, 5] = 3
        path = tmp_path / "x-jaccard.hdf5"
        with h5py.File(path, "w") as file:
            file["train"], file["test"] = values, values[:5]
        with pytest.raises(DatasetFormatError, match=r"train\[8, 5\] is 3; expected 0 or 1"):
            hdf5.validate(path)

    def test_that_are_generated_are_valid_and_not_all_alike(self, tmp_path):
        """Generated sets have near and far pairs."""
        synthetic.generate(tmp_path / "x.hdf5", "jaccard", n_train=1500, n_queries=30)
        info = hdf5.validate(tmp_path / "x.hdf5")
        assert (info.metric, info.dim) == ("jaccard", generated.GENERATED["jaccard"].dim)
        data = hdf5.load(tmp_path / "x.hdf5")
        assert data.distances[:, 0].mean() < 0.9


class TestMembersThatAreHashes:
    """Sets of members up to 2**31: memory does not grow with the largest member."""

    MOST_BYTES = 2**24

    @pytest.fixture
    def sets(self):
        """The usual sets, with members spread over a large range."""
        places = np.sort(np.random.default_rng(0).choice(2**31 - 2, DIM, replace=False))
        dense = matrix(300), matrix(20, 1)
        return dense, [Sets.of(places[np.flatnonzero(row)] for row in part) for part in dense]

    def used(self, work):
        """A function's result, and the most bytes that it held at once."""
        tracemalloc.start()
        try:
            return work(), tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    def test_have_their_truth(self, sets):
        (train, test), (kept, asked) = sets
        (ids, distances), n_bytes = self.used(lambda: exact.knn(kept, asked, 20, "jaccard"))
        assert n_bytes < self.MOST_BYTES
        np.testing.assert_allclose(distances, np.sort(far(train, test), axis=1)[:, :20], rtol=1e-6)
        again, n_bytes = self.used(lambda: exact.pair_distances(kept, asked, ids, "jaccard"))
        assert n_bytes < self.MOST_BYTES
        np.testing.assert_allclose(again, np.take_along_axis(far(train, test), ids, axis=1))

    def test_have_a_profile(self, sets):
        """Columns that are equal in all rows are counted."""
        (train, _), (kept, _) = sets
        (n_constant, lengths), n_bytes = self.used(lambda: LAYOUTS["sets"].profile(kept, 2**31 - 2))
        assert n_bytes < self.MOST_BYTES
        assert n_constant == 2**31 - 2 - DIM + int((~train.any(axis=0)).sum())
        np.testing.assert_array_equal(lengths, train.sum(axis=1))

    def test_are_searched_by_the_built_in(self, sets):
        """bruteforce searches them."""
        (train, test), (kept, asked) = sets
        index = BruteForce("jaccard")
        _, n_bytes = self.used(lambda: index.fit(kept.lists()))
        assert n_bytes < self.MOST_BYTES
        ids = np.array([index.query(query, 20) for query in asked.lists()])
        every = far(train, test)
        found = np.sort(np.take_along_axis(every, ids, axis=1), axis=1)
        np.testing.assert_allclose(found, np.sort(every, axis=1)[:, :20])


class TestRecall:
    def test_counts_ties_as_numpy_does(self, set_file):
        """More than three in ten queries have a tie across the k-th place."""
        data, k = hdf5.load(set_file), 10
        every = far(matrix(300), matrix(20, 1))
        ranked = np.sort(every, axis=1)
        assert (ranked[:, k - 1] == ranked[:, k]).mean() > 0.3
        ids = np.stack([np.lexsort((-np.arange(300), row))[: k + 2] for row in every])[:, 2:]
        got = scoring.recall_of(data, ids, k)
        found, kth = np.take_along_axis(every, ids, axis=1), ranked[:, k - 1 : k]
        assert got.by_distance == pytest.approx((found <= kth).mean(), abs=1e-12)
        # By their rule an empty query is at distance 1 from everything.
        empty = matrix(20, 1).sum(axis=1) == 0
        assert empty.any()
        near = (found <= kth + 1e-3) | empty[:, None]
        assert got.ann_benchmarks == pytest.approx(near.mean(), abs=1e-12)
        assert got.by_ids < got.by_distance < 1
        alone = scoring.recall_of(data, np.full((20, 1), 7), 1)
        assert alone.ann_benchmarks - alone.by_distance >= empty.mean()


class TestJobs:
    @pytest.mark.parametrize(("text", "dtypes"), [(LISTS, ()), (CSR, ("packed", "csr"))])
    @pytest.mark.parametrize("trusted", [True, False])
    def test_get_sets_as_they_ask_for_them(self, set_file, tmp_path, text, dtypes, trusted):
        """Implementations get their form of sets, by both clocks and in batches."""
        source = write(tmp_path / "mine.py", text)
        job = make_job(
            set_file, source, implementation={"trusted": trusted, "dtypes": dtypes},
            clock="worker" if trusted else "parent", fresh_seed=None if trusted else 4,
        )  # fmt: skip
        outcome = measured(run_job(job, set_file)[0])
        assert (outcome.recall, outcome.batch_recall, outcome.dim) == (1.0, 1.0, DIM)

    def test_in_two_halves_are_what_they_are_in_one(self, set_file, tmp_path):
        """A job on sets in two halves gives the same scores."""
        source = write(tmp_path / "mine.py", LISTS)
        job = make_job(
            set_file, source, implementation={"trusted": False}, clock="parent", fresh_seed=4
        )
        data = training_data.load(job, set_file, None)
        rows = hdf5.load(set_file).train
        laid = data.layout.to_memory(rows)
        laid.tofile(tmp_path / "train.rows")
        published = {"train": "train.rows", "n_rows": len(rows), "n_bytes": laid.nbytes}
        asked = questions.Questions.unpack(questions.questions(job, data, **published).pack())
        vectors = asked.vectors(tmp_path / "train.rows")
        assert (
            data.layout.to_memory(vectors.train).tobytes()
            == data.layout.to_memory(data.train).tobytes()
        )
        answers = halves.answer(
            questions.without_secret(job), vectors, compare=compare, on_phase=lambda _text: None
        )
        assert measured(halves.score(job, data, answers)[0]).recall == 1.0


def test_fresh_queries_are_about_half_as_far_as_a_neighbour(tmp_path):
    """A fresh query is about half as far as a neighbour; its truth is exact."""
    train = np.random.default_rng(0).random((400, DIM)) < 0.5
    data = hdf5.load(put(tmp_path / "x.hdf5", train, train[:9], truth=False, dimension=DIM))
    fresh = fresh_queries.freshen(data, n_queries=40, seed=3)
    held = data.train[np.random.default_rng(3).permutation(400)[:40]]
    tenth = exact.knn(fresh.train, held, 10, "jaccard")[1][:, -1]
    moved = exact.pair_distances(held, fresh.test, np.arange(40)[:, None], "jaccard")[:, 0]
    assert 0.3 < np.median(moved / tenth) < 0.7
    ids, _ = exact.knn(fresh.train, fresh.test, 20, "jaccard")
    np.testing.assert_array_equal(fresh.neighbors[:, :20], ids)
