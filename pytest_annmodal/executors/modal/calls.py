"""Remote calls: waits for their results, reads their logs, cancels them."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import modal

from pytest_annmodal.errors import ExecutorError
from pytest_annmodal.executors.modal.connection import POLL_S
from pytest_annmodal.executors.modal.container import END
from pytest_annmodal.model import Job
from pytest_annmodal.outcome import Outcome, outcome_from_plain

SILENCE_S = 5.0  # wait after the result for a log that has not begun
LAST_LINES_S = 20.0  # wait for the last line of a log that has begun
HURRY_S = 1.0  # wait for later logs, once one had no end


class Calls:
    """Keeps the running calls, so that all of them can be cancelled.

    Args:
        longest_s: longest time that a call may take. A service may say of a call that still runs
            that its result is gone, so that is believed only after this time.

    Attributes:
        closing: the session is ending; no new call may start.
    """

    def __init__(self, longest_s: float = 0.0) -> None:
        self._longest_s = longest_s
        self.closing = False
        self._running: dict[str, Any] = {}
        self._lock = threading.Lock()
        self._log_has_end = True  # False once a log had no end

    def result_of(
        self,
        call: Any,
        on_line: Callable[[str], None] | None = None,
        *,
        get: Callable[[Any], Any] = lambda call: call.get(timeout=POLL_S),
    ) -> Any:
        """Returns the call's result; calls ``on_line`` with log lines from another thread.

        A missing or endless log does not affect the result. If the log has begun, its last line
        is waited for after the result.

        Args:
            get: waits for the result, at most POLL_S.

        Raises:
            modal.exception.OutputExpiredError: the service no longer has the result.
        """
        log = None if on_line is None else _Log(call, on_line)
        with self._lock:
            self._running[call.object_id] = call
        try:
            result = self._once_there(call, get)
            if log is not None and not log.ended(patient=self._log_has_end):
                self._log_has_end = False
            return result
        finally:
            with self._lock:
                self._running.pop(call.object_id, None)
            if log is not None:
                log.over.set()

    def _once_there(self, call: Any, get: Callable[[Any], Any]) -> Any:
        """Asks for the result in steps, since the client waits forever for one that is gone."""
        there_at = time.monotonic()
        while True:
            asked = time.monotonic()
            try:
                return get(call)
            except modal.exception.OutputExpiredError:
                if time.monotonic() - there_at > self._longest_s:
                    raise
            except TimeoutError:
                # The function itself may have raised it; asked again, that comes at once.
                if time.monotonic() - asked < POLL_S / 2:
                    raise
                there_at = time.monotonic()

    def cancel(self) -> None:
        """Ends all calls and their containers."""
        with self._lock:
            running = list(self._running.values())
        for call in running:
            with contextlib.suppress(Exception):
                call.cancel(terminate_containers=True)


class _Log:
    """Reads a call's log in a thread until its last line, or until ``over`` is set."""

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
        """Waits for the end of the log after the result; returns whether it came."""
        self._reader.join(SILENCE_S if patient else HURRY_S)
        if patient and self._begun.is_set():
            self._reader.join(LAST_LINES_S)
        return not self._reader.is_alive()


def _log_lines(call: Any) -> Iterator[str]:
    """Yields the call's log line by line, until it ends or fails."""
    pending = ""
    with contextlib.suppress(Exception):
        for entry in call.logs.stream():
            text = pending + (entry if isinstance(entry, str) else entry.message)
            *lines, pending = text.replace("\r\n", "\n").split("\n")
            yield from lines
    if pending:
        yield pending


def outcomes_of(job: Job, text: Any) -> list[Outcome]:
    """Reads the outcomes that a container returned.

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
