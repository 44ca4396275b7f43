"""One remote call: its log, its result, its end."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

from pytest_annmodal.errors import ExecutorError
from pytest_annmodal.executors.modal.container import END
from pytest_annmodal.model import Job
from pytest_annmodal.outcome import Outcome, outcome_from_plain

SILENCE_S = 5.0  # after the result, for a log of which nothing has come
LAST_LINES_S = 20.0  # for one that has not come to its last line
HURRY_S = 1.0  # for the others, once a log was waited for in vain


class Calls:
    """The calls that are running, so that all of them can be cancelled.

    Attributes:
        closing: the session ends; nothing new is to be started.
    """

    def __init__(self) -> None:
        self.closing = False
        self._running: dict[str, Any] = {}
        self._lock = threading.Lock()
        self._log_has_end = True  # until one was waited for in vain

    def result_of(
        self,
        call: Any,
        on_line: Callable[[str], None] | None = None,
        *,
        get: Callable[[Any], Any] = lambda call: call.get(),
    ) -> Any:
        """The call's result; ``on_line`` is given its log as it comes, from another thread.

        Losing the log loses no result: whether a log ends, or is there at all, is the service's
        business. After the result its last line is waited for, where the log has begun.

        Args:
            get: waits for the result.
        """
        log = None if on_line is None else _Log(call, on_line)
        with self._lock:
            self._running[call.object_id] = call
        try:
            result = get(call)
            if log is not None and not log.ended(patient=self._log_has_end):
                self._log_has_end = False
            return result
        finally:
            with self._lock:
                self._running.pop(call.object_id, None)
            if log is not None:
                log.over.set()

    def cancel(self) -> None:
        """End every call and its container."""
        with self._lock:
            running = list(self._running.values())
        for call in running:
            with contextlib.suppress(Exception):
                call.cancel(terminate_containers=True)


class _Log:
    """A call's log, read by a thread of its own until its last line, or until ``over``."""

    def __init__(self, call: Any, on_line: Callable[[str], None]) -> None:
        self.over, self._begun = threading.Event(), threading.Event()

        def read() -> None:
            for line in _log_lines(call):
                self._begun.set()
                if self.over.is_set() or line == END:
                    return
                on_line(line)

        self._reader = threading.Thread(target=read, name="annmodal log", daemon=True)
        self._reader.start()

    def ended(self, *, patient: bool) -> bool:
        """Wait for its end, the result being there; False if there is none."""
        self._reader.join(SILENCE_S if patient else HURRY_S)
        if patient and self._begun.is_set():
            self._reader.join(LAST_LINES_S)
        return not self._reader.is_alive()


def _log_lines(call: Any) -> Iterator[str]:
    """The call's log, line by line, until it ends or cannot be had."""
    pending = ""
    with contextlib.suppress(Exception):
        for entry in call.logs.stream():
            text = pending + (entry if isinstance(entry, str) else entry.message)
            *lines, pending = text.replace("\r\n", "\n").split("\n")
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
        raise ExecutorError(
            f"{job.label}: the container's result cannot be read: {error!r}"
        ) from error
    if ids != [search.case_id for search in job.searches]:
        raise ExecutorError(
            f"{job.label}: the container returned results for {ids}, which is not what was asked"
        )
    return outcomes
