"""The questions of a job, without the truth: which rows to index and which queries to ask.

The referee, which has the truth, writes them; the container that runs the worker reads them
beside the published ``train``. :mod:`.answers` is the way back.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_annmodal.channel import wire
from pytest_annmodal.datasets import hdf5
from pytest_annmodal.distances import metrics
from pytest_annmodal.errors import DatasetError
from pytest_annmodal.jobs import fresh_queries
from pytest_annmodal.model import Job, from_plain

KIND = "questions"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Questions:
    """The data of a job without ``train`` and without the truth.

    Attributes:
        train: name of the published file; it holds ``n_rows`` rows as they are kept.
        test: queries as the layout sends them between processes.
        kept: the rows of the file that are indexed, in their order; None for all.
    """

    info: hdf5.DatasetInfo
    train: str
    n_rows: int
    n_bytes: int
    test: NDArray[Any]
    kept: NDArray[np.int64] | None

    def pack(self) -> bytes:
        names = ("train", "n_rows", "n_bytes")
        fields = {"info": self.info.to_plain(), **{name: getattr(self, name) for name in names}}
        return wire.pack(KIND, fields, [self.test, *([] if self.kept is None else [self.kept])])

    @classmethod
    def unpack(cls, blob: bytes) -> Questions:
        """Rebuilds what the referee packed, which is trusted."""
        message = wire.unpack(blob, KIND)
        fields: dict[str, Any] = dict(message.fields)
        test, *kept = message.arrays
        info = from_plain(hdf5.DatasetInfo, fields.pop("info"))
        return cls(info=info, test=test, kept=kept[0] if kept else None, **fields)

    def vectors(self, path: Path) -> hdf5.Vectors:
        """Returns the queries with the rows to index, from a private mapping of the file.

        Raises:
            DatasetError: the file is not the one that was published.
        """
        size = path.stat().st_size
        if size != self.n_bytes:
            raise DatasetError(f"{path.name} has {size} bytes, but {self.n_bytes} were published")
        # Mode "c" is MAP_PRIVATE: writing changes only this process's copy.
        memory = np.asarray(np.memmap(path, np.uint8, "c"))
        layout = metrics.named(self.info.metric).rows
        train = layout.from_memory(memory, self.n_rows, self.info.kept_as)
        if self.kept is not None:
            train = train[self.kept]
        test = layout.from_message(self.test)
        return hdf5.Vectors(info=self.info, train=train, test=test, train_map=None)


def questions(
    job: Job, data: hdf5.LoadedDataset, *, train: str, n_rows: int, n_bytes: int
) -> Questions:
    """Makes the questions of a job.

    Args:
        data: as :func:`~pytest_annmodal.jobs.training_data.load` returned it.
        train, n_rows, n_bytes: the published file, which includes the rows of fresh queries.
    """
    seed, kept = job.limits.fresh_seed, None
    if seed is not None:
        kept = fresh_queries.kept_rows(n_rows, fresh_queries.n_drawn(n_rows), seed)
    info = dataclasses.replace(data.info, n_queries=len(data.test))
    return Questions(
        info=info, train=train, n_rows=n_rows, n_bytes=n_bytes, kept=kept,
        test=data.layout.to_message(data.test),
    )  # fmt: skip


def without_secret(job: Job) -> Job:
    """Returns the job without the seed of its fresh queries, for the worker's container."""
    if job.limits.fresh_seed is None:
        return job
    return dataclasses.replace(job, limits=dataclasses.replace(job.limits, fresh_seed=0))
