"""Bits: read, counted, scored with many ties, and drawn as fresh queries."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
from jobs import failed, make_job, measured, write

from pytest_annmodal.comparison.compare import compare
from pytest_annmodal.datasets import generated, hdf5, synthetic
from pytest_annmodal.distances import bits, exact
from pytest_annmodal.errors import DatasetFormatError
from pytest_annmodal.execution import run_job
from pytest_annmodal.jobs import fresh_queries, training_data
from pytest_annmodal.jobs.halves import halves, questions
from pytest_annmodal.scoring import scoring

EXACT = """
import numpy as np
class Index:
    def fit(self, X):
        assert X.dtype == %(dtype)s and X.shape[1] == %(width)d, (X.dtype, X.shape)
        self.X = np.array(X)
        X[0] ^= X[1]  # its own to write to
    def query(self, v, k):
        different = self.X ^ v
        if v.dtype == np.uint8:
            different = np.unpackbits(different, axis=1)
        return np.argsort(different.sum(axis=1), kind="stable")[:k]
    def batch_query(self, Q, k):
        return [self.query(v, k) for v in Q]
"""
BOOL = EXACT % {"dtype": "np.bool_", "width": 13}
PACKED = EXACT % {"dtype": "np.uint8", "width": 2}


def ones(n, d, seed=0):
    return np.random.default_rng(seed).integers(0, 2, (n, d), dtype=np.uint8)


def far(train, test):
    """Numbers of differing bits of all pairs, from one value per bit."""
    return (test[:, None] != train).sum(axis=2)


def put(path, train, test, *, share=True, **attrs):
    """Writes a file as ann-benchmarks does, with the truth."""
    every = far(train != 0, test != 0)
    neighbors = np.argsort(every, axis=1, kind="stable")[:, :20]
    distances = np.take_along_axis(every, neighbors, axis=1) / (train.shape[1] if share else 1)
    with h5py.File(path, "w") as file:
        file.attrs.update({"distance": "hamming", "point_type": "bit", **attrs})
        file["train"], file["test"] = attrs.get("train", train), attrs.get("test", test)
        file["neighbors"], file["distances"] = neighbors, distances
    return path


@pytest.fixture
def bit_file(tmp_path):
    """300 rows of 13 bits: 20 queries, many ties."""
    path = tmp_path / "some-13-hamming.hdf5"
    return put(path, ones(300, 13) == 1, ones(20, 13, 1) == 1)


class TestSearch:
    @pytest.mark.parametrize("dim", [1, 7, 8, 13, 64, 100, 250, 256, 300, 1000])
    @pytest.mark.parametrize("k", [1, 10, 200])
    def test_is_what_counting_all_gives(self, dim, k):
        """Neighbours equal a full count, for any width; ties go to the smaller row."""
        train, test = ones(2500, dim), ones(9, dim, 1)
        every = far(train, test)
        expected = np.argsort(every, axis=1, kind="stable")[:, :k]
        ids, distances = exact.knn(
            np.packbits(train, axis=1), np.packbits(test, axis=1), k, "hamming"
        )
        np.testing.assert_array_equal(ids, expected)
        np.testing.assert_array_equal(distances, np.take_along_axis(every, expected, axis=1))

    def test_keeps_the_nearest_through_many_tiles(self, monkeypatch):
        """Many tiles give the same neighbours, also for equal rows and for rows sorted from far to near."""
        monkeypatch.setattr(bits, "TILE_BYTES", 1)
        monkeypatch.setattr(bits, "MERGE_AT", 10)
        train = np.sort(ones(5000, 8), axis=1)[::-1]
        train[3000:] = 1
        test = np.ones((2, 8), np.uint8)
        order = np.argsort(far(train, test), axis=1, kind="stable")[:, :2500]
        ids, _ = exact.knn(np.packbits(train, axis=1), np.packbits(test, axis=1), 2500, "hamming")
        np.testing.assert_array_equal(ids, order)

    @pytest.mark.parametrize("dtype", [np.uint8, np.uint64])
    def test_without_numpy_2_counts_the_same(self, dtype):
        """The table for numpy 1 counts the same, also into a given array."""
        words = np.random.default_rng(0).integers(0, 255, (3, 40)).astype(np.uint8).view(dtype)
        expected = np.unpackbits(words.view(np.uint8)).reshape(*words.shape, -1).sum(axis=-1)
        np.testing.assert_array_equal(bits.counts_by_table(words), expected)
        out = np.empty(words.shape, np.uint8)
        bits.counts_by_table(words, out=out)
        np.testing.assert_array_equal(out, expected)


class TestFiles:
    @pytest.mark.parametrize("dtype", ["bool", "u1", "i8", "f4"])
    @pytest.mark.parametrize("share", [True, False])
    def test_of_a_value_for_each_bit_are_packed_once(self, tmp_path, dtype, share):
        """Files with one value per bit are packed, with distances as counts or shares."""
        train, test = ones(300, 13), ones(20, 13, 1)
        path = put(tmp_path / "x.hdf5", train.astype(dtype), test.astype(dtype), share=share)
        assert hdf5.validate(path).dim == 13
        loaded = hdf5.load(path)
        np.testing.assert_array_equal(loaded.train, np.packbits(train, axis=1))
        np.testing.assert_array_equal(loaded.test, np.packbits(test, axis=1))
        assert (loaded.truth_computed, loaded.train_map) == (False, None)
        expected = np.sort(far(train, test), axis=1)[:, :20]
        np.testing.assert_array_equal(loaded.distances, expected)

    @pytest.mark.parametrize("dim", [12, 13, 16])
    def test_of_packed_bits_are_mapped(self, tmp_path, dim):
        """Packed bits are mapped, with an attribute for the width, or as VIBE has them."""
        train, test = ones(300, dim), ones(20, dim, 1)
        path = tmp_path / "x.hdf5"
        hdf5.write(
            path, train=np.packbits(train, axis=1), test=np.packbits(test, axis=1),
            neighbors=None, distances=None, metric="hamming", dim=dim,
        )  # fmt: skip
        assert hdf5.validate(path).dim == dim
        loaded = hdf5.load(path)
        assert loaded.train_map is not None
        np.testing.assert_array_equal(loaded.neighbors[:, 0], far(train, test).argmin(axis=1))
        with h5py.File(path, "r+") as file:
            del file.attrs["bits"], file.attrs["dimension"]
        assert hdf5.validate(path).dim == 16

    def test_a_subset_is_drawn_from_them(self, bit_file):
        """A subset has its own truth, for both kinds of files."""
        loaded = hdf5.load(bit_file, subset=50, n_queries=5)
        train = np.unpackbits(loaded.train, axis=1, count=13)
        test = np.unpackbits(loaded.test, axis=1, count=13)
        np.testing.assert_array_equal(loaded.neighbors[:, 0], far(train, test).argmin(axis=1))

    def test_that_hold_something_else_are_refused(self, tmp_path):
        """Other numbers, bits beyond the last or a wrong width are refused."""
        train, test = ones(300, 13), ones(20, 13, 1)
        other = train.astype("f4")
        other[7, 3] = 0.5
        put(path := tmp_path / "a.hdf5", other, test)
        with pytest.raises(DatasetFormatError, match=r"train\[7, 3\] is 0.5; expected 0 or 1"):
            hdf5.validate(path)
        packed = np.packbits(train, axis=1)
        packed[9, 1] |= 1
        truth = {"neighbors": None, "distances": None, "metric": "hamming"}
        hdf5.write(path, train=packed, test=packed, dim=13, **truth)
        with pytest.raises(DatasetFormatError, match="bits beyond its 13 in row 9"):
            hdf5.validate(path)
        hdf5.write(path, train=packed, test=packed, dim=17, **truth)
        with pytest.raises(DatasetFormatError, match="bits says 17, and train has 2 bytes a row"):
            hdf5.validate(path)

    def test_with_a_wrong_truth_are_refused(self, tmp_path, bit_file):
        """A distance that is off by one bit is refused."""
        with h5py.File(bit_file, "r+") as file:
            file["distances"][:, -1] += 1 / 13
        with pytest.raises(DatasetFormatError, match="but the hamming distance to the row"):
            hdf5.validate(bit_file)

    def test_that_are_generated_are_valid(self, tmp_path):
        """Generated bits with a partial last byte, clusters and ties are valid."""
        row = generated.GENERATED["hamming"]
        synthetic.generate(tmp_path / "x.hdf5", "hamming", n_train=1000, n_queries=50)
        info = hdf5.validate(tmp_path / "x.hdf5")
        assert (info.metric, info.dim) == ("hamming", row.dim)
        loaded = hdf5.load(tmp_path / "x.hdf5")
        assert loaded.distances[:, 0].mean() < 0.3 * row.dim < 0.5 * row.dim


class TestRecall:
    def test_counts_ties_as_numpy_does(self, bit_file):
        """Recall counts ties as numpy does; three in ten queries have one at place k."""
        data, k = hdf5.load(bit_file), 10
        every = far(
            np.unpackbits(data.train, axis=1, count=13), np.unpackbits(data.test, axis=1, count=13)
        )
        ranked = np.sort(every, axis=1)
        assert (ranked[:, k - 1] == ranked[:, k]).mean() > 0.3
        rng = np.random.default_rng(5)
        # The largest number among equally near ones, with some answers spoilt.
        ids = np.stack([np.lexsort((-np.arange(300), row))[:k] for row in every])
        ids[rng.random(ids.shape) < 0.2] = -1
        for row in ids:
            spare = np.setdiff1d(np.arange(300), row)
            row[row < 0] = rng.choice(spare, (row < 0).sum(), replace=False)
        got = scoring.recall_of(data, ids, k)
        found = np.take_along_axis(every, ids, axis=1)
        kth = ranked[:, k - 1 : k]
        assert got.by_distance == pytest.approx((found <= kth).mean(), abs=1e-12)
        assert got.ann_benchmarks == pytest.approx(
            (found / 13 <= kth / 13 + 1e-3).mean(), abs=1e-12
        )
        assert got.by_ids < got.by_distance < 1


class TestJobs:
    @pytest.mark.parametrize(
        ("text", "dtypes"), [(BOOL, ()), (PACKED, ("packed",)), (PACKED, ("uint8", "packed"))]
    )
    @pytest.mark.parametrize("trusted", [True, False])
    def test_get_bits_as_they_ask_for_them(self, bit_file, tmp_path, text, dtypes, trusted):
        """Implementations get their form of bits, by both clocks and in batches."""
        source = write(tmp_path / "mine.py", text)
        job = make_job(
            bit_file, source, implementation={"trusted": trusted, "dtypes": dtypes},
            clock="worker" if trusted else "parent", fresh_seed=None if trusted else 4,
        )  # fmt: skip
        outcome = measured(run_job(job, bit_file)[0])
        assert (outcome.recall, outcome.batch_recall, outcome.dim) == (1.0, 1.0, 13)

    def test_of_floats_alone_are_not_measured(self, bit_file, tmp_path):
        """An implementation that does not name hamming is not measured on bits."""
        source = write(tmp_path / "mine.py", BOOL)
        job = make_job(bit_file, source, implementation={"metrics": ("euclidean",)})
        assert failed(run_job(job, bit_file)[0]).kind == "metric"

    def test_in_two_halves_are_what_they_are_in_one(self, bit_file, tmp_path):
        """A job on bits in two halves gives the same scores."""
        source = write(tmp_path / "mine.py", PACKED)
        job = make_job(
            bit_file, source, implementation={"trusted": False, "dtypes": ("packed",)},
            clock="parent", fresh_seed=4,
        )  # fmt: skip
        data = training_data.load(job, bit_file, None)
        rows = hdf5.load(bit_file).train
        rows.tofile(tmp_path / "train.rows")
        published = {"train": "train.rows", "n_rows": len(rows), "n_bytes": rows.nbytes}
        asked = questions.Questions.unpack(questions.questions(job, data, **published).pack())
        vectors = asked.vectors(tmp_path / "train.rows")
        np.testing.assert_array_equal(vectors.train, data.train)
        answers = halves.answer(
            questions.without_secret(job), vectors, compare=compare, on_phase=lambda _text: None
        )
        assert measured(halves.score(job, data, answers)[0]).recall == 1.0


def test_fresh_queries_turn_half_as_many_bits_as_a_neighbour_has(bit_file):
    """A fresh query flips half as many bits as its neighbour differs in, none beyond the last."""
    data = hdf5.load(bit_file)
    fresh = fresh_queries.freshen(data, n_queries=30, seed=3)
    held = data.train[np.random.default_rng(3).permutation(300)[:30]]
    tenth = exact.knn(fresh.train, held, 10, "hamming")[1][:, -1]
    turned = np.bitwise_xor(fresh.test, held)
    np.testing.assert_array_equal(np.unpackbits(turned, axis=1).sum(axis=1), np.rint(tenth / 2))
    assert not (turned[:, 1] & 0b111).any()
    ids, _ = exact.knn(fresh.train, fresh.test, 20, "hamming")
    np.testing.assert_array_equal(fresh.neighbors, ids)
