"""Runs jobs on Modal: one ``app.run()`` per session, one container per job, all at once."""

from __future__ import annotations

import contextlib
import dataclasses
import queue
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, InvalidStateError
from typing import Any, TypeVar

import modal

from pytest_annmodal import errors
from pytest_annmodal.errors import AnnModalError, EnvironmentBuildError, ExecutorError
from pytest_annmodal.executors.modal import quiet
from pytest_annmodal.executors.modal.app_runner import OpenApp
from pytest_annmodal.executors.modal.attempts import Attempts, error_of
from pytest_annmodal.executors.modal.calls import Calls
from pytest_annmodal.executors.modal.connection import (
    WAKES_S,
    check_reachable,
    is_of_transport,
    translated,
)
from pytest_annmodal.executors.modal.container import failures
from pytest_annmodal.executors.modal.definitions import (
    Cloud,
    Contents,
    Runner,
    runner_of,
    unbuildable,
    why_unbuildable,
)
from pytest_annmodal.executors.modal.layers import in_image
from pytest_annmodal.executors.modal.plan import plan_of, refuse_too_large
from pytest_annmodal.executors.modal.pulse import Pulse
from pytest_annmodal.executors.modal.stored import CloudStored
from pytest_annmodal.executors.modal.uploads import uploaded
from pytest_annmodal.figures import counted
from pytest_annmodal.model import Dataset, Job, to_plain
from pytest_annmodal.outcome import Outcome
from pytest_annmodal.protocols import Executor
from pytest_annmodal.settings.config import Settings

T = TypeVar("T")
CANCELLING_S = 10.0  # for the service to accept that calls are cancelled
LAST_WORDS_S = 2.0  # for threads to notice that their calls were cancelled
FIRST_MESSAGE_S = 10.0  # without a line before a message about what is waited for
REPEAT_MESSAGE_S = 60.0  # before the next such message
CLOSING_S = 20.0  # for the service to close the app; otherwise it ends with this process


