"""The parent's side of a worker: starts it with limits, exchanges frames, reports its end.

A :class:`Worker` has its own process group and inherits only three descriptors: the frame socket,
the mailbox and the training vectors. The end of its output is kept. Leaving the ``with`` block ends
the whole group in any case.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, Self

from pytest_annmodal.channel.wire import Array, Channel, ChannelClosedError, DeadlineError, Message
from pytest_annmodal.errors import (
    BuildError,
    CrashedError,
    ExecutorError,
    InvalidResultError,
    LimitExceededError,
    ProtocolViolationError,
    SmugglingError,
    SubmissionError,
    TimeoutExceededError,
)
from pytest_annmodal.sandbox import (
    contention,
    cores,
    interpreter,
    isolation,
    libraries,
    postmortem,
    process_tree,
    template,
)
from pytest_annmodal.sandbox import memory as usage
from pytest_annmodal.sandbox.contention import Contention
from pytest_annmodal.sandbox.cores import Pinning
from pytest_annmodal.sandbox.interpreter import Interpreter
from pytest_annmodal.sandbox.limits import Watch
from pytest_annmodal.sandbox.output import OutputTail
from pytest_annmodal.sandbox.owned import owned
from pytest_annmodal.sandbox.rest import Rest

LOOK_EVERY_S = 0.2
GRACE_S = 5.0  # for a worker that was asked to finish


class Worker:
    """One worker process; use as a context manager.

    Args:
        threads: value of the thread variables, and the number of cores that the worker gets, if
            there are so many; the calling thread uses other cores, if there are any.
        phase_timeout_s: longest time of a phase.
        inherit: descriptors that the worker gets, by the name of its argument.
        level: its isolation; ``none`` for a trusted implementation.
        readable: files and folders that it may read although it is isolated.
        private: files and folders of which it may see nothing.
        watch: the limits on it and its descendants together.
        memory_bytes: its memory limit, for the message if it crashes.
        numba_cache: its folder for compiled code, see :func:`isolation.environment`.
        python: its interpreter; this process's own by default.
    """

    def __init__(
        self,
        *,
        inherit: Mapping[str, int],
        threads: int,
        phase_timeout_s: float,
        output_bytes: int,
        level: isolation.Level = "none",
        readable: Sequence[str] = (),
        private: Sequence[str] = (),
        watch: Watch | None = None,
        memory_bytes: int | None = None,
        numba_cache: str | None = None,
        python: Interpreter | None = None,
    ) -> None:
        self._python = python or interpreter.own()
        self.level, self._readable, self._private = level, readable, private
        self._watch = watch
        self._memory_bytes, self._numba_cache = memory_bytes, numba_cache
        self._user = isolation.unused_user() if level == "uid" else None
        self._looked_at = 0.0
        self._phase_timeout_s, self._output_bytes = phase_timeout_s, output_bytes
        self._inherit, self._threads = inherit, threads
        self._given = [usage.file_id(fd) for fd in inherit.values()]
        if watch is not None:
            watch.given = self._given
        self._started_at = time.time()
        self._mark = secrets.token_hex(8)
        self.peak_rss_bytes = 0
        self.phase = "start"
        self.answered_at = self._deadline = 0.0
        self.abandoned = False

    def __enter__(self) -> Self:
        ours, theirs = socket.socketpair()
        read_fd, write_fd = os.pipe()
        descriptors = {**self._inherit, "socket": theirs.fileno()}
        command = [*self._python.command, *(f"--{name}={fd}" for name, fd in descriptors.items())]
        shut_in = self.level == "bubblewrap"  # it ends with this process, by its pid namespace
        command.append(f"--parent={0 if shut_in else os.getpid()}")
        if shut_in:
            command = isolation.bubblewrap(command, self._readable, self._private, self._python)
        self._affinity = parents = cores.affinity()
        self.cores = cores.share_out(self._affinity, self._threads)
        self._pinning = Pinning(self.cores.worker, self.family, trusted=self.level == "none")
        with contextlib.ExitStack() as failed:
            failed.callback(ours.close)
            try:
                cores.pin(self.cores.parent)
                self._output = OutputTail(read_fd, self._output_bytes)
                failed.callback(self._output.join)
                # A child inherits this thread's affinity, so its libraries see only these cores.
                cores.pin(self.cores.worker)
                self._process = template.started(
                    command,
                    environment=self._environment(),
                    descriptors=descriptors,
                    output=write_fd,
                    user=self._user,
                    a_copy=self._python.copied and template.is_a_copy(self.level, self._threads),
                )
                parents = self.cores.parent
                failed.pop_all()
            finally:
                theirs.close()
                os.close(write_fd)
                cores.pin(parents)
        self.pid = self._process.pid
        self.stops = Rest(self.pid, self.family, trusted=self.level == "none")
        self._channel = Channel(ours)
        return self

    def _environment(self) -> dict[str, str]:
        if self._user is not None and self._numba_cache is not None:
            os.chown(self._numba_cache, self._user, self._user)
        shown = self._private, self._numba_cache
        return isolation.environment(
            self.level, self._threads, self._mark, *shown, python=self._python
        )

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is None and self.alive and not self.abandoned:
                with contextlib.suppress(SubmissionError):
                    self.request("finish", expect="finished", timeout_s=GRACE_S)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._process.wait(timeout=GRACE_S)
        finally:
            self._kill()
            self._channel.close()
            cores.pin(self._affinity)

    def _kill(self) -> None:
        """Ends the group and processes that left it, as far as found, and reaps the worker."""
        if self.level != "bubblewrap":
            process_tree.end_family(self.pid)
        # The first process of a pid namespace is the last to end.
        first = process_tree.descendants(self.pid)[:1] if self.level == "bubblewrap" else []
        with process_tree.awaited(first):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)
            self._process.wait()
        if self._user is not None:
            process_tree.end_user(self._user)
        process_tree.end_marked(self._mark)
        self._output.join()

    def log_tail(self) -> str:
        return self._output.text()

    @property
    def apart(self) -> bool:
        """Whether the worker has cores that the calling thread does not use."""
        return bool(self._pinning.cores) and self._pinning.cores.isdisjoint(self.cores.parent)

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def in_step(self, error: SubmissionError) -> bool:
        """Whether the worker can take the next request after this error."""
        return isinstance(error, (BuildError, InvalidResultError)) and self.alive

    def abandon(self) -> None:
        """Skips the ``finish`` request at the end: the worker is dead, stuck or out of step."""
        self.abandoned = True

    def begin(self, phase: str) -> None:
        """Starts a phase: sets its name for messages and its time limit."""
        self.phase = phase
        self._deadline = time.monotonic() + self._phase_timeout_s

    def check(self) -> None:
        """Raises SubmissionError if it ended, printed or used too much, or took too long."""
        if self._process.poll() is not None:
            raise self._died()
        if time.monotonic() - self._looked_at > LOOK_EVERY_S:  # too slow for each mailbox spin
            self._looked_at = time.monotonic()
            self._look()
        self._check_output()
        if time.monotonic() > self._deadline:
            raise TimeoutExceededError(
                f"{self.phase} took longer than {self._phase_timeout_s:g} s "
                "(--ann-timeout sets the limit)",
                **self._evidence(),
            )

    def _look(self) -> None:
        """Notes the memory; raises if its processes together exceed a limit."""
        objection = self._watch and self._watch.objection(self.note_memory(), self.phase)
        if objection:
            raise LimitExceededError(objection, **self._evidence())

    def _check_output(self) -> None:
        if self._output.flooded.is_set():
            raise LimitExceededError(
                f"printed more than {self._output_bytes:,} bytes during {self.phase}; "
                "remove the prints",
                **self._evidence(),
            )

    def rest(self, *, trusted: bool = False) -> None:
        """Stops it and its descendants until the next frame, while it is not timed.

        Args:
            trusted: stop a trusted worker too, because another is timed on its core.
        """
        if (trusted or self.level != "none") and self.alive:
            self.stops.begin()

    def wake(self) -> None:
        """Resumes it.

        Raises:
            SmugglingError: processes that it started ran meanwhile.
        """
        self.stops.end()
        if self.level != "none" and self.stops.broken:
            raise SmugglingError(self.stops.objection, **self._evidence())

    def send(
        self, kind: str, fields: Mapping[str, Any] | None = None, arrays: Sequence[Array] = ()
    ) -> None:
        self.wake()
        try:
            self._channel.send(
                kind, fields, arrays, timeout_s=self._phase_timeout_s, waiting=self.check
            )
        except ChannelClosedError as error:
            raise self._died() from error
        except DeadlineError as error:
            raise TimeoutExceededError(f"the worker stopped reading during {self.phase}") from error

    def receive(
        self,
        expect: str,
        *,
        max_array_bytes: int = 0,
        on_progress: Callable[[Message], None] | None = None,
        timeout_s: float | None = None,
    ) -> Message:
        """Waits for the frame ``expect``.

        Raises:
            SubmissionError: the implementation raised, the worker ended, or another frame came.
            ExecutorError: the submission lacks a library that is installed but not shown to it.
        """
        if timeout_s is not None:
            self._deadline = time.monotonic() + timeout_s
        while True:
            while not self._channel.readable(LOOK_EVERY_S):
                self.check()
            try:
                message = self._channel.receive(
                    timeout_s=self._phase_timeout_s,
                    max_array_bytes=max_array_bytes,
                    waiting=self.check,
                )
            except ChannelClosedError as error:
                raise self._died() from error
            except DeadlineError as error:
                raise TimeoutExceededError(f"a frame was incomplete in {self.phase}") from error
            if message.kind == "progress" and on_progress is not None:
                self.check()  # progress frames without end must not extend the time limit
                on_progress(message)
                continue
            self.answered_at = time.perf_counter()
            self._check_output()  # it may have flooded before the first check
            if message.kind == "error":
                self._check_libraries(message.fields)
                raise postmortem.reported(message.fields, self.phase, self._evidence())
            if message.kind != expect:
                raise ProtocolViolationError(f"the worker sent {message.kind!r}, not {expect!r}")
            return message

    def _check_libraries(self, error: Mapping[str, Any]) -> None:
        """Raises if a submission lacks a library that is installed but not shown to it."""
        looked = self.level != "none" and not self._python.apart
        absent = postmortem.absent_module(error) if looked else None
        why = absent and libraries.missing(absent, self.level, self._private)
        if why:
            raise ExecutorError(why)

    def request(
        self,
        kind: str,
        fields: Mapping[str, Any] | None = None,
        arrays: Sequence[Array] = (),
        *,
        expect: str,
        **options: Any,
    ) -> Message:
        """Sends one frame and waits for its answer."""
        self.send(kind, fields, arrays)
        return self.receive(expect, **options)

    def gather(self) -> None:
        """Pins the worker and its descendants to one core, for single queries."""
        self._pinning.within(self.cores.query, self._evidence)

    def spread(self) -> None:
        """Lets it use as many cores as it has threads, for a build, a setting or a batch."""
        self._pinning.within(self.cores.worker, self._evidence)

    def use_cores(self, n: int) -> int:
        """Lets it use n cores, or fewer if there are fewer; returns how many."""
        self._pinning.within(cores.share_out(self._affinity, n).worker, self._evidence)
        return self.n_cores

    @property
    def n_cores(self) -> int:
        """How many cores it is pinned to now; 0 where pinning is impossible."""
        return len(self._pinning.cores)

    def family(self) -> list[int]:
        """Returns the worker and its descendants."""
        return [self.pid, *process_tree.descendants(self.pid)]

    def note_memory(self) -> list[int]:
        """Notes the largest resident size of its processes so far; returns the processes."""
        family = self.family()
        self.peak_rss_bytes = max(self.peak_rss_bytes, usage.peak_rss_bytes(*family))
        return family

    def cpu_s(self) -> float:
        """Returns CPU seconds of the worker and its descendants."""
        return usage.cpu_s(*self.family())

    def watched(self) -> AbstractContextManager[Callable[[], Contention]]:
        """Watches the worker's core for other processes during a block; see ``contention``."""
        return contention.watched(self.pid, self._user, self._place)

    def _place(self) -> tuple[frozenset[int], frozenset[int]]:
        """Returns its cores now, and the calling thread's if it shares none of them."""
        parent = self.cores.parent if self.apart else frozenset()
        return self._pinning.cores or self._affinity, parent

    def held_bytes(self) -> int:
        """Returns bytes that its processes hold, with files that a trusted worker wrote."""
        family, watch = self.note_memory(), self._watch
        if watch is not None:
            memory = held = watch.held_bytes(family)
        else:
            found = owned(*family, given=self._given, since=self._started_at)
            memory, held = found.memory_bytes, found.memory_bytes + found.file_bytes
        self.peak_rss_bytes = max(self.peak_rss_bytes, memory)
        return held

    def _evidence(self) -> dict[str, Any]:
        return {"log_tail": self.log_tail(), "peak_rss_bytes": self.peak_rss_bytes}

    def _died(self) -> SubmissionError:
        """Returns an error that tells how the worker ended."""
        try:
            status = self._process.wait(timeout=GRACE_S)
        except subprocess.TimeoutExpired:
            closed = f"the worker closed its connection during {self.phase}"
            return CrashedError(closed, **self._evidence())
        self._output.join()
        if self.level == "bubblewrap" and status > 128:
            status = 128 - status  # bubblewrap reports a signal like a shell does
        return postmortem.ended(status, self.phase, self._evidence(), self._memory_bytes)
