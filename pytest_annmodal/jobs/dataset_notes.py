"""Notes on peculiarities of a dataset that matter to a reader of its figures."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pytest_annmodal import surprises
from pytest_annmodal.datasets import hdf5
from pytest_annmodal.distances import measure, metrics
from pytest_annmodal.scoring.recall import offset

FAR_OFFSET = 100.0  # float32 loses digits in proportion to its square
MANY_COPIES = 0.1  # of the rows
SORTED = 0.5  # distance of two rows in a row, divided by that of two random rows
# One minus a product has steps of 6e-8 in float32. Rows times 1e-4 were found, times 1e-5 not.
TINY_PRODUCT = 1e-6
SAMPLE_ROWS = 1000


def notes(data: hdf5.LoadedDataset, k: int) -> Iterator[str]:
    """Yields one line for each peculiarity that the dataset has."""
    if data.info.sampled_from:
        yield (
            f"train is a random sample of the file's {data.info.sampled_from:,} rows (always the "
            "same rows), in their order"
        )
    if data.n_zero_train or data.n_zero_test:
        yield f"zero vectors: {data.n_zero_train} in train, {data.n_zero_test} in test"
    if data.n_duplicates:
        yield _copies(data, k)
    if data.order_ratio < SORTED:
        yield surprises.noted(
            "sorted-rows",
            f"the file's rows are sorted: two in a row are {data.order_ratio:.2f} times as far "
            "apart as two random ones. A graph that is built in this order may miss whole "
            "clusters at any effort",
        )
    yield from _far_from_the_origin(data)
    yield from _tiny_products(data)


def _copies(data: hdf5.LoadedDataset, k: int) -> str:
    n = len(data.train)
    text = f"duplicate rows in train: {data.n_duplicates}"
    if data.n_duplicates <= MANY_COPIES * n or data.copied is None:
        return text
    affected = float(data.copied[data.neighbors[:, :k]].mean())
    return surprises.noted(
        "copies",
        f"{text} ({data.n_duplicates / n:.0%}), the most frequent row {data.n_most_copied:,} "
        f"times; "
        f"{affected:.1%} of the true neighbours are rows that have copies. A graph may miss many "
        "of the others",
    )


def _far_from_the_origin(data: hdf5.LoadedDataset) -> Iterator[str]:
    if not metrics.named(data.info.metric).measure.far_from_origin_costs_digits:
        return
    away = offset(data.train)
    if away > FAR_OFFSET:
        yield surprises.noted(
            "far-from-origin",
            f"train lies far from the origin: {away:,.0f} times as far as its rows are "
            "from their mean. An index that computes inner products in float32 cannot tell "
            "near rows from far ones",
        )


def _tiny_products(data: hdf5.LoadedDataset) -> Iterator[str]:
    if not metrics.named(data.info.metric).measure.short_vectors_vanish:
        return
    rows, queries = (
        float(np.median(measure.lengths(part[:: len(part) // SAMPLE_ROWS + 1])))
        for part in (data.train, data.test)
    )
    product = rows * min(rows, queries)
    if 0 < product < TINY_PRODUCT:
        yield surprises.noted(
            "tiny-products",
            f"inner products are at most about {product:.1g}. An index that computes "
            "1 - product in float32 (steps of 6e-08) finds almost nothing",
        )
