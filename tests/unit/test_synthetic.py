"""Generated and packaged datasets: the same every time, exact, and not trivial."""

from __future__ import annotations

import numpy as np
import pytest

from pytest_annmodal.data import build_digits
from pytest_annmodal.datasets import hdf5, synthetic
from pytest_annmodal.errors import ConfigurationError


@pytest.mark.parametrize("metric", ["euclidean", "angular"])
def test_a_generated_file_is_valid_and_the_same_every_time(tmp_path, metric):
    paths = [tmp_path / f"{number}.hdf5" for number in range(2)]
    for path in paths:
        synthetic.generate(path, metric, n_train=2000, n_queries=50)
        info = hdf5.validate(path)
        assert (info.metric, info.dim, info.n_train, info.n_queries) == (metric, 64, 2000, 50)
    first, second = map(hdf5.load, paths)
    np.testing.assert_array_equal(first.train, second.train)
    np.testing.assert_array_equal(first.neighbors, second.neighbors)


def test_the_points_are_neither_uniform_nor_one_cluster_per_query():
    vectors = synthetic.points(np.random.Generator(np.random.PCG64(1)), 3000).astype(float)
    strengths = np.linalg.svd(vectors - vectors.mean(axis=0), compute_uv=False)
    assert strengths[0] > 1.5 * strengths[-1]
    lengths = np.linalg.norm(vectors, axis=1)
    assert lengths.max() > 2 * lengths.min()


def test_there_is_no_generated_dataset_for_another_metric(tmp_path):
    with pytest.raises(ConfigurationError, match="use euclidean or angular"):
        synthetic.generate(tmp_path / "x.hdf5", "dot")


def test_the_packaged_digits_are_what_the_script_builds(tmp_path):
    pytest.importorskip("sklearn")
    build_digits.build(tmp_path / "digits.hdf5")
    rebuilt = hdf5.load(tmp_path / "digits.hdf5")
    from importlib.resources import files

    packaged = hdf5.load(files("pytest_annmodal") / "data" / build_digits.NAME)
    for name in ("train", "test", "neighbors", "distances"):
        np.testing.assert_array_equal(getattr(packaged, name), getattr(rebuilt, name))


def test_the_packaged_digits_name_their_source_and_licence():
    h5py = pytest.importorskip("h5py")
    from importlib.resources import files

    path = files("pytest_annmodal") / "data" / build_digits.NAME
    info = hdf5.validate(path)
    assert (info.n_train, info.n_queries, info.dim, info.k_truth) == (1597, 200, 64, 100)
    assert info.contiguous
    with h5py.File(path) as container:
        assert container.attrs["licence"] == "CC BY 4.0"
        assert "Handwritten Digits" in container.attrs["source"]
        assert container["neighbors"].dtype == np.int32
