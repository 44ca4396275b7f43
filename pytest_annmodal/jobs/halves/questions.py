"""What a worker's side is told where no truth may be: which rows to index, what to ask.

A referee, who has the truth, writes the questions; whoever drives the worker reads them beside
the published ``train``; see :mod:`.answers` for what comes back.
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
from pytest_annmodal.errors import DatasetError
from pytest_annmodal.jobs import fresh_queries
from pytest_annmodal.model import Job, from_plain

KIND = "questions"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Questions:
    """All of a job's material but ``train`` itself, and no truth.

    Attributes:
        train: name of the published file, ``n_rows`` rows of float32 and nothing else.
        kept: which of its rows are indexed, in their order; None for all.
    """

    info: hdf5.DatasetInfo
    train: str
    n_rows: int
    test: NDArray[np.float32]
    kept: NDArray[np.int64] | None

    def pack(self) -> bytes:
        fields = {"info": self.info.to_plain(), "train": self.train, "n_rows": self.n_rows}
        return wire.pack(KIND, fields, [self.test, *([] if self.kept is None else [self.kept])])

    @classmethod
    def unpack(cls, blob: bytes) -> Questions:
        """Rebuild what a referee has packed: the way here is trusted."""
        message = wire.unpack(blob, KIND)
        fields: dict[str, Any] = dict(message.fields)
        test, *kept = message.arrays
        info = from_plain(hdf5.DatasetInfo, fields.pop("info"))
        return cls(info=info, test=test, kept=kept[0] if kept else None, **fields)

    def vectors(self, path: Path) -> hdf5.Vectors:
        """These questions with the rows that they are about, from a private copy of the file.

        Raises:
            DatasetError: the file is not what was published.
        """
        shape = (self.n_rows, self.info.dim)
        size = path.stat().st_size
        if size != self.n_rows * self.info.dim * 4:
            raise DatasetError(f"{path.name} has {size} bytes, which is not {shape} of float32")
        # Mode "c" is MAP_PRIVATE: writing changes this process's copy and never the file.
        train = np.asarray(np.memmap(path, "<f4", "c", 0, shape))
        if self.kept is not None:
            train = np.ascontiguousarray(train[self.kept])
        return hdf5.Vectors(info=self.info, train=train, test=self.test, train_map=None)


def questions(job: Job, data: hdf5.LoadedDataset, *, train: str, n_rows: int) -> Questions:
    """What a job is asked.

    Args:
        data: as :func:`materials.load <pytest_annmodal.jobs.training_data.load>` gave it.
        train, n_rows: the published file, from which fresh queries' rows are not taken out.
    """
    seed, kept = job.limits.fresh_seed, None
    if seed is not None:
        kept = fresh_queries.kept_rows(n_rows, fresh_queries.n_drawn(n_rows), seed)
    info = dataclasses.replace(data.info, n_queries=len(data.test))
    test = np.ascontiguousarray(data.test, "<f4")
    return Questions(info=info, train=train, n_rows=n_rows, test=test, kept=kept)


def without_secret(job: Job) -> Job:
    """The job as the worker's side gets it: that its queries are fresh, not how they are drawn."""
    if job.limits.fresh_seed is None:
        return job
    return dataclasses.replace(job, limits=dataclasses.replace(job.limits, fresh_seed=0))
