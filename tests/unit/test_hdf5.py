"""Dataset files: what is accepted, refused and loaded, and the messages."""

from __future__ import annotations

import os

import h5py
import numpy as np
import pytest

from pytest_annmodal.datasets import composition, hdf5
from pytest_annmodal.datasets.hdf5 import loading, stored_rows
from pytest_annmodal.distances import exact, rows
from pytest_annmodal.errors import DatasetError, DatasetFormatError


def arrays(path):
    with h5py.File(path) as container:
        return {name: container[name][:] for name in container}


def change(path, name, index, value):
    with h5py.File(path, "r+") as container:
        container[name][index] = value


def replace(path, name, values, **options):
    with h5py.File(path, "r+") as container:
        if name in container:
            del container[name]
        if values is not None:
            container.create_dataset(name, data=values, **options)


def refused(path, *words):
    with pytest.raises(DatasetFormatError) as caught:
        hdf5.validate(path)
    message = str(caught.value)
    assert str(path) in message
    for word in words:
        assert word in message


@pytest.mark.parametrize("metric", ["euclidean", "angular", "dot"])
def test_a_good_file_is_accepted_and_described(small_dataset, metric):
    path = small_dataset(metric=metric)
    info = hdf5.validate(path)
    assert info == hdf5.inspect(path)
    assert (info.metric, info.dim, info.n_train, info.n_queries) == (metric, 8, 300, 20)
    assert (info.k_truth, info.contiguous, info.dtype) == (10, True, "<f4")


@pytest.mark.parametrize(
    ("word", "metric"),
    [
        (np.bytes_("cosine"), "angular"),
        ("normalized", "angular"),
        ("ip", "dot"),
        ("Inner Product ", "dot"),
        (np.array([b"inner_product"]), "dot"),
    ],
)
def test_other_words_for_a_metric_are_understood(small_dataset, word, metric):
    """In any spelling, as text, bytes or an array of one."""
    path = small_dataset(metric=metric)
    with h5py.File(path, "r+") as container:
        container.attrs["distance"] = word
    assert hdf5.validate(path).metric == metric


def test_without_the_attribute_the_file_name_says_the_metric(small_dataset):
    path = small_dataset(name="mine-8-angular", metric="angular")
    with h5py.File(path, "r+") as container:
        del container.attrs["distance"]
    assert hdf5.validate(path).metric == "angular"


def test_without_attribute_and_name_the_metric_is_asked_for(small_dataset):
    path = small_dataset(name="mine")
    with h5py.File(path, "r+") as container:
        del container.attrs["distance"]
    refused(path, "its metric is unknown", "Set the attribute distance", "NAME-euclidean.hdf5")


@pytest.mark.parametrize("word", ["haversine", "hellinger"])
def test_a_metric_that_nothing_serves_is_named(small_dataset, word):
    path = small_dataset()
    with h5py.File(path, "r+") as container:
        container.attrs["distance"] = word
    refused(path, f"metric '{word}' is not supported")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DatasetError, match=r"gone\.hdf5: there is no such file"):
        hdf5.validate(tmp_path / "gone.hdf5")


def test_a_directory_is_refused(tmp_path):
    refused(tmp_path, "it is a directory")


@pytest.mark.parametrize("content", [b"", b"<!DOCTYPE html><html>", b"\0" * 5000])
def test_a_file_that_is_not_hdf5_is_refused(tmp_path, content):
    path = tmp_path / "x-euclidean.hdf5"
    path.write_bytes(content)
    refused(path, "not an HDF5 file", f"{len(content):,} bytes")


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_a_truncated_file_is_refused(small_dataset, share):
    path = small_dataset()
    os.truncate(path, int(path.stat().st_size * share))
    refused(path, "truncated or damaged")


def test_a_damaged_chunk_is_refused(small_dataset):
    path = small_dataset()
    train = arrays(path)["train"]
    replace(path, "train", train, chunks=(50, 8), compression="gzip", fletcher32=True)
    with h5py.File(path) as container:
        offset = container["train"].id.get_chunk_info(2).byte_offset
    with path.open("r+b") as stream:
        stream.seek(offset)
        stream.write(b"\xff" * 40)
    refused(path, "damaged or cut off")


