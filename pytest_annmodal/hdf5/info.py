"""What a dataset file holds, as plain data; no array is touched here."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from pytest_annmodal.model import Metric

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

# The words that files use for a metric, as :func:`metric_word` writes them. Sets and bits are
# read by no implementation here.
METRIC_WORDS: dict[str, Metric] = {
    "euclidean": "euclidean",
    "euclid": "euclidean",
    "l2": "euclidean",
    "angular": "angular",
    "cosine": "angular",
    "cosinesimilarity": "angular",
    "cosinedistance": "angular",
    "cos": "angular",
    "normalized": "angular",
    "dot": "dot",
    "dotproduct": "dot",
    "ip": "dot",
    "mips": "dot",
    "innerproduct": "dot",
}
UNSUPPORTED_METRICS = ("jaccard", "hamming")


def metric_word(text: str) -> str:
    """``Inner-Product`` and `` inner_product`` are one word."""
    return re.sub(r"[\s_-]+", "", text.lower())


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetInfo:
    """What a file holds.

    Attributes:
        k_truth: columns of ``neighbors``, 0 if the file has no truth.
        contiguous: ``train`` is one run of bytes in the file, so that it can be mapped.
        train_offset: where that run begins, in bytes.
        dtype: of ``train``, with its byte order: ``<f4``.
    """

    metric: Metric
    dim: int
    n_train: int
    n_queries: int
    k_truth: int
    contiguous: bool
    train_offset: int | None
    dtype: str

    def to_plain(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainMap:
    """Where ``train`` lies in a file, for another process to map it.

    Attributes:
        offset: bytes from the beginning of the file.
        dtype: always ``<f4``.
    """

    path: str
    offset: int
    shape: tuple[int, int]
    dtype: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Vectors:
    """What asking an implementation takes: all of a dataset but its truth.

    Attributes:
        info: of what is here: ``n_train``, ``n_queries`` and ``k_truth`` count what was kept.
        train: float32 (n, d), C-contiguous; a private (copy-on-write) map of the file where
            that is possible.
        test: float32 (m, d), C-contiguous.
        train_map: None if ``train`` had to be read or converted.
    """

    info: DatasetInfo
    train: npt.NDArray[np.float32]
    test: npt.NDArray[np.float32]
    train_map: TrainMap | None

    def cut(self, rows: slice) -> Self:
        """The same with these queries only."""
        return dataclasses.replace(self, test=self.test[rows])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LoadedDataset(Vectors):
    """A dataset ready to be benchmarked and scored.

    Attributes:
        neighbors: int64 (m, K), rows of ``train``, nearest first.
        distances: float32 (m, K), ascending.
        n_duplicates: rows of ``train`` that equal an earlier row.
        truth_computed: the truth is ours rather than the file's.
    """

    neighbors: npt.NDArray[np.int64]
    distances: npt.NDArray[np.float32]
    n_zero_train: int
    n_zero_test: int
    n_duplicates: int
    truth_computed: bool

    def cut(self, rows: slice) -> Self:
        return dataclasses.replace(
            self,
            test=self.test[rows],
            neighbors=self.neighbors[rows],
            distances=self.distances[rows],
        )
