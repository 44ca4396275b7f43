"""Types that describe a dataset file and its loaded arrays; nothing here reads a file."""

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

CHECKS = 3  # version of :func:`validate`: raise it when it checks more, to check files again


class Identity(NamedTuple):
    """Identifies a file's content by its metadata; it changes when the file is written."""

    device: int
    inode: int
    size_bytes: int
    mtime_ns: int

    @classmethod
    def of(cls, status: os.stat_result) -> Identity:
        return cls(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetInfo:
    """What a dataset file holds.

    Attributes:
        metric: its name in :data:`pytest_annmodal.distances.metrics.METRICS`.
        k_truth: columns of ``neighbors``, 0 if the file has no truth.
        contiguous: ``train`` is one run of bytes in the file.
        train_offset: first byte of that run, if it can be mapped without conversion; else None.
        dtype: type of ``train`` in the file with its byte order, ``<f4``, or ``bfloat16``.
        kept_as: numpy type of ``train`` in memory: ``float32``, or ``uint8`` or ``int8`` as stored.
        sampled_from: rows of the file, where ``n_train`` counts a sample; else 0.
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
        shape, dtype: of the rows in memory.
        identity: of the checked file; a file with another identity is not mapped.
    """

    path: str
    offset: int
    shape: tuple[int, int]
    dtype: str
    identity: Identity


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Vectors:
    """The vectors of a dataset without its truth: all that building and querying need.

    Attributes:
        info: its ``n_train``, ``n_queries`` and ``k_truth`` count the rows held here.
        train: n rows in their layout, for floats (n, d), C-contiguous; a private
            (copy-on-write) map of the file where possible.
        test: m rows, likewise.
        train_map: None if ``train`` had to be read or converted.
    """

    info: DatasetInfo
    train: Any
    test: Any
    train_map: TrainMap | None

    @property
    def layout(self) -> Layout:
        """The layout of its rows in memory."""
        return metrics.named(self.info.metric).rows

    def cut(self, rows: slice | npt.NDArray[np.int64]) -> Self:
        """Returns the same dataset with these queries only."""
        return dataclasses.replace(self, test=self.test[rows])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LoadedDataset(Vectors):
    """A dataset ready to be benchmarked and scored.

    Attributes:
        neighbors: int64 (m, K), rows of ``train``, nearest first.
        distances: float32 (m, K), ascending.
        n_duplicates: rows of ``train`` that equal an earlier row.
        n_most_copied: size of the largest group of equal rows.
        copied: bool (n,), which rows of ``train`` occur more than once; None if not counted.
        order_ratio: see :func:`pytest_annmodal.datasets.composition.order_ratio`.
        truth_computed: the truth was computed here rather than read from the file.
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
