"""Runs jobs on this machine, one at a time, so that they do not disturb each other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from pytest_annmodal.datasets.lines import Reporter
from pytest_annmodal.datasets.sources.sources import source_of
from pytest_annmodal.datasets.volume.resolution import Resolved
from pytest_annmodal.datasets.volume.stored import LocalStored
from pytest_annmodal.datasets.volume.volume import LocalVolume, is_present, resolve
from pytest_annmodal.errors import AnnModalError
from pytest_annmodal.model import Dataset, Job
from pytest_annmodal.outcome import Failure, Outcome
from pytest_annmodal.protocols import Executor

DONE = "done"  # reported after a job's last phase
Reporting = Callable[[Dataset], AbstractContextManager[Reporter]]


class LocalExecutor(Executor):
    """Runs a job when it is submitted, and returns a future that is done.

    Args:
        reporting: gives the Reporter to use while a dataset is resolved.
        on_phase: called with a job and its phase.
    """

    def __init__(
        self,
        volume: LocalVolume,
        *,
        base_urls: Sequence[str] = (),
        reporting: Reporting = lambda _dataset: nullcontext(Reporter()),
        on_phase: Callable[[Job, str], None] = lambda _job, _text: None,
    ) -> None:
        self.volume = volume
        self._base_urls = tuple(base_urls)
        self._reporting, self._on_phase = reporting, on_phase
        self._resolved: dict[str, Resolved] = {}

    @property
    def stored(self) -> LocalStored:
        return LocalStored(self.volume)

    def prepare(self, dataset: Dataset) -> Path:
        """Brings the dataset into the volume, once; returns the path of its file."""
        if dataset.name not in self._resolved:
            with self._reporting(dataset) as reporter:
                self._resolved[dataset.name] = resolve(
                    dataset,
                    self.volume,
                    reporter=reporter,
                    base_urls=self._base_urls,
                )
        return self._resolved[dataset.name].path

    def content(self, dataset: Dataset) -> str | None:
        """Returns the sha256 of the file; None if it would have to be downloaded first."""
        if dataset.name not in self._resolved:
            if source_of(dataset).is_remote and not is_present(dataset, self.volume):
                return None
            try:
                self.prepare(dataset)
            except AnnModalError:  # measuring on it will report it
                return None
        return self._resolved[dataset.name].sha256

    def submit(self, job: Job) -> Future[Sequence[Outcome]]:
        """Runs the job now."""
        from pytest_annmodal.sandbox import template

        if job.implementation.environment is None:
            template.expect(trusted=job.implementation.trusted, threads=job.limits.threads)
        from pytest_annmodal.execution import run_job  # while the template starts

        future: Future[Sequence[Outcome]] = Future()
        try:
            path = self.prepare(job.dataset)
        except AnnModalError as error:
            future.set_result(
                [
                    Failure(
                        case_id=search.case_id,
                        kind="dataset",
                        message=str(error),
                        phase="prepare",
                        blame="infrastructure",
                    )
                    for search in job.searches
                ]
            )
            return future
        try:
            outcomes = run_job(
                job,
                path,
                cache=self.volume.path / ".truth",
                on_phase=lambda text: self._on_phase(job, text),
            )
        finally:
            self._on_phase(job, DONE)
        future.set_result(outcomes)
        return future