class ModalExecutor(Executor):
    """Submits jobs to Modal; every future is filled by a thread of its own.

    Args:
        say: called with progress and log lines, from the caller's thread only (see :meth:`pump`).
        cloud: an app that is already running (``modal run``).
        echo: whether to show containers' log lines; ``modal run`` shows them itself.
        pulse: a running Pulse, which the caller stops.
    """

    concurrent = True
    remote = True

    def __init__(
        self,
        settings: Settings,
        *,
        say: Callable[[str], None],
        cloud: Cloud | None = None,
        echo: bool = True,
        pulse: Pulse | None = None,
    ) -> None:
        self._settings, self._say, self._echo = settings, say, echo
        self._clouds = [] if cloud is None else [cloud]
        self._apps: list[OpenApp] = []
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._calls = Calls(settings.modal_timeout_s)
        self._threads: list[threading.Thread] = []
        self._unbuildable: dict[Contents, str] = {}
        self._uploads: dict[str, Future[Dataset]] = {}  # begun, and not yet asked for
        self._datasets: dict[str, Dataset] = {}  # prepared ones, as containers find them
        self._submitted: list[Job] = []
        self._attempts = Attempts(settings, self._calls, self._lines.put)
        quiet.hide_tracebacks()
        self._pulse = pulse or Pulse(settings.modal_silence_s)
        self._own_pulse = pulse is None
        self._waiting: list[tuple[Job, Future[Sequence[Outcome]]]] = []

    @property
    def machine(self) -> str:
        return self._settings.modal_machine

    @property
    def stored(self) -> CloudStored:
        return CloudStored(self._settings)

    def expect(self, jobs: Sequence[Job]) -> None:
        """Shows the plan, opens the app with a function for each kind of job, builds the images.

        Raises:
            ConfigurationError, ExecutorError: Modal cannot be used, or the plan is too large.
        """
        if jobs:
            plan = plan_of(jobs, self._settings)
            refuse_too_large(plan, self._settings)
            self._say(plan.line())
        self._pulse.start()
        if not self._clouds:
            datasets = {job.dataset.name: job.dataset for job in jobs}
            self._open(_runners_of(jobs), datasets.values())

    def _open(self, runners: Sequence[Runner], datasets: Iterable[Dataset] = ()) -> Cloud:
        """Opens an app, leaving out images that cannot be built.

        Args:
            datasets: their files are uploaded while the images are built.
        """
        check_reachable()
        with translated():
            cloud = Cloud(self._settings, runners)
            try:
                self._apps.append(OpenApp(cloud.app))
                for dataset in datasets:
                    self._uploads[dataset.name] = self._upload(dataset, cloud)
                self._wait(self._apps[-1].opened, _images(runners))
            except modal.exception.RemoteError as error:
                images = [Contents(), *(runner[0] for runner in runners)]
                building = self._start(lambda: unbuildable(images), "builds")
                failed = self._wait(building, "each image by itself, since one of them failed")
                if Contents() in failed:
                    raise ExecutorError(
                        "The harness's own image could not be built on Modal, independently of any "
                        f"implementation. The end of the build log:\n{failed[Contents()]}"
                    ) from error
                if not failed:
                    raise
                self._unbuildable.update(failed)
                return self._open([runner for runner in runners if runner[0] not in failed])
        self._clouds.append(cloud)
        return cloud

    def prepare(self, dataset: Dataset) -> None:
        """Brings a dataset into the cloud volume, once.

        Raises:
            DatasetError, VolumeError: from ``resolve`` in the container.
            ConfigurationError, ExecutorError: Modal cannot be used.
        """
        if dataset.name in self._datasets:
            return
        self.expect([])
        cloud = self._clouds[0]
        there, result = self._bring(dataset, cloud)
        if not result["ok"] and result["kind"] == errors.DamagedCopyError.__name__:
            self._say(f"⚠️  The copy in volume '{self._settings.modal_volume}' is damaged")
            there, result = self._bring(dataset, cloud, again=True)
        if not result["ok"]:
            raise error_of(result)
        self._datasets[dataset.name] = dataclasses.replace(there, sha256=result["sha256"])

    def content(self, dataset: Dataset) -> str | None:
        """Returns the sha256 of the file that is or will be in the cloud volume, if known."""
        return self._datasets.get(dataset.name, dataset).sha256

    def _bring(
        self, dataset: Dataset, cloud: Cloud, *, again: bool = False
    ) -> tuple[Dataset, dict[str, Any]]:
        """Uploads a dataset if it is a local file, then resolves it in a container."""
        begun = None if again else self._uploads.pop(dataset.name, None)
        upload = begun or self._upload(dataset, cloud, again=again)
        with translated():
            there = self._wait(upload, f"{dataset.name} to be uploaded")
        resolve = self._start(lambda: self._resolve(there, cloud), f"download {dataset.name}")
        return there, self._wait(resolve, f"a container that has {dataset.name} in its volume")

    def _upload(self, dataset: Dataset, cloud: Cloud, *, again: bool = False) -> Future[Dataset]:
        return self._start(lambda: uploaded(dataset, cloud, self._lines.put, again=again), "upload")

    def _start(self, work: Callable[[], T], name: str) -> Future[T]:
        """Runs ``work`` in a thread, as Ctrl-C does not end every wait inside the client."""
        future: Future[T] = Future()
        future.set_running_or_notify_cancel()

        def fill() -> None:
            with contextlib.suppress(InvalidStateError):  # it was given up
                try:
                    future.set_result(work())
                except BaseException as error:  # noqa: BLE001 -- a waiting thread must not hang
                    future.set_exception(error)

        # A daemon: a call that never ends must not keep the interpreter from ending.
        thread = threading.Thread(target=fill, name=f"annmodal {name}", daemon=True)
        self._threads.append(thread)
        thread.start()
        return future

    def _wait(self, future: Future[T], awaited: str) -> T:
        """Shows lines until the future is done, Ctrl-C is pressed or Modal stops answering.

        Args:
            awaited: what is waited for, for a message.
        """
        self._pump(future, awaited)
        if not future.done():
            self._pulse.check()
        return future.result()

    def _resolve(self, dataset: Dataset, cloud: Cloud) -> dict[str, Any]:
        try:
            return self._resolve_once(dataset, cloud)
        except ExecutorError as error:
            if self._calls.closing:
                raise
            check_reachable()
            self._lines.put(f"{dataset.name}: {error} (trying once more)")
            return self._resolve_once(dataset, cloud)

    def _resolve_once(self, dataset: Dataset, cloud: Cloud) -> dict[str, Any]:
        with translated():
            try:
                call = cloud.download.spawn(
                    to_plain(dataset), cloud.where, list(self._settings.base_url)
                )
                result: dict[str, Any] = self._calls.result_of(call, self._lines.put)
            except modal.exception.Error:
                raise
            except Exception as error:
                if is_of_transport(error):
                    raise
                # An exception of the container.
                raise ExecutorError(f"download_dataset failed on Modal: {error!r}") from error
        return result

    def submit(self, job: Job) -> Future[Sequence[Outcome]]:
        """Starts the job now, in a container of its own."""
        try:
            cloud, runner = self._place_of(job)
            located = dataclasses.replace(in_image(job), dataset=self._datasets[job.dataset.name])
        except EnvironmentBuildError as error:
            return _known(failures(job, error.kind, str(error), blame="submission"))
        except AnnModalError as error:
            about_data = isinstance(error, (errors.DatasetError, errors.VolumeError))
            kind = "dataset" if about_data else "infrastructure"
            return _known(failures(job, kind, str(error)))
        if runner is None:
            contents = runner_of(job)[0]
            text = why_unbuildable(contents, self._unbuildable[contents])
            kind = EnvironmentBuildError.kind if contents.environments else "unusable"
            return _known(failures(job, kind, text, blame="submission"))
        future = self._start(lambda: self._attempts.run(located, cloud, runner), job.label)
        self._waiting.append((job, future))
        return future

    def _give_up(self) -> None:
        """Fails all unfinished jobs with blame on the infrastructure: Modal does not answer."""
        for job, future in self._waiting:
            with contextlib.suppress(InvalidStateError):
                future.set_result(failures(job, "infrastructure", self._pulse.words()))

    def _place_of(self, job: Job) -> tuple[Cloud, Any]:
        """Returns app and function for a job; opens another app for an unexpected one."""
        self._pulse.check()
        self._submitted.append(job)
        refuse_too_large(plan_of(self._submitted, self._settings), self._settings)
        self.prepare(job.dataset)
        for cloud in self._clouds:
            runner = cloud.runner_for(job)
            if runner is not None:
                return cloud, runner
        wanted = runner_of(job)
        if wanted[0] not in self._unbuildable:
            self._say(f"Not planned: {plan_of([job], self._settings).line()}")
            cloud = self._open([wanted])
        return self._clouds[-1], self._clouds[-1].runner_for(job)

    def log_of(self, case_id: str) -> str:
        """Returns the last log lines of a job's container, by the job's first case."""
        return "\n".join(self._attempts.logs.get(case_id, ()))

    def pump(self, future: Future[Any]) -> None:
        """Prints progress lines until the future is done; call it before ``future.result()``.

        If Modal stops answering, unfinished jobs fail; other futures stay unfinished.
        """
        label = next((job.label for job, one in self._waiting if one is future), "a job")
        self._pump(future, f"a container that measures {label}")

    def _pump(self, future: Future[Any], awaited: str) -> None:
        finished = threading.Event()

        def finish(_future: Future[Any]) -> None:
            finished.set()
            self._lines.put("")  # wakes the loop below

        future.add_done_callback(finish)
        began = time.monotonic()
        says_at = began + FIRST_MESSAGE_S
        while not finished.is_set() or not self._lines.empty():
            with contextlib.suppress(queue.Empty):
                line = self._lines.get(timeout=WAKES_S)
                if line and self._echo:
                    self._say(line)
                    says_at = time.monotonic() + REPEAT_MESSAGE_S
            if (now := time.monotonic()) >= says_at:
                self._say(f"   Waiting on Modal for {awaited} ({now - began:.0f} s so far)")
                says_at = now + REPEAT_MESSAGE_S
            if self._pulse.silent.is_set():
                self._give_up()
                return

    def shutdown(self, *, cancel: bool = False) -> None:
        """Cancels running calls and closes the app, so that nothing keeps running or billing."""
        self._calls.closing = True
        if self._own_pulse:
            self._pulse.stop()
        answers = not self._pulse.silent.is_set()
        self._attempts.give_up_waiting(len(self._threads))
        if cancel and answers:
            cancelling = threading.Thread(target=self._calls.cancel, daemon=True)
            cancelling.start()
            cancelling.join(min(CANCELLING_S, self._settings.modal_silence_s))
            deadline = time.monotonic() + LAST_WORDS_S
            for thread in self._threads:
                thread.join(max(0.0, deadline - time.monotonic()))
        for app in self._apps:
            closing_s = min(CLOSING_S, self._settings.modal_silence_s)
            app.close(closing_s if answers else LAST_WORDS_S)


def _runners_of(jobs: Sequence[Job]) -> list[Runner]:
    """Returns the jobs' runners; a job with a bad spec is left out and fails when submitted."""
    found = []
    for job in jobs:
        with contextlib.suppress(EnvironmentBuildError, ExecutorError):
            found.append(runner_of(job))
    return found


def _images(runners: Sequence[Runner]) -> str:
    n_images = len({runner[0] for runner in runners})
    return f"{counted(n_images, 'image')} to be built, and for the app to open"


def _known(outcomes: Sequence[Outcome]) -> Future[Sequence[Outcome]]:
    future: Future[Sequence[Outcome]] = Future()
    future.set_result(outcomes)
    return future
