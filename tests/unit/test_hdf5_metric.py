"""A file's metric comes from its attributes, else from the last word of its name."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from pytest_annmodal.datasets import catalog
from pytest_annmodal.datasets.hdf5.metric import metric_of, word_in_name
from pytest_annmodal.errors import DatasetFormatError


def of(name="vectors.hdf5", **attrs):
    return metric_of(Path(name), attrs)


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("sift-128-euclidean.hdf5", "euclidean"),
        ("yi-128-ip.h5", "ip"),
        ("agnews-768-normalized.hdf5", "normalized"),
        ("x-dot-product.hdf5", "dotproduct"),
        ("X_Inner_Product.HDF5", "innerproduct"),
        ("angular.hdf5", "angular"),
        ("x-angular-128.hdf5", "angular"),
        ("x-angular (1).hdf5", "angular"),
        ("x-l2.hdf5.part", "l2"),
        ("x-cosine.hdf5.corrupt-2", "cosine"),
        ("kosarak-jaccard.hdf5", "jaccard"),
    ],
)
def test_the_last_word_of_a_name_is_a_metric(name, word):
    """The last word counts, whatever suffix or number follows."""
    assert word_in_name(name) == word


@pytest.mark.parametrize(
    "name",
    [
        "cosine-shop-vectors.hdf5",
        "ip-addresses-64.hdf5",
        "dot-matrix.hdf5",
        "euclidean-to-angular-converted.hdf5",
        "polkadot.hdf5",
        "l2cache.hdf5",
        "angular.v2.hdf5",
        ".hdf5",
        "vectors.hdf5",
    ],
)
def test_no_other_word_of_a_name_decides(name):
    """A metric's word elsewhere in the name does not count."""
    assert word_in_name(name) is None
    with pytest.raises(DatasetFormatError, match="its metric is unknown"):
        of(name)
    assert (
        catalog.dataset_from_argument(f"https://h/{name}").metric is None if name[0] != "." else 1
    )


def test_the_attributes_come_before_the_name():
    """The attributes distance and metric have priority over the name."""
    assert of("x-angular.hdf5", distance="euclidean") == "euclidean"
    assert of("x-angular.hdf5", metric=np.bytes_("ip")) == "dot"
    assert of("x-angular.hdf5", distance="", metric="l2") == "euclidean"
    assert of("x-angular.hdf5", distance=h5py.Empty("S1")) == "angular"
    assert of("x-angular.hdf5", distance="L2", metric="euclidean") == "euclidean"


def test_attributes_that_disagree_are_refused():
    """Attributes that name two metrics are refused."""
    with pytest.raises(
        DatasetFormatError, match="distance says euclidean and its attribute metric"
    ):
        of(distance="euclidean", metric="ip")


@pytest.mark.parametrize("word", ["haversine", "hellinger", "x" * 5000, "\x1b[2J"])
def test_an_attribute_that_nothing_serves_is_shown_as_text(word):
    """An unknown metric is shown short and on one line."""
    with pytest.raises(DatasetFormatError, match="is not supported") as caught:
        of("x-angular.hdf5", distance=word)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("word", ["l2-squared", "MetricType.L2", " euclidian\n"])
def test_an_unknown_spelling_is_shown_as_it_is_in_the_file(word):
    """And the message says where to write the usual word."""
    with pytest.raises(DatasetFormatError, match="set the file's attribute metric") as caught:
        of("x.hdf5", metric=word)
    assert f"metric '{word.strip()}' is not supported" in str(caught.value)


def test_a_url_is_guessed_by_the_same_words():
    """A URL's last word gives the metric before the download, to select implementations."""
    assert catalog.dataset_from_argument("https://h/x-cosine.hdf5").metric == "angular"
    assert catalog.dataset_from_argument("https://h/x-hamming.hdf5").metric == "hamming"
    assert catalog.dataset_from_argument("https://h/x-haversine.hdf5").metric is None
