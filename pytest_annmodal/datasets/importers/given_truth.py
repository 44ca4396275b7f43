"""Reads a truth that came with the vectors, and checks it by an exact search."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pytest_annmodal.datasets.importers.inputs import Inputs
from pytest_annmodal.datasets.importers.matrix import Array
from pytest_annmodal.datasets.importers.nearest import nearest
from pytest_annmodal.datasets.importers.reasons import Sample, likely_reason
from pytest_annmodal.datasets.importers.request import Request
from pytest_annmodal.distances import exact, metrics
from pytest_annmodal.errors import DatasetFormatError

SAMPLE_QUERIES = 50
SEED = 0
PADDING = (-1, 2**32 - 1, 2**63 - 1)
HOW = "Correct it, or leave out --truth to have the neighbours computed."
Ids = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenTruth:
    """The nearest rows of train according to a file.

    Attributes:
        ids: int64 (m, K), rows of train.
        distances: (m, K) as stored in the file, or None.
        notes: notes for the user on how they were read.
    """

    path: Path
    ids: Ids
    distances: Array | None
    notes: tuple[str, ...]


def read(inputs: Inputs, request: Request) -> GivenTruth:
    """Reads the truth's file; returns its ids as rows of train.

    Raises:
        DatasetFormatError: it cannot belong to these vectors.
    """
    truth = inputs.truth
    assert truth is not None
    path = truth.path
    if truth.n != inputs.n_queries:
        raise DatasetFormatError(
            f"{path}: it has {truth.n:,} rows; expected one for each of the "
            f"{inputs.n_queries:,} queries."
        )
    ids = _integers(path, truth.whole())
    distances = truth.more.get("distances")
    padded = np.isin(ids, PADDING)
    width = truth.dim - int(padded.sum(axis=1).max())
    notes: tuple[str, ...] = ()
    if width < truth.dim:
        if width == 0 or padded[:, :width].any():
            row = int(np.argmax(padded.sum(axis=1)))
            raise DatasetFormatError(
                f"{path}: row {row:,} holds {int(padded[row].sum()):,} paddings (−1) among "
                f"{truth.dim:,} ids; expected neighbours first. {HOW}"
            )
        why = "some rows have no more, and are padded with −1"
        notes = (f"The truth is cut from {truth.dim:,} to {width:,} neighbours: {why}.",)
        ids = ids[:, :width]
        distances = None if distances is None else distances[:, :width]
    names = inputs.train.ids()
    ids = ids - request.ids_from if names is None else _rows_named(path, ids, names)
    _require_rows(path, ids, inputs.train.n, request)
    return GivenTruth(path=path, ids=ids, distances=distances, notes=notes)


def _integers(path: Path, values: Array) -> Ids:
    with np.errstate(invalid="ignore"):
        ids = values.astype(np.int64)
    wrong = np.argwhere(ids != values)
    if wrong.size:
        row, column = (int(i) for i in wrong[0])
        raise DatasetFormatError(
            f"{path}: row {row:,}, column {column} holds {values[row, column]}; expected ids, "
            "which are whole numbers. Are these distances, or vectors?"
        )
    return ids


def _rows_named(path: Path, ids: Ids, names: Ids) -> Ids:
    """Returns the rows of train that have these ids in the column of ids."""
    order = np.argsort(names, kind="stable")
    ordered = names[order]
    twice = np.flatnonzero(ordered[1:] == ordered[:-1])
    if twice.size:
        raise DatasetFormatError(
            f"{path}: several rows of train have the id {int(ordered[twice[0]])} (--ids); "
            "expected different ids."
        )
    places = np.minimum(np.searchsorted(ordered, ids), len(ordered) - 1)
    wrong = np.argwhere(ordered[places] != ids)
    if wrong.size:
        row, column = (int(i) for i in wrong[0])
        raise DatasetFormatError(
            f"{path}: row {row:,}, column {column} names the id {int(ids[row, column])}, which no "
            f"row of train has (--ids). The truth is of other rows. {HOW}"
        )
    return np.asarray(order[places], dtype=np.int64)


def _require_rows(path: Path, ids: Ids, n_train: int, request: Request) -> None:
    bad = np.argwhere((ids < 0) | (ids >= n_train))
    if bad.size:
        row, column = (int(i) for i in bad[0])
        least, most = int(ids.min()), int(ids.max())
        if (least, most) == (1, n_train) or (least > 0 and most == n_train):
            why = f"Its ids seem to count from {request.ids_from + 1}: add --ids-from 1."
        elif least == -1:
            why = "Its ids seem to count from 0: leave out --ids-from 1."
        else:
            why = "It is the truth of a larger set of rows."
        raise DatasetFormatError(
            f"{path}: row {row:,}, column {column} names row {int(ids[row, column]):,} of train; "
            f"expected 0 to {n_train - 1:,}. {why} {HOW}"
        )
    ordered = np.sort(ids, axis=1)
    twice = np.argwhere(ordered[:, 1:] == ordered[:, :-1])
    if twice.size:
        row, column = (int(i) for i in twice[0])
        raise DatasetFormatError(
            f"{path}: row {row:,} names row {int(ordered[row, column]):,} of train twice; expected "
            f"different rows. {HOW}"
        )


def verified(
    truth: GivenTruth,
    train: Array,
    test: Array,
    metric: str,
    on_progress: Callable[[int, int], None],
) -> tuple[Ids, npt.NDArray[np.float32], tuple[str, ...]]:
    """Checks the truth by an exact search of some queries; returns ids, distances and notes.

    Both are sorted nearest first. Distances are computed from the vectors, since a file may have
    them squared, negated, or not at all.

    Raises:
        DatasetFormatError: other rows are nearer than those it names, with the likely reason.
    """
    measure = metrics.named(metric).measure
    usable = np.flatnonzero(~measure.undefined(test))
    n_sample = min(SAMPLE_QUERIES, len(usable))
    drawn = np.sort(np.random.default_rng(SEED).choice(usable, n_sample, replace=False))
    sample = Sample(
        train=train,
        queries=test[drawn],
        numbers=drawn,
        ids=truth.ids[drawn],
        stored=None if truth.distances is None else truth.distances[drawn],
        every_id=truth.ids,
    )
    k = truth.ids.shape[1]
    _, least = nearest(train, sample.queries, k, metric, on_progress)
    wrong = sample.further(sample.ids, least, metric)
    if wrong.size:
        query, rank = (int(i) for i in wrong[0])
        n_wrong = len(np.unique(wrong[:, 0]))
        raise DatasetFormatError(
            f"{truth.path}: it is not the {metric} truth of these vectors: of {n_sample} queries "
            f"searched exactly, {n_wrong} have nearer rows than it names (the first is "
            f"query {int(drawn[query]):,}, neighbour number {rank + 1}). "
            f"{likely_reason(sample, least, metric)}"
        )
    far = exact.pair_distances(train, test, truth.ids, metric)
    order = np.argsort(far, axis=1, kind="stable")
    ids, far = np.take_along_axis(truth.ids, order, 1), np.take_along_axis(far, order, 1)
    notes = truth.notes + sample.what_is_stored(metric)
    return ids, far.astype(np.float32), notes
