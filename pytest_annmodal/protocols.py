"""The protocols of volumes (places for files) and executors (places for jobs)."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Protocol

from pytest_annmodal.model import Dataset, Job
from pytest_annmodal.outcome import Outcome


class Volume(Protocol):
    """A place that holds ``{name}.hdf5`` files and is shared between runs."""

    @property
    def name(self) -> str: ...

    @property
    def path(self) -> Path: ...

    @property
    def lock_dir(self) -> Path:
        """The folder of lock files; outside ``path`` if open files would prevent a commit."""

    @property
    def keeps_times(self) -> bool:
        """Whether a file's modification time shows a change; if not, its content is compared."""

    def reload(self) -> None:
        """Loads the changes that others committed. Raises ReloadError."""

    def commit(self) -> None:
        """Makes written files durable and visible to others. Raises CommitError."""


class Stored(Protocol):
    """The dataset files in a volume, by name, also those that the catalogue lacks."""

    @property
    def place(self) -> str:
        """Its name in messages: ``volume 'ann-datasets' on Modal``."""

    @property
    def advice(self) -> str:
        """What to do about a missing name, for messages."""

    def names(self) -> Sequence[str]:
        """Returns the names, without ``.hdf5``. Raises ConfigurationError if that fails."""

    def dataset(self, name: str) -> Dataset:
        """Returns the dataset of one name."""


class Executor(Protocol):
    """Runs jobs. A class that inherits from it must define only ``prepare`` and ``submit``.

    Attributes:
        concurrent: whether all jobs may be submitted at once, before the first test runs.
        remote: whether jobs run on other machines, to which the executor itself brings datasets
            and the implementations' packages.
        machine: the class of those machines (results of different classes are not compared); None
            for this machine.
        stored: dataset files that ``--dataset`` may name besides the catalogue's.
    """

    concurrent: bool = False
    remote: bool = False

    @property
    def machine(self) -> str | None:
        return None

    @property
    def stored(self) -> Stored | None:
        return None

    def expect(self, jobs: Sequence[Job]) -> None:
        """Called with all jobs of the session before the first is submitted."""
        return

    @abstractmethod
    def prepare(self, dataset: Dataset) -> object:
        """Brings the dataset to where jobs find it. Raises DatasetError or VolumeError."""

    def content(self, dataset: Dataset) -> str | None:
        """Returns the sha256 of the dataset's file, or None if not yet known."""
        return dataset.sha256

    @abstractmethod
    def submit(self, job: Job) -> Future[Sequence[Outcome]]:
        """Starts a job; the future gives one outcome per search, in order."""

    def pump(self, future: Future[Sequence[Outcome]]) -> None:
        """Shows progress until the future is done; its result is read afterwards."""
        return

    def log_of(self, case_id: str) -> str:
        """Returns the output of the machine that ran a job, by the job's first case, or ""."""
        return ""

    def shutdown(self, *, cancel: bool = False) -> None:
        """Ends the executor; with ``cancel``, also running jobs."""
        return
