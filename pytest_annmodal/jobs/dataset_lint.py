"""Computes figures of a dataset, and warns of properties that spoil a comparison."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_annmodal.datasets import hdf5
from pytest_annmodal.distances import exact, metrics
from pytest_annmodal.distances.measure import Measure
from pytest_annmodal.jobs.dataset_notes import notes

RANDOM_ROWS = 1000
SEED = 0
TIED = 1e-6  # relative, as in recall
Figures = Mapping[str, Any]
Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Warned:
    """One property that spoils a comparison.

    Attributes:
        holds: whether a dataset with these figures has the property.
        why: one sentence, with the figures filled in.
    """

    name: str
    holds: Callable[[Figures], bool]
    why: str


# In addition there are the notes that every measurement on the dataset gets.
WARNINGS = (
    Warned(
        name="overlap",
        holds=lambda f: f["queries_in_train"] > 0,
        why="{queries_in_train:,} queries are rows of train: their nearest neighbour is the row "
        "itself, which is easier to find than that of a new query",
    ),
    Warned(
        name="equal-queries",
        holds=lambda f: f["equal_queries"] > 0.01 * f["n_queries"],
        why="{equal_queries:,} queries equal an earlier one: they are measured and counted twice",
    ),
    Warned(
        name="ties",
        holds=lambda f: (f["ties_at_k"] or 0) > 0.05,
        why="for {ties_at_k:.0%} of the queries row k + 1 is as near as row k: compare by recall, "
        "which accepts both, and not by recall_ids, which accepts one",
    ),
    Warned(
        name="constant-columns",
        holds=lambda f: f["constant_columns"] > 0,
        why="{constant_columns:,} of {dim:,} columns are constant: they cost time and memory, and "
        "do not change which rows are near",
    ),
    Warned(
        name="lengths",
        holds=lambda f: f["norm_max"] > 1000 * f["norm_median"] > 0,
        why="the longest row is {norm_ratio:,.0f} times as long as the median: quantisers use "
        "most of their steps for few rows",
    ),
    Warned(
        name="contrast",
        holds=lambda f: f["relative_contrast"] is not None and f["relative_contrast"] < 1.1,
        why="the nearest row is hardly nearer than any other (relative contrast "
        "{relative_contrast:.3g}): the choice of nearest rows means little",
    ),
    Warned(
        name="few-queries",
        holds=lambda f: f["n_queries"] < 100,
        why="{n_queries:,} queries are few: recall and the slowest latencies are only rough",
    ),
    Warned(
        name="hubs",
        holds=lambda f: f["hubness"] is not None and f["hubness"] > 10,
        why="few rows are neighbours of many queries (skewness {hubness:.1f}): an index that finds "
        "only these does well",
    ),
)


def figures(data: hdf5.LoadedDataset, k: int) -> dict[str, Any]:
    """Returns all figures as plain data; None for those that cannot be computed.

    Args:
        k: for ties and hubs; the truth should have k + 1 neighbours.
    """
    n_constant, lengths = data.layout.profile(data.train, data.info.dim)
    own = data.layout.hashes(data.test)
    of_train = data.layout.hashes(data.train)
    return {
        "metric": data.info.metric,
        "n_train": len(data.train),
        "dim": data.info.dim,
        "n_queries": len(data.test),
        "zero_rows": data.n_zero_train,
        "zero_queries": data.n_zero_test,
        "duplicates": data.n_duplicates,
        "most_copied": data.n_most_copied,
        "not_finite": 0,  # a file with NaN or infinity is refused
        "norm_min": float(lengths.min()),
        "norm_median": float(np.median(lengths)),
        "norm_max": float(lengths.max()),
        "norm_ratio": float(lengths.max() / max(float(np.median(lengths)), 1e-300)),
        "constant_columns": n_constant,
        "queries_in_train": int(np.isin(own, of_train).sum()),
        "equal_queries": len(own) - len(np.unique(own)),
        "k": k,
        "ties_at_k": _ties(data.distances, k),
        "intrinsic_dimension": _intrinsic_dimension(data),
        "relative_contrast": _relative_contrast(data),
        "hubness": _hubness(data.neighbors[:, :k], len(data.train)),
        "order_ratio": data.order_ratio,
    }


def warnings(data: hdf5.LoadedDataset, found: Figures) -> Iterator[str]:
    """Yields a sentence for each property that spoils a comparison."""
    yield from notes(data, int(found["k"]))
    for row in WARNINGS:
        if row.holds(found):
            yield row.why.format(**found)


def _ties(distances: Array, k: int) -> float | None:
    """Returns the share of queries whose neighbour k + 1 is as near as neighbour k."""
    if distances.shape[1] <= k:
        return None
    last, after = distances[:, k - 1], distances[:, k]
    return float(np.mean(after - last <= TIED * np.abs(last)))


def _measure(data: hdf5.LoadedDataset) -> Measure:
    return metrics.named(data.info.metric).measure


def _intrinsic_dimension(data: hdf5.LoadedDataset) -> float | None:
    """Returns the maximum likelihood estimate of Levina and Bickel, from all true neighbours.

    The inverses of the queries' estimates are averaged (MacKay and Ghahramani).
    """
    far = _measure(data).as_lengths(data.distances.astype(np.float64))
    if far is None or far.shape[1] < 3:
        return None
    far = far[far[:, 0] > 0]
    inverse = np.log(far[:, -1:] / far[:, :-1]).mean()
    return float(1.0 / inverse) if inverse > 0 else None


def _relative_contrast(data: hdf5.LoadedDataset) -> float | None:
    """Returns a query's mean distance to any row over that to its nearest row (He et al.)."""
    nearest = _measure(data).as_lengths(data.distances[:, 0].astype(np.float64))
    if nearest is None or not nearest.mean() > 0:
        return None
    rng = np.random.default_rng(SEED)
    rows = rng.integers(0, len(data.train), RANDOM_ROWS)
    queries = rng.integers(0, len(data.test), RANDOM_ROWS)
    far = exact.pair_distances(data.train, data.test[queries], rows[:, None], data.info.metric)
    lengths = _measure(data).as_lengths(far)
    assert lengths is not None
    return float(lengths.mean() / nearest.mean())


def _hubness(neighbors: Array, n_train: int) -> float | None:
    """Returns the skewness of how often rows are among the k nearest (Radovanović et al.)."""
    counts = np.bincount(neighbors.reshape(-1), minlength=n_train).astype(np.float64)
    spread = counts.std()
    return float(((counts - counts.mean()) ** 3).mean() / spread**3) if spread > 0 else None
