"""Jobs on Modal: one ``app.run()`` a session, one container a job, all jobs at once."""

from __future__ import annotations

import contextlib
import json
import queue
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import modal

from pytest_annmodal.config import Settings
from pytest_annmodal.errors import (
    DatasetError,
    DownloadError,
    ExecutorError,
    VolumeError,
)
from pytest_annmodal.executors import container
from pytest_annmodal.executors.cloud import MOUNT, Cloud
from pytest_annmodal.executors.connection import check_reachable, explain, translated
from pytest_annmodal.executors.images import requirements_of
from pytest_annmodal.model import Dataset, Job, to_plain
from pytest_annmodal.outcome import Failure, Outcome, outcome_from_plain

SUBMISSION_LIMIT_BYTES = 5 * 10**6
TRUSTED_LIMIT_BYTES = 200 * 10**6
MAX_LOG_LINES = 400


class ModalExecutor:
    """Submits jobs to Modal; every future is filled by a thread of its own.

    Args:
        say: given progress and log lines, from the caller's thread only (see :meth:`pump`).
        cloud: an app that somebody else runs (``modal run``).
        echo: whether to show containers' log lines; ``modal run`` does that by itself.
    """

    concurrent = True

    def __init__(
        self,
        settings: Settings,
        *,
        say: Callable[[str], None],
        cloud: Cloud | None = None,
        echo: bool = True,
    ) -> None:
        self._settings, self._say, self._echo = settings, say, echo
        self._cloud = cloud
        self._opened = cloud is not None
        self._context = contextlib.ExitStack()
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._calls: dict[str, Any] = {}
        self._lock = threading.Lock()
        self.logs: dict[str, deque[str]] = {}
        self._closing = False
        self._prepared: set[str] = set()

    def expect(self, jobs: Sequence[Job]) -> None:
        """Define the functions that the jobs need; images are built when the app opens."""
        if self._cloud is None:
            wanted = [requirements_of(job.implementation) for job in jobs]
            self._cloud = Cloud(self._settings, wanted or [()])

    def _open(self) -> Cloud:
        """Enter ``app.run()`` once.

        The context is not held by a ``with`` block: that would swallow Ctrl-C.
        """
        if self._cloud is None:
            self.expect([])
        assert self._cloud is not None
        if not self._opened:
            check_reachable()
            with translated():
                self._context.enter_context(self._cloud.app.run())
            self._opened = True
        return self._cloud

    def prepare(self, dataset: Dataset) -> None:
        """Fill the cloud volume, once per dataset.

        Raises:
            DatasetError, VolumeError: as ``resolve`` in the container had it.
            ExecutorError: Modal cannot be used.
        """
        if dataset.name in self._prepared:
            return
        cloud = self._open()
        dataset = self._uploaded(dataset, cloud)
        with translated():
            call = cloud.download.spawn(
                to_plain(dataset), cloud.where, list(self._settings.base_url)
            )
            with self._watched(call):
                for line in log_lines(call):
                    if self._echo:
                        self._say(line)
                result = call.get()
        if not result["ok"]:
            kinds: dict[str, type[Exception]] = {
                "CommitError": VolumeError,
                "DownloadError": DownloadError,
            }
            raise kinds.get(result["kind"], DatasetError)(result["error"])
        self._prepared.add(dataset.name)

    def _uploaded(self, dataset: Dataset, cloud: Cloud) -> Dataset:
        """Put a file of the user's own into the volume, if it is not there already."""
        if not dataset.source.startswith("file:"):
            return dataset
        path = Path(dataset.source.removeprefix("file:"))
        name = f"{dataset.name}.hdf5"
        with translated():
            present = {entry.path.lstrip("/"): entry.size for entry in cloud.volume.listdir("/")}
            if present.get(name) != path.stat().st_size:
                self._say(f"📤 Uploading {path} to volume '{self._settings.modal_volume}'")
                with cloud.volume.batch_upload(force=True) as batch:
                    batch.put_file(str(path), f"/{name}")
        return Dataset.from_plain({**to_plain(dataset), "source": f"file:{MOUNT}/{name}"})

    def submit(self, job: Job) -> Future[Sequence[Outcome]]:
        """Start the job in a container of its own, now."""
        cloud = self._open()
        runner = cloud.runner_for(job.implementation)
        if runner is None:
            raise ExecutorError(
                f"{job.label} was not expected when the session began, and its image was not "
                "built; give the test its case by parametrization"
            )
        future: Future[Sequence[Outcome]] = Future()
        future.set_running_or_notify_cancel()
        # A daemon thread: a call that never ends must not keep the interpreter from ending.
        threading.Thread(
            target=lambda: future.set_result(self._run(job, cloud, runner)),
            name=f"annmodal {job.label}",
            daemon=True,
        ).start()
        return future

    def _run(self, job: Job, cloud: Cloud, runner: Any) -> Sequence[Outcome]:
        """One job from spawn to outcomes; an infrastructure fault is tried once more."""
        problem = "cancelled"
        for attempt in (1, 2):
            if self._closing:
                break
            try:
                return self._attempt(job, cloud, runner)
            except modal.exception.FunctionTimeoutError:
                text = (
                    f"did not finish within {self._settings.modal_timeout_s} s "
                    "(--modal-timeout sets the limit)"
                )
                return failures(job, "timeout", text, blame="submission")
            except (OSError, ValueError) as error:
                return failures(job, "unusable", str(error), blame="submission")
            except Exception as error:  # noqa: BLE001 -- the client raises many types
                problem = explain(error)
                if attempt == 1 and not self._closing:
                    self._lines.put(f"{job.label}: {problem} (trying once more)")
        return failures(job, "infrastructure", problem, blame="infrastructure")

    def log_of(self, case_id: str) -> str:
        """The last log lines of the container that ran a job, by its first case."""
        return "\n".join(self.logs.get(case_id, ()))

    def _attempt(self, job: Job, cloud: Cloud, runner: Any) -> Sequence[Outcome]:
        limit = TRUSTED_LIMIT_BYTES if job.implementation.trusted else SUBMISSION_LIMIT_BYTES
        shipped, files = container.ship(job.implementation, limit)
        plain = {**to_plain(job), "implementation": to_plain(shipped)}
        plain["limits"]["phase_timeout_s"] = min(
            job.limits.phase_timeout_s, max(self._settings.modal_timeout_s - 30, 1)
        )
        call = runner.spawn(json.dumps(plain), files, cloud.where, cloud.download)
        with self._watched(call):
            log = self.logs[job.searches[0].case_id] = deque(maxlen=MAX_LOG_LINES)
            for line in log_lines(call):
                if line.startswith(container.PHASE):
                    self._lines.put(line.removeprefix(container.PHASE))
                else:
                    log.append(line)
            return outcomes_of(job, call.get())

    @contextlib.contextmanager
    def _watched(self, call: Any) -> Any:
        """Know the call while it runs, so that ``shutdown`` can cancel it."""
        with self._lock:
            self._calls[call.object_id] = call
        try:
            yield
        finally:
            with self._lock:
                self._calls.pop(call.object_id, None)

    def pump(self, future: Future[Any]) -> None:
        """Print progress lines until the future is done; called by whoever waits for it."""
        finished = threading.Event()

        def finish(_future: Future[Any]) -> None:
            finished.set()
            self._lines.put("")  # wakes the loop below

        future.add_done_callback(finish)
        while not finished.is_set() or not self._lines.empty():
            line = self._lines.get()
            if line and self._echo:
                self._say(line)

    def shutdown(self, *, cancel: bool = False) -> None:
        """Cancel what runs, close the app; nothing is left running or billing."""
        self._closing = True
        with self._lock:
            running = list(self._calls.values()) if cancel else []
        for call in running:
            with contextlib.suppress(Exception):
                call.cancel(terminate_containers=True)
        if self._opened:
            with contextlib.suppress(modal.exception.Error):
                self._context.close()
        self._opened = False


def log_lines(call: Any) -> Any:
    """The call's log, line by line, until it ends; losing the log loses no result."""
    pending = ""
    with contextlib.suppress(modal.exception.Error, OSError, AttributeError):
        for entry in call.logs.stream():
            text = pending + (entry if isinstance(entry, str) else entry.message)
            *lines, pending = text.split("\n")
            yield from lines
    if pending:
        yield pending


def outcomes_of(job: Job, text: Any) -> list[Outcome]:
    """Check what a container returned.

    Raises:
        ExecutorError: it is not one outcome per search.
    """
    try:
        outcomes = [outcome_from_plain(item) for item in json.loads(text)]
        ids = [outcome.case_id for outcome in outcomes]
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise ExecutorError(f"the container's result cannot be read: {error!r}") from error
    if ids != [search.case_id for search in job.searches]:
        raise ExecutorError(
            f"the container returned results for {ids}, which is not what was asked"
        )
    return outcomes


def failures(job: Job, kind: str, message: str, *, blame: Any) -> list[Outcome]:
    return [
        Failure(case_id=search.case_id, kind=kind, message=message, phase="modal", blame=blame)
        for search in job.searches
    ]
