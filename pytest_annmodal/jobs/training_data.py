"""The data a worker gets: training vectors, warm-up vectors, and the queries of each search."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_annmodal.channel import mailbox
from pytest_annmodal.datasets import hdf5
from pytest_annmodal.distances import forms
from pytest_annmodal.distances.forms import Form
from pytest_annmodal.errors import ProtocolViolationError
from pytest_annmodal.jobs import fresh_queries, query_order
from pytest_annmodal.model import Job
from pytest_annmodal.outcome import Part

N_WARMUP = 50
MAX_TUNING = 1000  # queries
WARMUP_SEED = 20_240_229


def load(
    job: Job,
    path: Path,
    cache: Path | None,
    *,
    load_fresh: Callable[..., hdf5.LoadedDataset] = fresh_queries.load_fresh,
) -> hdf5.LoadedDataset:
    """Loads the job's vectors, queries and truth; fresh queries where the job asks for them.

    Args:
        load_fresh: draws fresh queries; a caller may pass one with a larger cache.

    Raises:
        DatasetError: the file cannot be used, or is too small for fresh queries.
        SubmissionError: the job asks for more settings than there are fresh queries.
    """
    limits, k = job.limits, max(search.k for search in job.searches)
    if limits.fresh_seed is None:
        data = hdf5.load(
            path,
            subset=limits.subset,
            n_queries=limits.n_queries,
            k=k,
            truth_cache=cache,
            own=job.dataset.queries,
        )
        return query_order.ordered(data, limits.query_order)
    data = load_fresh(path, subset=limits.subset, seed=limits.fresh_seed, k=k, cache=cache)
    return data.cut(slice(0, n_asked(job, len(data.test))))


def n_asked(job: Job, n_there: int) -> int:
    """Returns how many of a dataset's queries a job uses: the first ones.

    Raises:
        SubmissionError: the job asks for more settings than there are fresh queries.
        DatasetError: there are fewer fresh queries than parts of one setting.
    """
    limits = job.limits
    if limits.fresh_seed is None:
        return min(n_there, limits.n_queries or n_there)
    n_parts = fresh_queries.PARTS_PER_SETTING * len(job.searches)
    return n_parts * fresh_queries.size_of_parts(n_there, n_parts, limits.n_queries)


@dataclass(slots=True, kw_only=True)
class TrainFile:
    """A file that workers map.

    Attributes:
        fields: where ``train`` lies in it: ``offset``, ``n_bytes``, ``n``.
        missing: rows that are still to be written into it, or None.
        form: in which the rows are stored.
        is_dataset: whether it is the dataset's own file; if not, it lies in memory.
    """

    fd: int
    fields: dict[str, Any]
    missing: NDArray[Any] | None
    form: str
    is_dataset: bool

    def fill(self) -> None:
        """Writes the missing rows, then seal the file against writing.

        Raises:
            ProtocolViolationError: the worker has mapped it for writing.
        """
        if self.missing is None:
            return
        with open(self.fd, "wb", closefd=False) as file:
            self.missing.tofile(file)
        self.missing = None
        try:
            mailbox.seal(self.fd)
        except OSError as error:
            raise ProtocolViolationError(
                "the worker mapped the training vectors for writing; they are read-only"
            ) from error


@contextlib.contextmanager
def train_file(job: Job, data: hdf5.Vectors, form: Form) -> Iterator[TrainFile]:
    """Opens the file that the worker maps; for a trusted implementation the dataset file.

    A submission gets memory that holds only ``train``, since the dataset file contains the truth.
    It is filled after the submission is loaded, so that a constructor cannot build before the
    build is timed.
    """
    where, n = data.train_map, len(data.train)
    is_dataset = False
    if where is not None and job.implementation.trusted and form.is_kept_as(data.train):
        is_dataset = True
        fd, missing = _opened(where), None
        fields = {"offset": where.offset, "n_bytes": data.train.nbytes, "n": n}
    else:
        missing = form.to_memory(data.train)
        fields = {"offset": 0, "n_bytes": missing.nbytes, "n": n}
        fd = mailbox.new_shared_file(missing.nbytes, label="annmodal-train")
    file = TrainFile(fd=fd, fields=fields, missing=missing, form=form.name, is_dataset=is_dataset)
    try:
        yield file
    finally:
        os.close(fd)


def _opened(where: hdf5.TrainMap) -> int:
    """Opens the dataset file that was loaded, for reading.

    Raises:
        OSError: it was removed, replaced or changed since.
    """
    fd = os.open(where.path, os.O_RDONLY)
    if hdf5.Identity.of(os.fstat(fd)) != where.identity:
        os.close(fd)
        raise OSError(
            f"{where.path} was changed after it was loaded; run again once it no longer changes"
        )
    return fd


def views(job: Job, data: fresh_queries.V) -> dict[str, tuple[fresh_queries.V, fresh_queries.V]]:
    """Returns, by case id, the queries to ask one by one and those to ask as a batch.

    Both are all queries; with a target recall, those not used for tuning; with fresh queries,
    disjoint parts.
    """
    ids = [search.case_id for search in job.searches]
    if job.limits.fresh_seed is None:
        whole = dict.fromkeys(ids, (data, data))
        tuned = [search.case_id for search in job.searches if search.target is not None]
        if tuned:
            figure = _every_second(data, 1)
            whole |= dict.fromkeys(tuned, (figure, figure))
        return whole
    parts = list(fresh_queries.parts(data, 2 * len(ids)))
    return dict(zip(ids, zip(parts[::2], parts[1::2], strict=True), strict=True))


def form_of(job: Job, data: hdf5.Vectors, warmup: Any) -> Form:
    """Returns the form in which the job's implementation gets rows.

    Args:
        warmup: rows that are asked besides the queries.
    """
    name = data.layout.form(job.implementation.dtypes, data.train)
    longest = max(data.layout.longest(part) for part in (data.test, warmup))
    return forms.make(name, data.info.dim, longest)


def tuning_parts(data: fresh_queries.V) -> dict[Part, fresh_queries.V]:
    """Splits the queries: every second one (at most 1000) for tuning, the others for figures."""
    return {"tuning": _every_second(data, 0, MAX_TUNING), "figure": _every_second(data, 1)}


def _every_second(
    data: fresh_queries.V, start: int, n_at_most: int | None = None
) -> fresh_queries.V:
    end = None if n_at_most is None else start + 2 * n_at_most
    part = data.cut(slice(start, end, 2))
    if not isinstance(part.test, np.ndarray):  # sets: ``cut`` has copied them
        return part
    return dataclasses.replace(part, test=np.ascontiguousarray(part.test))


def warmup_vectors(data: hdf5.Vectors, n: int = N_WARMUP) -> Any:
    """Makes rows similar to the queries: each lies between two random training rows."""
    rng = np.random.default_rng(WARMUP_SEED)
    pairs = rng.integers(0, len(data.train), size=(n, 2))
    return data.layout.between(data.train[pairs[:, 0]], data.train[pairs[:, 1]], rng)
