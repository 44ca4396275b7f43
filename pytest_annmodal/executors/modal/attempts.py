"""Runs one job on Modal from its files to its outcomes; retries if the infrastructure failed."""

from __future__ import annotations

import dataclasses
import json
import sys
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import modal

from pytest_annmodal import errors
from pytest_annmodal.errors import AnnModalError, ConfigurationError, DatasetError, ExecutorError
from pytest_annmodal.executors.modal import bytes_only, container
from pytest_annmodal.executors.modal.calls import Calls, outcomes_of
from pytest_annmodal.executors.modal.connection import check_reachable, explain, translated
from pytest_annmodal.executors.modal.container import failures
from pytest_annmodal.executors.modal.definitions import Cloud
from pytest_annmodal.executors.modal.shipping import ship
from pytest_annmodal.jobs.halves.questions import without_secret
from pytest_annmodal.jobs.runner import unusable
from pytest_annmodal.model import Job, to_plain
from pytest_annmodal.outcome import Outcome
from pytest_annmodal.settings.config import Settings

SUBMISSION_LIMIT_BYTES = 5 * 10**6
TRUSTED_LIMIT_BYTES = 200 * 10**6
MAX_LOG_LINES = 400


class Attempts:
    """Runs jobs, each in the calling thread.

    Args:
        on_line: called with progress lines.
    """

    def __init__(self, settings: Settings, calls: Calls, on_line: Callable[[str], None]) -> None:
        self._settings, self._calls, self._on_line = settings, calls, on_line
        self._questions: dict[tuple[Any, ...], bytes | Sequence[Outcome]] = {}
        self._asking = threading.Lock()
        self._slots = threading.Semaphore(settings.modal_max_containers or sys.maxsize)
        self.logs: dict[str, deque[str]] = {}

    def run(self, job: Job, cloud: Cloud, runner: Any) -> Sequence[Outcome]:
        """Runs a job and returns its outcomes; retries once after an infrastructure fault.

        Args:
            job: with the dataset's place in the containers.
        """
        if job.implementation.error:
            return unusable(job)
        trusted = job.implementation.trusted
        limit = TRUSTED_LIMIT_BYTES if trusted else SUBMISSION_LIMIT_BYTES
        try:
            shipped, files = ship(job.implementation, limit)
        except (OSError, ValueError) as error:
            return failures(job, "unusable", str(error), blame="submission")
        phase_s = min(job.limits.phase_timeout_s, max(self._settings.modal_timeout_s - 30, 1))
        limits = dataclasses.replace(job.limits, phase_timeout_s=phase_s)
        job = dataclasses.replace(job, implementation=shipped, limits=limits)
        once = self._trusted if trusted else self._submission
        problem = "the session ended before it ran"
        for attempt in (1, 2):
            try:
                with self._slots:
                    if self._calls.closing:
                        break
                    return once(job, files, cloud, runner)
            except modal.exception.FunctionTimeoutError:
                return self._out_of_time(job)
            except DatasetError as error:
                return failures(job, "dataset", str(error))
            except Exception as error:  # noqa: BLE001 -- the client raises many types
                problem, again = self._problem(error)
                if attempt == 2 or not again:
                    break
                self._on_line(f"  {job.label}: {problem} (trying once more)")
        return failures(job, "infrastructure", problem)

    def give_up_waiting(self, n_threads: int) -> None:
        """Releases threads that wait for another job to end, when the session closes."""
        self._slots.release(n_threads + 1)

    def _trusted(
        self, job: Job, files: Mapping[str, bytes], cloud: Cloud, runner: Any
    ) -> Sequence[Outcome]:
        call = runner.spawn(json.dumps(to_plain(job)), files, cloud.where, cloud.download)
        return outcomes_of(job, self._calls.result_of(call, self._keeper(job)))

    def _submission(
        self, job: Job, files: Mapping[str, bytes], cloud: Cloud, runner: Any
    ) -> Sequence[Outcome]:
        """Asks in a container without ground truth; the referee reads and scores the answers."""
        keep = self._keeper(job)
        questions = self._questions_for(job, cloud)
        if not isinstance(questions, bytes):
            return [
                dataclasses.replace(known, case_id=search.case_id)
                for known, search in zip(questions, job.searches, strict=True)
            ]
        text = json.dumps(to_plain(without_secret(job)))
        call = runner.spawn(text, files, cloud.where, questions)
        answers = self._calls.result_of(call, keep, get=bytes_only.bytes_of)
        result = self._referee(job, cloud, answers)
        return outcomes_of(job, result["outcomes"])

    def _questions_for(self, job: Job, cloud: Cloud) -> bytes | Sequence[Outcome]:
        """Returns the referee's questions, shared by equal jobs, or the failures it returned."""
        key = (job.dataset, job.limits, len(job.searches))
        with self._asking:
            if key not in self._questions:
                result = self._referee(job, cloud, None)
                known = result.get("questions")
                self._questions[key] = known or outcomes_of(job, result["outcomes"])
        return self._questions[key]

    def _referee(self, job: Job, cloud: Cloud, answers: bytes | None) -> dict[str, Any]:
        with translated():
            call = cloud.referee.spawn(
                json.dumps(to_plain(job)), cloud.where, answers, cloud.download
            )
            result: dict[str, Any] = self._calls.result_of(call)
        if "error" in result:
            raise error_of(result)
        return result

    def _keeper(self, job: Job) -> Callable[[str], None]:
        """Keeps the container's last lines and shows its progress."""
        log = self.logs[job.searches[0].case_id] = deque(maxlen=MAX_LOG_LINES)

        def keep(line: str) -> None:
            text = line.removeprefix(container.PHASE)
            log.append(text)
            if text != line:  # a container under a submission's control can print such lines too
                self._on_line(f"  {text}")

        return keep

    def _out_of_time(self, job: Job) -> Sequence[Outcome]:
        text = f"{job.label} did not finish within {self._settings.modal_timeout_s} s "
        if job.baseline is None:
            text += "(--modal-timeout sets the limit)"
            return failures(job, "timeout", text, blame="submission")
        # Not the submission's fault: a session has three builds, and a hanging one ends earlier.
        text += "together with its baseline: set a longer --modal-timeout, or fewer --ann-sessions"
        return failures(job, "infrastructure", text)

    def _problem(self, error: Exception) -> tuple[str, bool]:
        """Returns the message for an infrastructure fault, and whether a retry may help."""
        if self._calls.closing:
            return "cancelled, since the session ended", False
        try:
            check_reachable()
        except AnnModalError as unreachable:
            return f"The connection to Modal was lost while this ran. {unreachable}", False
        return explain(error), not isinstance(error, modal.exception.AuthError)


def error_of(result: Mapping[str, Any]) -> AnnModalError:
    """Makes the error that a trusted container reported, of the same class if possible."""
    kinds = {
        kind.__name__: kind
        for kind in (
            ConfigurationError,
            ExecutorError,
            errors.VolumeError,
            errors.CommitError,
            errors.DamagedCopyError,
            errors.DownloadError,
            errors.DatasetFormatError,
        )
    }
    return kinds.get(result["kind"], errors.DatasetError)(result["error"])
