"""What a dataset file holds, as plain data; no array is touched here."""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from pytest_annmodal.distances import metrics

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from pytest_annmodal.distances.rows import Layout

CHECKS = 3  # raise it when :func:`validate` finds more: what was stamped before is checked again


class Identity(NamedTuple):
    """A file's content, as far as the file system knows: replaced or changed, it is another."""

    device: int
    inode: int
    size_bytes: int
    mtime_ns: int

    @classmethod
    def of(cls, status: os.stat_result) -> Identity:
        return cls(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetInfo:
    """What a file holds.

    Attributes:
        metric: its name in :data:`pytest_annmodal.distances.metrics.METRICS`.
        k_truth: columns of ``neighbors``, 0 if the file has no truth.
        contiguous: ``train`` is one run of bytes in the file.
        train_offset: where that run begins, in bytes, if it can be mapped as it is kept.
        dtype: of ``train`` as the file has it, with its byte order: ``<f4``, or ``bfloat16``.
        kept_as: the numpy type of ``train`` in memory: ``float32``, or bytes as they are stored.
        sampled_from: how many rows the file has, where ``n_train`` counts a sample; else 0.
    """

    metric: str
    dim: int
    n_train: int
    n_queries: int
    k_truth: int
    contiguous: bool
    train_offset: int | None
    dtype: str
    sampled_from: int = 0
    kept_as: str = "float32"

    def to_plain(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainMap:
    """Where ``train`` lies in a file, for another process to map it.

    Attributes:
        offset: bytes from the beginning of the file.
        shape, dtype: of the rows as they are kept.
        identity: of the file that was checked; another one is not mapped.
    """

    path: str
    offset: int
    shape: tuple[int, int]
    dtype: str
    identity: Identity


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Vectors:
    """What asking an implementation takes: all of a dataset but its truth.

    Attributes:
        info: of what is here: ``n_train``, ``n_queries`` and ``k_truth`` count what was kept.
        train: n rows as their layout keeps them, for floats (n, d), C-contiguous; a private
            (copy-on-write) map of the file where that is possible.
        test: m rows, likewise.
        train_map: None if ``train`` had to be read or converted.
    """

    info: DatasetInfo
    train: Any
    test: Any
    train_map: TrainMap | None

    @property
    def layout(self) -> Layout:
        """How its rows are kept."""
        return metrics.named(self.info.metric).rows

    def cut(self, rows: slice | npt.NDArray[np.int64]) -> Self:
        """The same with these queries only."""
        return dataclasses.replace(self, test=self.test[rows])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LoadedDataset(Vectors):
    """A dataset ready to be benchmarked and scored.

    Attributes:
        neighbors: int64 (m, K), rows of ``train``, nearest first.
        distances: float32 (m, K), ascending.
        n_duplicates: rows of ``train`` that equal an earlier row.
        n_most_copied: how often the row that is there most often is there.
        copied: bool (n,), which rows of ``train`` are there more than once; None: not looked at.
        order_ratio: see :func:`pytest_annmodal.datasets.composition.order_ratio`.
        truth_computed: the truth is ours rather than the file's.
    """

    neighbors: npt.NDArray[np.int64]
    distances: npt.NDArray[np.float32]
    n_zero_train: int
    n_zero_test: int
    n_duplicates: int
    truth_computed: bool
    n_most_copied: int = 0
    copied: npt.NDArray[np.bool_] | None = None
    order_ratio: float = 1.0

    def cut(self, rows: slice | npt.NDArray[np.int64]) -> Self:
        return dataclasses.replace(
            self,
            test=self.test[rows],
            neighbors=self.neighbors[rows],
            distances=self.distances[rows],
        )
