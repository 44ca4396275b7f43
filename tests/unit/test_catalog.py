"""The catalogue's rows agree with themselves; paths and URLs become datasets."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_annmodal.datasets.catalog import CATALOG, dataset_from_argument
from pytest_annmodal.datasets.sources.sources import Source, source_of
from pytest_annmodal.errors import ConfigurationError

ROWS = pytest.mark.parametrize("dataset", CATALOG.values(), ids=CATALOG)


@ROWS
def test_a_row_is_listed_under_its_name_with_a_source_of_a_known_kind(dataset):
    assert CATALOG[dataset.name] is dataset
    assert re.fullmatch(r"[A-Za-z0-9._-]+", dataset.name)
    source = source_of(dataset)
    assert type(source) is not Source
    assert not source.is_remote or dataset.source.endswith(f"/{dataset.name}.hdf5")


@ROWS
def test_a_pinned_row_has_a_full_digest_and_the_room_its_vectors_need(dataset):
    if dataset.sha256 is None:
        assert dataset.size_bytes is None
        return
    assert re.fullmatch("[0-9a-f]{64}", dataset.sha256)
    vectors = 4 * dataset.dim * (dataset.n_train + dataset.n_queries)
    truth = 8 * dataset.k_truth * dataset.n_queries
    assert 0 < dataset.size_bytes - vectors - truth < 20_000


def test_digests_are_all_different():
    digests = [row.sha256 for row in CATALOG.values() if row.sha256]
    assert len(digests) == len(set(digests)) == 10


@pytest.mark.parametrize(
    ("name", "metric", "dim"),
    [
        ("lastfm-64-dot", "angular", 65),
        ("yi-128-ip", "dot", 128),
        ("glove-200-cosine", "angular", 200),
        ("arxiv-nomic-768-normalized", "angular", 768),
        ("kosarak-jaccard", "jaccard", 27_983),
    ],
)
def test_metrics_are_the_projects_words(name, metric, dim):
    assert (CATALOG[name].metric, CATALOG[name].dim) == (metric, dim)


def test_the_missions_four_datasets_are_pinned():
    for name in ("gist-960", "fashion-mnist-784", "sift-128"):
        assert CATALOG[f"{name}-euclidean"].sha256
    assert CATALOG["nytimes-256-angular"].sha256


def test_a_path_becomes_a_file_dataset_named_after_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    dataset = dataset_from_argument("my data/Été 1-angular.hdf5")
    assert dataset.source == f"file:{tmp_path}/my data/Été 1-angular.hdf5"
    assert dataset.name == "Ete-1-angular"
    assert dataset.metric == "angular"


def test_a_url_becomes_a_remote_dataset_named_after_its_last_component():
    dataset = dataset_from_argument("https://example.org/a/my%20set-euclidean.hdf5?token=1")
    assert dataset.name == "my-set-euclidean"
    assert source_of(dataset).is_remote


def test_a_users_file_with_a_catalogue_name_is_not_taken_for_the_catalogues():
    own = dataset_from_argument("http://localhost/sift-128-euclidean.hdf5")
    assert re.fullmatch(r"sift-128-euclidean-[0-9a-f]{8}", own.name)


def test_the_catalogues_own_url_is_the_catalogues_dataset():
    sift = CATALOG["sift-128-euclidean"]
    assert dataset_from_argument(sift.source) is sift


@pytest.mark.parametrize(
    "text", ["nonsense", "file.md", "http://example.org/", "http://[", "...hdf5"]
)
def test_anything_else_is_refused(text):
    with pytest.raises(ConfigurationError, match="is not a dataset"):
        dataset_from_argument(text)


@pytest.mark.parametrize(
    "module",
    [
        "datasets.catalog",
        "datasets.volume.volume",
        "datasets.sources.http",
        "datasets.hdf5",
        "reports.progress",
    ],
)
def test_modules_loaded_with_the_plugin_import_nothing_heavy(module):
    code = (
        f"import sys, pytest_annmodal.{module}\n"
        "print([m for m in ('numpy','h5py','requests','filelock','rich') if m in sys.modules])"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    assert ran.stdout.strip() == "[]"