@pytest.mark.parametrize("name", ["train", "test", "neighbors", "distances"])
def test_a_missing_array_is_named(small_dataset, name):
    path = small_dataset()
    replace(path, name, None)
    refused(path, f"it lacks {name}")


def test_a_group_is_no_array(small_dataset):
    path = small_dataset()
    with h5py.File(path, "r+") as container:
        del container["train"]
        container.create_group("train")
    refused(path, "it lacks train")


@pytest.mark.parametrize("name", ["train", "test"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite_are_found_with_their_row(small_dataset, name, value):
    path = small_dataset()
    change(path, name, (17, 3), value)
    refused(path, f"{name} has NaN, infinity or a number beyond float32 in row 17")


def test_large_finite_numbers_are_not_taken_for_infinity(small_dataset):
    path = small_dataset(train=np.full((300, 8), 3e38, np.float32), neighbors=None, distances=None)
    hdf5.validate(path)


@pytest.mark.parametrize("name", ["train", "test"])
@pytest.mark.parametrize("dtype", ["bool", "complex64", "S3"])
def test_vectors_that_are_no_numbers_are_refused(small_dataset, name, dtype):
    path = small_dataset()
    replace(path, name, arrays(path)[name].astype(dtype))
    refused(path, f"{name} holds", "expected floats or integers")


def test_numbers_beyond_float32_are_refused(small_dataset):
    """Numbers beyond float32 are refused, since they would be infinite in every distance."""
    path = small_dataset(neighbors=None, distances=None)
    replace(path, "train", arrays(path)["train"].astype(np.float64) * 1e300)
    refused(path, "train has NaN, infinity or a number beyond float32 in row 0")


@pytest.mark.parametrize(
    ("name", "shape", "words"),
    [
        ("train", (0, 8), "at least one row"),
        ("test", (0, 8), "at least one row"),
        ("train", (300, 0), "at least one row and one column"),
        ("train", (2400,), "two dimensions"),
        ("test", (20, 9), "expected the same number"),
        ("neighbors", (19, 10), "a row for each of the 20 queries"),
        ("distances", (20, 9), "a row for each of the 20 queries"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(small_dataset, name, shape, words):
    path = small_dataset()
    replace(path, name, np.zeros(shape, arrays(path)[name].dtype))
    refused(path, words)


def test_ids_that_are_no_integers_are_refused(small_dataset):
    path = small_dataset()
    replace(path, "neighbors", np.zeros((20, 10), np.float32))
    refused(path, "neighbors holds float32; expected integers")


def test_distances_that_are_no_floats_are_refused(small_dataset):
    path = small_dataset()
    replace(path, "distances", np.zeros((20, 10), np.int64))
    refused(path, "distances holds int64")


@pytest.mark.parametrize("value", [-1, 300])
def test_ids_out_of_range_are_found(small_dataset, value):
    path = small_dataset()
    change(path, "neighbors", (4, 2), value)
    refused(path, f"neighbors[4, 2] is {value}", "0 to 299")


def test_distances_that_fall_are_found(small_dataset):
    path = small_dataset()
    replace(path, "distances", arrays(path)["distances"][:, ::-1].copy())
    refused(path, "not ascending in row 0")


def test_distances_that_are_not_finite_are_found(small_dataset):
    path = small_dataset()
    change(path, "distances", (5, 9), np.nan)
    refused(path, "distances has NaN or infinity in row 5")


def vectors(n, scale):
    return (np.random.default_rng(n).standard_normal((n, 8)) * scale).astype(np.float32)


@pytest.mark.parametrize("scale", [1e-21, 1e-15, 1e-7, 1e-4, 1, 1e15])
@pytest.mark.parametrize("metric", ["euclidean", "angular", "dot"])
def test_what_a_truth_may_be_off_by_follows_the_sizes_of_the_vectors(small_dataset, metric, scale):
    """The tolerance of distances follows the vectors' sizes: an error of 1 % is refused in any unit."""
    path = small_dataset(metric=metric, train=vectors(300, scale), test=vectors(20, scale))
    hdf5.validate(path)
    if metric == "dot" and scale < 1e-20:
        return  # such products have no digits left in float32
    stored = arrays(path)["distances"]
    change(path, "distances", slice(None), stored + 0.01 * np.abs(stored).max())
    refused(path, "distances[0, 0] is")


@pytest.mark.parametrize("scale", [1e-15, 1e-7, 1, 1e15])
@pytest.mark.parametrize("metric", ["euclidean", "angular", "dot"])
def test_a_truth_that_is_not_the_nearest_is_found(small_dataset, metric, scale):
    """A truth of the first half of train is refused, although its distances fit its ids."""
    path = small_dataset(metric=metric, train=vectors(300, scale), test=vectors(20, scale))
    stored = arrays(path)
    ids, distances = exact.knn(stored["train"][:150], stored["test"], 10, metric)
    replace(path, "neighbors", ids)
    replace(path, "distances", distances)
    refused(path, "rows of train are nearer to test[", "expected the exact nearest")


@pytest.mark.parametrize("rank", [0, 4, 9])
@pytest.mark.parametrize("metric", ["euclidean", "angular", "dot"])
def test_one_wrong_id_of_nearly_equal_distance_is_found(small_dataset, metric, rank):
    """One wrong id is found at any rank of a checked query, although its distance is right."""
    train, test = vectors(300, 1), vectors(40, 1)
    ids, distances = exact.knn(train, test, 11, metric)
    for row in (7, 39):
        kept = [column for column in range(11) if column != rank]  # so the eleventh moves in
        path = small_dataset(
            metric=metric,
            train=train,
            test=test,
            neighbors=np.vstack((ids[:row, :10], ids[row : row + 1, kept], ids[row + 1 :, :10])),
            distances=np.vstack(
                (distances[:row, :10], distances[row : row + 1, kept], distances[row + 1 :, :10])
            ),
        )
        refused(path, f"nearer to test[{row}] than its neighbor number {rank + 1}")


def test_ids_that_float32_cannot_tell_apart_are_accepted(small_dataset):
    """Published truths in the order of rounded products are accepted."""
    rng = np.random.default_rng(0)
    train, test = (rng.random((n, 8), np.float32) + 10 for n in (3000, 40))
    squares = [(part**2).sum(1) for part in (test, train)]
    found = squares[0][:, None] + squares[1] - 2 * (test @ train.T)
    ids = np.argsort(found, axis=1)[:, :10]
    exactly = exact.pair_distances(train, test, ids, "euclidean")
    assert (np.diff(exactly, axis=1) < 0).any()
    distances = np.sqrt(np.take_along_axis(found, ids, 1))
    hdf5.validate(small_dataset(train=train, test=test, neighbors=ids, distances=distances))


@pytest.mark.parametrize("name", ["train", "test"])
@pytest.mark.parametrize("truth", [{}, {"neighbors": None, "distances": None}])
@pytest.mark.parametrize("metric", ["euclidean", "angular", "dot"])
def test_nothing_but_zeros_is_refused(small_dataset, name, truth, metric):
    """A train of only zeros is refused: its writer failed."""
    zeros = np.zeros((60, 8), np.float32)
    refused(small_dataset(metric=metric, **{name: zeros}, **truth), f"{name} holds only zeros")


def test_arrays_in_another_file_are_refused(small_dataset, tmp_path):
    """Arrays in another file are refused, since the stamp stands for one file."""
    path = small_dataset()
    train = arrays(path)["train"]
    with h5py.File(tmp_path / "source.h5", "w") as container:
        container["vectors"] = train
    with h5py.File(path, "r+") as container:
        del container["train"]
        container["train"] = h5py.ExternalLink("source.h5", "vectors")
    refused(path, "train is a link into another file (source.h5)", "into one file")
    with h5py.File(path, "r+") as container:
        del container["train"]
        container["train"] = h5py.SoftLink("/gone")
    refused(path, "lacks train", "train (a link that leads nowhere)")


def test_truth_for_another_train_set_is_found(small_dataset):
    path = small_dataset()
    replace(path, "train", arrays(path)["train"][::-1].copy())
    refused(path, "distances[0, 0] is", "euclidean distance to the row of train")


@pytest.mark.parametrize(
    ("metric", "spoil", "words"),
    [
        ("euclidean", np.square, "squares of distances; expected plain L2"),
        ("dot", lambda d: -d[:, ::-1], "distances[0, 0]"),
        ("angular", lambda d: np.arccos(1 - d), "angles; expected 1 - cosine"),
    ],
)
def test_distances_by_another_convention_are_refused(small_dataset, metric, spoil, words):
    path = small_dataset(metric=metric)
    replace(path, "distances", np.ascontiguousarray(spoil(arrays(path)["distances"])))
    refused(path, words)


def test_rounding_of_published_truths_is_tolerated(small_dataset):
    path = small_dataset(train=100 + np.random.default_rng(0).random((300, 8), np.float32))
    stored = arrays(path)
    squares = [(stored[name].astype(np.float32) ** 2).sum(1) for name in ("train", "test")]
    cross = stored["test"] @ stored["train"].T
    everything = np.sqrt(np.abs(squares[1][:, None] + squares[0] - 2 * cross))
    near = np.take_along_axis(everything, stored["neighbors"].astype(int), 1)
    replace(path, "distances", near)
    hdf5.validate(path)


def test_a_zero_query_may_have_any_angular_truth_and_loads_at_distance_one(small_dataset):
    path = small_dataset(metric="angular")
    change(path, "test", 3, 0.0)
    change(path, "distances", 3, np.nan)
    hdf5.validate(path)
    loaded = hdf5.load(path)
    assert (loaded.distances[3] == 1).all()
    assert loaded.n_zero_test == 1


def test_a_file_without_truth_gets_it_computed(small_dataset, tmp_path):
    path = small_dataset(neighbors=None, distances=None)
    assert hdf5.validate(path).k_truth == 0
    loaded = hdf5.load(path, truth_cache=tmp_path / "cache")
    ids, distances = exact.knn(loaded.train, loaded.test, 100, "euclidean")
    assert loaded.truth_computed
    assert loaded.info.k_truth == 100
    np.testing.assert_array_equal(loaded.neighbors, ids)
    np.testing.assert_array_equal(loaded.distances, distances)


def test_a_contiguous_file_is_mapped_and_writing_does_not_reach_it(small_dataset):
    path = small_dataset()
    before = path.read_bytes()
    loaded = hdf5.load(path)
    assert type(loaded.train) is np.ndarray
    assert loaded.train.flags.c_contiguous
    loaded.train[:] = 0
    assert path.read_bytes() == before
    where = loaded.train_map
    again = np.memmap(where.path, where.dtype, "r", where.offset, where.shape)
    np.testing.assert_array_equal(again, arrays(path)["train"])


def test_a_map_counts_from_the_beginning_of_a_file_with_a_user_block(tmp_path):
    path = tmp_path / "u-2-euclidean.hdf5"
    train = np.arange(20, dtype=np.float32).reshape(10, 2)
    with h5py.File(path, "w", userblock_size=1024) as container:
        container["train"], container["test"] = train, train[:3]
    np.testing.assert_array_equal(hdf5.load(path).train, train)


@pytest.mark.parametrize("options", [{"chunks": (50, 8)}, {"compression": "gzip"}])
def test_a_chunked_file_is_read_once(small_dataset, options):
    path = small_dataset()
    train = arrays(path)["train"]
    replace(path, "train", train, **options)
    assert not hdf5.validate(path).contiguous
    loaded = hdf5.load(path)
    assert loaded.train_map is None
    np.testing.assert_array_equal(loaded.train, train)


@pytest.mark.parametrize("dtype", ["<f8", ">f4", "f2", "u1", "i1", ">i4", "<u2"])
def test_other_numbers_are_converted(small_dataset, dtype):
    """Other number types become float32, also bytes if only train or only test holds them."""
    rng = np.random.default_rng(0)
    train = rng.integers(0, 100, (300, 8)).astype(np.float32)
    path = small_dataset(train=train)
    replace(path, "train", train.astype(dtype))
    hdf5.validate(path)
    loaded = hdf5.load(path)
    assert (loaded.train.dtype, loaded.train_map) == (np.float32, None)
    np.testing.assert_array_equal(loaded.train, train)


@pytest.mark.parametrize("dtype", ["uint8", "int8"])
@pytest.mark.parametrize("metric", ["euclidean", "angular", "dot", "manhattan"])
def test_bytes_are_kept_as_they_are_and_their_truth_is_exact(small_dataset, dtype, metric):
    """Bytes are mapped unchanged, and their truth is that of the integers."""
    rng = np.random.default_rng(0)
    train, test = (rng.integers(-9, 9, (n, 5)).astype(dtype) for n in (300, 20))
    path = small_dataset(train=train, test=test, metric=metric, neighbors=None, distances=None)
    assert hdf5.validate(path).kept_as == dtype
    loaded = hdf5.load(path)
    assert (loaded.train.dtype, loaded.test.dtype) == (train.dtype, test.dtype)
    assert (loaded.train_map.dtype, loaded.train_map.shape) == (dtype, (300, 5))
    np.testing.assert_array_equal(loaded.train, train)
    wide, queries = train.astype(np.int64), test.astype(np.int64)
    far = {
        "euclidean": ((queries[:, None] - wide) ** 2).sum(axis=2),
        "manhattan": np.abs(queries[:, None] - wide).sum(axis=2),
        "dot": -(queries @ wide.T),
        "angular": -(queries @ wide.T) / np.maximum(1, np.linalg.norm(wide, axis=1)),
    }[metric]
    found = np.take_along_axis(far, loaded.neighbors, axis=1)
    np.testing.assert_allclose(found, np.sort(far, axis=1)[:, :100], atol=1e-9)
    assert loaded.layout.form(["uint8"], loaded.train) == (
        "uint8" if dtype == "uint8" else "float32"
    )


def test_a_subset_has_its_own_truth(small_dataset):
    path = small_dataset()
    loaded = hdf5.load(path, subset=40, n_queries=5)
    stored = arrays(path)
    rows, queries = loading.sampled_rows(300, 40), loading.sampled_rows(20, 5)
    np.testing.assert_array_equal(loaded.train, stored["train"][rows])
    np.testing.assert_array_equal(loaded.test, stored["test"][queries])
    ids, distances = exact.knn(loaded.train, loaded.test, 40, "euclidean")
    assert (loaded.info.n_train, loaded.info.n_queries, loaded.info.k_truth) == (40, 5, 40)
    assert (loaded.info.sampled_from, loaded.train_map) == (300, None)
    np.testing.assert_array_equal(loaded.neighbors, ids)
    np.testing.assert_array_equal(loaded.distances, distances)


@pytest.mark.parametrize("stored", ["<f4", "<f8"])
def test_a_subset_of_a_sorted_file_has_all_its_classes(tmp_path, monkeypatch, stored):
    """A subset of a file sorted by class has a tenth of each class, in the file's order."""
    monkeypatch.setattr(stored_rows, "CHUNK_BYTES", 1000)
    classes = np.repeat(np.arange(10), 200)
    path = tmp_path / "sorted-2-euclidean.hdf5"
    train = np.column_stack([classes, np.arange(2000)]).astype(stored)
    hdf5.write(path, train=train, test=train, neighbors=None, distances=None, metric="euclidean")
    loaded = hdf5.load(path, subset=500, n_queries=500)
    assert loaded.train.dtype == np.float32
    assert np.bincount(loaded.train[:, 0].astype(int)).min() > 30
    assert np.bincount(loaded.test[:, 0].astype(int)).min() > 30
    assert (np.diff(loaded.train[:, 1]) > 0).all()
    np.testing.assert_array_equal(loaded.train, hdf5.load(path, subset=500).train)


def test_more_neighbours_than_the_file_has_are_computed(small_dataset, tmp_path):
    """Missing neighbours are computed, whether the file has fewer or none."""
    path = small_dataset()
    for with_truth in (True, False):
        assert hdf5.load(path, truth_cache=tmp_path).truth_computed is not with_truth
        loaded = hdf5.load(path, k=120, truth_cache=tmp_path)
        stored = arrays(path)
        ids, _ = exact.knn(stored["train"], stored["test"], 120, "euclidean")
        np.testing.assert_array_equal(loaded.neighbors, ids)
        replace(path, "neighbors", None)
        replace(path, "distances", None)


def test_the_whole_as_a_subset_keeps_the_files_truth(small_dataset):
    assert not hdf5.load(small_dataset(), subset=300).truth_computed


@pytest.mark.parametrize("subset", [0, -1, 301])
def test_a_subset_larger_than_train_is_refused_with_the_numbers(small_dataset, subset):
    with pytest.raises(DatasetError, match=rf"train has 300 rows and cannot be cut to {subset}"):
        hdf5.load(small_dataset(), subset=subset)


def test_what_was_computed_is_kept_until_the_file_changes(small_dataset, tmp_path, monkeypatch):
    path, cache = small_dataset(), tmp_path / "cache"
    first = hdf5.load(path, subset=50, truth_cache=cache)
    monkeypatch.setattr(exact, "knn", None)  # computing again would fail
    second = hdf5.load(path, subset=50, truth_cache=cache)
    np.testing.assert_array_equal(first.neighbors, second.neighbors)
    monkeypatch.undo()
    change(path, "train", 0, 9.0)
    os.utime(path, ns=(1, 1))
    third = hdf5.load(path, subset=50, truth_cache=cache)
    assert not np.array_equal(first.neighbors, third.neighbors)


def test_a_damaged_cache_is_computed_again(small_dataset, tmp_path):
    path, cache = small_dataset(), tmp_path / "cache"
    first = hdf5.load(path, subset=50, truth_cache=cache)
    for kept in cache.iterdir():
        kept.write_bytes(kept.read_bytes()[:60])
    second = hdf5.load(path, subset=50, truth_cache=cache)
    np.testing.assert_array_equal(first.neighbors, second.neighbors)


def test_a_cache_that_cannot_be_written_costs_only_time(small_dataset, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    assert hdf5.load(small_dataset(), subset=50, truth_cache=blocked / "cache").truth_computed


def test_zero_vectors_and_duplicates_are_counted(small_dataset, monkeypatch):
    monkeypatch.setattr(rows, "HASHED_BYTES", 8 * 8 * 7)  # several chunks
    train = np.random.default_rng(0).standard_normal((100, 8)).astype(np.float32)
    train[10:13] = 0.0
    train[12] = -0.0
    train[50:60] = train[0]
    loaded = hdf5.load(small_dataset(train=train))
    assert (loaded.n_zero_train, loaded.n_zero_test, loaded.n_duplicates) == (3, 0, 12)
    assert loaded.n_most_copied == 11
    assert np.flatnonzero(loaded.copied).tolist() == [0, 10, 11, 12, *range(50, 60)]


@pytest.mark.parametrize("metric", ["euclidean", "angular", "dot"])
def test_sorted_rows_are_recognised(metric):
    """Sorted rows are recognised by the distance to the next row; equal rows have no order."""
    rng = np.random.default_rng(0)
    centres = 5 * rng.standard_normal((50, 16))
    train = np.repeat(centres, 40, axis=0) + rng.standard_normal((2000, 16))
    train = train.astype(np.float32)
    assert composition.order_ratio(train, metric) < 0.4
    assert 0.9 < composition.order_ratio(rng.permutation(train), metric) < 1.1
    assert composition.order_ratio(train[:1], metric) == 1.0
    assert composition.order_ratio(np.ones((9, 16), np.float32), metric) == 1.0


def test_checking_in_small_chunks_finds_the_same(small_dataset, monkeypatch):
    monkeypatch.setattr(stored_rows, "CHUNK_BYTES", 100)
    path = small_dataset()
    hdf5.validate(path)
    change(path, "train", (299, 0), np.nan)
    refused(path, "row 299")


def test_no_handle_stays_open(small_dataset):
    path = small_dataset()
    hdf5.validate(path)
    hdf5.load(path)
    with h5py.File(path, "r+") as container:  # HDF5 refuses this while it is open for reading
        container["train"][0] = 1.0


def test_a_truth_that_names_a_row_twice_is_refused(small_dataset):
    """A truth with a repeated row is refused: recall by ids could not reach 1."""
    path = small_dataset()
    with h5py.File(path) as container:
        first = int(container["neighbors"][4, 1])
    change(path, "neighbors", (4, 2), first)
    refused(path, f"names row {first} twice for query 4")
