"""Checks a dataset file fully, in one pass and bounded memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_annmodal.datasets.hdf5.file import Arrays, opened
from pytest_annmodal.datasets.hdf5.info import DatasetInfo
from pytest_annmodal.datasets.hdf5.stored_rows import StoredRows
from pytest_annmodal.distances import exact, metrics
from pytest_annmodal.distances.measure import LEAST, RELATIVE
from pytest_annmodal.distances.rows import joined
from pytest_annmodal.errors import DatasetFormatError

SAMPLE_QUERIES = 50
OF_ORDER = 1e-6
Array = npt.NDArray[Any]


def check_file(path: Path) -> DatasetInfo:
    """Returns what the file holds; raises DatasetFormatError for the first error found."""
    with opened(path) as arrays:
        test = _read_finite(arrays.test)
        if arrays.neighbors is None or arrays.distances is None:
            for _ in _finite_chunks(arrays.train):
                pass
            return arrays.info
        neighbors, distances = arrays.neighbors[:], arrays.distances[:]
        measure = metrics.named(arrays.info.metric).measure
        distances = measure.published(distances, arrays.info.dim)
        nowhere = measure.undefined(test)
        _require_ids(arrays, neighbors)
        if arrays.test.repeats(test):
            nowhere = np.ones_like(nowhere)  # the truth counts repeated members: not comparable
        _require_distances(path, distances, nowhere, measure.units(test))
        sample = _sample(nowhere)
        wanted = np.unique(neighbors[sample])
        slack = measure.slack(distances[sample], test[sample])
        nearest = _Nearest(test[sample], arrays.info.k_truth, arrays.info.metric)
        rows = _gather_while_checking(arrays, wanted, nearest)
        places = np.searchsorted(wanted, neighbors[sample])
        actual = exact.pair_distances(rows, test[sample], places, arrays.info.metric)
        slack = slack + measure.slack_of_ids(rows, test[sample], places)
        _require_agreement(arrays, sample, distances[sample], actual, slack)
        nearest.require(path, sample, actual)
        return arrays.info


def _finite_chunks(stored: StoredRows) -> Iterator[tuple[int, Array]]:
    """Yields slices of the rows with the number of their first one, and checks all values."""
    path, name, empty = stored.path, stored.name, True
    for start, chunk in stored.chunks():
        bad = stored.layout.unusable(chunk)
        if bad.size:
            raise DatasetFormatError(
                f"{path}: {name} has NaN, infinity or a number beyond float32 in row "
                f"{start + int(bad[0])}; expected finite numbers. Remove or repair such rows."
            )
        empty = empty and bool(stored.layout.zero(chunk).all())
        yield start, chunk
    if empty:
        raise DatasetFormatError(
            f"{path}: {name} holds only zeros, so that all rows are equally near; expected "
            "vectors. Its writer failed: write it again."
        )


def _read_finite(stored: StoredRows) -> Any:
    return joined([chunk for _, chunk in _finite_chunks(stored)])


def _require_ids(arrays: Arrays, neighbors: Array) -> None:
    n_train = arrays.info.n_train
    bad = np.argwhere((neighbors < 0) | (neighbors >= n_train))
    if bad.size:
        row, column = (int(i) for i in bad[0])
        padding = neighbors[row, column] < 0
        reason = "Rows are padded" if padding else "The truth belongs to another train set"
        raise DatasetFormatError(
            f"{arrays.path}: neighbors[{row}, {column}] is {neighbors[row, column]}; expected "
            f"rows of train, 0 to {n_train - 1}. {reason}: compute it again, or remove "
            "neighbors and distances to have it computed."
        )
    if arrays.train.layout.may_repeat_ids:
        return
    ordered = np.sort(neighbors, axis=1)
    twice = np.argwhere(ordered[:, 1:] == ordered[:, :-1])
    if twice.size:
        row, column = (int(i) for i in twice[0])
        raise DatasetFormatError(
            f"{arrays.path}: neighbors names row {ordered[row, column]} twice for query {row}; "
            "expected different rows of train. Compute it again, or remove neighbors and "
            "distances to have it computed."
        )


def _require_distances(
    path: Path, distances: Array, nowhere: npt.NDArray[np.bool_], units: Array
) -> None:
    finite = np.isfinite(distances).all(axis=1) | nowhere
    if not finite.all():
        raise DatasetFormatError(
            f"{path}: distances has NaN or infinity in row {int(np.argmin(finite))}; "
            "expected finite numbers."
        )
    known = np.where(nowhere[:, None], 0.0, distances)
    slack = RELATIVE * np.abs(known).max(axis=1, keepdims=True) + OF_ORDER * units
    falls = (np.diff(known, axis=1) < -slack).any(axis=1)
    if falls.any():
        raise DatasetFormatError(
            f"{path}: distances are not ascending in row {int(np.argmax(falls))}; expected nearest "
            "first (inner products are stored negated)."
        )


def _sample(nowhere: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """Returns query numbers spread over the file, without queries that have no distance."""
    usable = np.flatnonzero(~nowhere)
    step = max(1, len(usable) // SAMPLE_QUERIES)
    return usable[::step][:SAMPLE_QUERIES]


class _Nearest:
    """The K smallest distances of a few queries to the rows of train, found as train is read.

    A truth may have correct distances and yet come from a part of train or from an approximate
    search: the recall of every implementation would then be too high.

    Attributes:
        distances: float64 (s, K), ascending.
        sizes: float64 (s, K), of the rows at these distances.
    """

    def __init__(self, queries: Array, k: int, metric: str) -> None:
        self.queries, self.metric = queries, metric
        self.measure = metrics.named(metric).measure
        self.distances = np.full((len(queries), k), np.inf)
        self.sizes = np.zeros((len(queries), k))

    def look(self, chunk: Array) -> None:
        if not len(self.queries):
            return
        k = self.distances.shape[1]
        ids, found = exact.knn(chunk, self.queries, min(k, len(chunk)), self.metric)
        if not (found < self.distances[:, -1:]).any():
            return
        distances = np.hstack((self.distances, found))
        sizes = np.hstack((self.sizes, self.measure.sizes_of(chunk, ids)))
        order = np.argsort(distances, axis=1, kind="stable")[:, :k]
        self.distances = np.take_along_axis(distances, order, axis=1)
        self.sizes = np.take_along_axis(sizes, order, axis=1)

    def require(self, path: Path, sample: Array, actual: Array) -> None:
        """Raises DatasetFormatError if a rank of the truth is further than the exact neighbour.

        Args:
            sample: (s,) query numbers.
            actual: (s, K), distances to the rows that the truth names.
        """
        named = np.sort(actual, axis=1)
        slack = self.measure.slack_of_order(self.distances, self.queries, self.sizes)
        nearer = self.distances + slack + LEAST
        wrong = np.argwhere(named > nearer)
        if not wrong.size:
            return
        row, rank = (int(i) for i in wrong[0])
        count = int(np.count_nonzero(nearer[row] < named[row, rank]))
        raise DatasetFormatError(
            f"{path}: {count} rows of train are nearer to test[{int(sample[row])}] than its "
            f"neighbor number {rank + 1}, which is at {named[row, rank]:.6g}; expected the exact "
            "nearest. The truth belongs to a part of train or is approximate: compute it again, "
            "or remove neighbors and distances to have it computed."
        )


def _gather_while_checking(arrays: Arrays, wanted: Array, nearest: _Nearest) -> Any:
    """Returns rows ``wanted`` (ascending) of train, read in the pass that checks all of train."""
    parts = []
    for start, chunk in _finite_chunks(arrays.train):
        low, high = np.searchsorted(wanted, (start, start + len(chunk)))
        parts.append(chunk[wanted[low:high].astype(np.int64) - start])
        nearest.look(chunk)
    return joined(parts)


def _require_agreement(
    arrays: Arrays, sample: Array, stored: Array, actual: Array, slack: Array
) -> None:
    """Raises DatasetFormatError unless the stored distances are those of the stored ids.

    Args:
        sample: (s,) query numbers.
        stored, actual, slack: (s, K).
    """
    if not sample.size:
        return
    wrong = np.abs(stored - actual) > slack
    if not wrong.any():
        return
    row, column = (int(i) for i in np.argwhere(wrong)[0])
    raise DatasetFormatError(
        f"{arrays.path}: distances[{int(sample[row])}, {column}] is {stored[row, column]:.6g}, but "
        f"the {arrays.info.metric} distance to the row of train that neighbors names is "
        f"{actual[row, column]:.6g}.{_convention(stored, actual)} Correct the file, or remove "
        "neighbors and distances to have them computed."
    )


def _convention(stored: Array, actual: Array) -> str:
    """Returns a guess at what the stored numbers are instead, or ""."""
    others = {
        "the squares of distances; expected plain L2": actual**2,
        "inner products with their sign; expected them negated": -actual,
        "cosines; expected 1 - cosine": 1.0 - actual,
        "angles; expected 1 - cosine": np.arccos(np.clip(1.0 - actual, -1.0, 1.0)),
    }
    for words, numbers in others.items():
        if np.allclose(stored, numbers, rtol=1e-2, atol=1e-3):
            return f" They look like {words}."
    return ""
