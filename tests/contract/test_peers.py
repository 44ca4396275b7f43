"""Distances and recall of bits and sets, compared with ann-benchmarks' rules and numpy."""

from __future__ import annotations

import functools

import numpy as np
import pytest

from pytest_annmodal.datasets import hdf5, synthetic
from pytest_annmodal.distances import exact, forms
from pytest_annmodal.manifests import manifest
from pytest_annmodal.model import to_plain
from pytest_annmodal.scoring import scoring
from pytest_annmodal.worker import adapters

K = 10
BUILTIN = {item.name: item for item in manifest.builtin()}
CASES = [
    *(("hamming", name) for name in ("annoy", "faiss-ivf", "usearch", "bruteforce")),
    *(("jaccard", name) for name in ("usearch", "scikit-learn", "bruteforce")),
]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """A generated dataset by its metric, and every distance by the rule of ann-benchmarks."""
    folder = tmp_path_factory.mktemp("peers")

    @functools.cache
    def dataset(metric):
        path = folder / f"{metric}.hdf5"
        synthetic.generate(path, metric, n_train=1200, n_queries=40)
        data = hdf5.load(path)
        return data, far_by_ann_benchmarks(data)

    return dataset


def far_by_ann_benchmarks(data):
    """Distances by ann-benchmarks: hamming is mean(a != b), jaccard 1 - |a & b| / (|a| + |b| - |a & b|)."""
    if data.info.metric == "hamming":
        train, test = (
            np.unpackbits(rows, axis=1, count=data.info.dim) for rows in (data.train, data.test)
        )
        return np.array([np.mean(train != query, axis=1) for query in test])
    train, test = ([set(one.tolist()) for one in rows.lists()] for rows in (data.train, data.test))
    return np.array(
        [
            [1 - len(a & b) / (len(a) + len(b) - len(a & b)) if a or b else 1.0 for a in train]
            for b in test
        ]
    )


@pytest.mark.parametrize("metric", ["hamming", "jaccard"])
def test_distances_are_those_of_ann_benchmarks(dataset, metric):
    """Distances of all pairs equal ann-benchmarks', with counts of bits instead of shares."""
    data, far = dataset(metric)
    every = np.broadcast_to(np.arange(len(data.train)), far.shape)
    mine = exact.pair_distances(data.train, data.test, every, metric)
    unit = data.info.dim if metric == "hamming" else 1
    np.testing.assert_allclose(mine, far * unit, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(data.distances, np.sort(far, axis=1)[:, :100] * unit, rtol=1e-6)


@pytest.mark.parametrize(("metric", "name"), CASES)
def test_recall_is_what_numpy_gives_of_each_librarys_answers(dataset, metric, name):
    """Recall equals numpy's to six digits, at every setting."""
    implementation = BUILTIN[name]
    if missing := manifest.missing_requirements(implementation):
        pytest.skip(f"pip install {' '.join(missing)}")
    data, far = dataset(metric)
    form = forms.make(
        data.layout.form(implementation.dtypes, data.train),
        data.info.dim,
        data.layout.longest(data.test),
    )
    adapter = adapters.load(
        to_plain(implementation), metric=metric, dim=form.dim,
        build=to_plain(implementation.variants[0].build), alone=form.alone,
    )  # fmt: skip
    memory = np.ascontiguousarray(form.to_memory(data.train)).reshape(-1).view(np.uint8)
    adapter.fit(form.mapped(memory, len(data.train)))
    for variant in implementation.variants:
        adapter.set_search(to_plain(variant.search))
        ids = np.full((len(data.test), K), -1)
        for row, query in enumerate(form.each(form.sent(data.test))):
            found = [i for i in adapter.query(query, K) if i >= 0]
            ids[row, : len(found)] = found
        kth = np.sort(far, axis=1)[:, K - 1 : K]
        near = (ids >= 0) & (np.take_along_axis(far, ids, axis=1) <= kth + 1e-9)
        got = scoring.recall_of(data, ids, K)
        assert got.by_distance == pytest.approx(near.mean(), abs=1e-6)
        lenient = (ids >= 0) & (np.take_along_axis(far, ids, axis=1) <= kth + 1e-3)
        assert got.ann_benchmarks == pytest.approx(lenient.mean(), abs=1e-6)
