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
from pytest_annmodal.distances import metrics
from pytest_annmodal.errors import DatasetError
from pytest_annmodal.jobs import fresh_queries
from pytest_annmodal.model import Job, from_plain

KIND = "questions"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Questions:
    """All of a job's material but ``train`` itself, and no truth.

    Attributes:
        train: name of the published file: ``n_rows`` rows as they are kept, and nothing else.
        test: as the layout has queries cross a border.
        kept: which of its rows are indexed, in their order; None for all.
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
        size = path.stat().st_size
        if size != self.n_bytes:
            raise DatasetError(f"{path.name} has {size} bytes, and {self.n_bytes} were published")
        # Mode "c" is MAP_PRIVATE: writing changes this process's copy and never the file.
        memory = np.asarray(np.memmap(path, np.uint8, "c"))
        layout = metrics.named(self.info.metric).rows
        train = layout.unlaid(memory, self.n_rows, self.info.kept_as)
        if self.kept is not None:
            train = train[self.kept]
        test = layout.unwired(self.test)
        return hdf5.Vectors(info=self.info, train=train, test=test, train_map=None)


def questions(
    job: Job, data: hdf5.LoadedDataset, *, train: str, n_rows: int, n_bytes: int
) -> Questions:
    """What a job is asked.

    Args:
        data: as :func:`materials.load <pytest_annmodal.jobs.training_data.load>` gave it.
        train, n_rows, n_bytes: the published file; fresh queries' rows are not taken out of it.
    """
    seed, kept = job.limits.fresh_seed, None
    if seed is not None:
        kept = fresh_queries.kept_rows(n_rows, fresh_queries.n_drawn(n_rows), seed)
    info = dataclasses.replace(data.info, n_queries=len(data.test))
    return Questions(
        info=info, train=train, n_rows=n_rows, n_bytes=n_bytes, test=data.layout.wired(data.test),
        kept=kept,
    )  # fmt: skip


def without_secret(job: Job) -> Job:
    """The job as the worker's side gets it: that its queries are fresh, not how they are drawn."""
    if job.limits.fresh_seed is None:
        return job
    return dataclasses.replace(job, limits=dataclasses.replace(job.limits, fresh_seed=0))
