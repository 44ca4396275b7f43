"""The seams: what a place for files and a place for jobs must offer."""

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
        """Where lock files are held open; where open files prevent a commit, outside ``path``."""

    @property
    def keeps_times(self) -> bool:
        """Whether a file's time of change tells that it was changed; else its content does."""

    def reload(self) -> None:
        """See what others committed. Raises ReloadError."""

    def commit(self) -> None:
        """Make what was written durable and visible. Raises CommitError."""


class Stored(Protocol):
    """The dataset files that lie in a volume, by name, for those that no catalogue has."""

    @property
    def place(self) -> str:
        """How a message calls it: ``volume 'ann-datasets' on Modal``."""

    @property
    def advice(self) -> str:
        """What to do about a name that is not there."""

    def names(self) -> Sequence[str]:
        """What is there, without ``.hdf5``. Raises ConfigurationError if nobody can look."""

    def dataset(self, name: str) -> Dataset:
        """One of them."""


class Executor(Protocol):
    """Where jobs run. A class of one's own that inherits from this needs prepare and submit only.

    Attributes:
        concurrent: whether all jobs may be submitted at once, before the first test runs.
        remote: whether jobs run on other machines, to which the executor itself brings datasets
            and what implementations need.
        machine: the class of those machines, as two results must share it to be compared; None
            for this one.
        stored: the dataset files that ``--dataset`` may name beside the catalogue's.
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
        """Be told of all jobs of the session before the first is submitted."""
        return

    @abstractmethod
    def prepare(self, dataset: Dataset) -> object:
        """Have the dataset where jobs find it. Raises DatasetError or VolumeError."""

    def content(self, dataset: Dataset) -> str | None:
        """Sha256 of the dataset's file as it is measured, or None where nobody knows it yet."""
        return dataset.sha256

    @abstractmethod
    def submit(self, job: Job) -> Future[Sequence[Outcome]]:
        """Start a job; the future gives one outcome per search, in order."""

    def pump(self, future: Future[Sequence[Outcome]]) -> None:
        """Show progress until the future is done; its result is waited for afterwards."""
        return

    def log_of(self, case_id: str) -> str:
        """What the machine that ran a job printed, by the job's first case; or nothing."""
        return ""

    def shutdown(self, *, cancel: bool = False) -> None:
        """End everything; with ``cancel``, also what still runs."""
        return
