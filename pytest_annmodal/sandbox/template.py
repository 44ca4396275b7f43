"""The parent's side of the template, a process that trusted workers are forked from.

:mod:`pytest_annmodal.worker.template` is the other side. An isolated worker is always started anew,
and so is one with several threads, since a library's threads do not survive a fork.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from pytest_annmodal.channel.copies import GIVEN, RUNNING, SIZE, STATUS
from pytest_annmodal.sandbox import cores, isolation
from pytest_annmodal.sandbox.output import readable
from pytest_annmodal.sandbox.process_tree import MARK

START = (
    f"import sys; sys.path.append({str(Path(__file__).parents[2])!r}); "
    "from pytest_annmodal.worker.template import main; main()"
)
# Variables that the interpreter and numpy read when they load; all others are set in each copy.
READ_AT_START = (
    *("PYTHON", "LC_", "LANG", "LD_", "MALLOC_", "GLIBC_", "OMP_", "OPENBLAS_", "GOTO_", "MKL_"),
    *("BLIS_", "NPY_", "KMP_"),
)
MARK_CHARS = 16
START_S = 60.0


def is_a_copy(level: str, threads: int) -> bool:
    """Whether a worker of this kind is a copy of the template."""
    return level == "none" and threads == 1 and sys.platform == "linux"


class Copy:
    """A copy, with the interface of :class:`subprocess.Popen`.

    Attributes:
        pid: stays reserved after the copy has ended.
        returncode: None while it runs; negative for a signal.
    """

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self.pid, status = STATUS.unpack(self._receive(START_S))
        self.returncode: int | None = None if status == RUNNING else status

    def poll(self) -> int | None:
        """Returns its exit status; None while it runs."""
        return self._await_end(0)

    def wait(self, timeout: float | None = None) -> int:
        """Waits for its end and returns its exit status.

        Raises:
            subprocess.TimeoutExpired: it still runs.
        """
        status = self._await_end(timeout)
        if status is None:
            assert timeout is not None
            raise subprocess.TimeoutExpired("worker", timeout)
        return status

    def _await_end(self, timeout: float | None) -> int | None:
        if self.returncode is None and readable(self._control.fileno(), timeout):
            try:
                _, self.returncode = STATUS.unpack(self._receive(0))
            except EOFError:  # the template was killed, and the kernel killed its copies
                self.returncode = -9
            self._control.close()
        return self.returncode

    def _receive(self, timeout_s: float) -> bytes:
        if not readable(self._control.fileno(), timeout_s):
            raise TimeoutError
        raw = self._control.recv(STATUS.size)
        if len(raw) < STATUS.size:
            raise EOFError
        return raw


class Template:
    """The template: started by :meth:`start` or the first copy, ended by :meth:`close`."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._requests: socket.socket
        self._own: tuple[str, Mapping[str, str]] = ("", {})  # its program, its variables
        self._owner = 0
        self._lock = threading.Lock()

    @property
    def pid(self) -> int | None:
        """Its process id, if it runs."""
        return None if self._process is None else self._process.pid

    def start(self, environment: Mapping[str, str]) -> None:
        """Starts it for workers with these variables, unless it runs; does not wait for it.

        Raises:
            OSError: it could not be started.
        """
        read = {name: text for name, text in environment.items() if name.startswith(READ_AT_START)}
        own = (sys.executable, read)
        if self._process is not None and self._owner == os.getpid():
            if own == self._own and self._process.poll() is None:
                return
            self.close()
        with contextlib.ExitStack() as opened:
            ours, theirs = (opened.enter_context(end) for end in socket.socketpair())
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-u", "-c", START, str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                env={**read, "PATH": environment["PATH"], MARK: "0" * MARK_CHARS},
                start_new_session=True,
                cwd="/",
            )
            opened.pop_all()
        theirs.close()
        self._requests, self._own, self._owner = ours, own, os.getpid()

    def copy(
        self,
        environment: Mapping[str, str],
        descriptors: Mapping[str, int],
        cores: Sequence[int],
    ) -> Copy:
        """Makes a worker by copying the template.

        Args:
            descriptors: by the names of :data:`~.channel.copies.GIVEN`, without ``control``.

        Raises:
            OSError: the template does not start or answer; start the worker without it.
        """
        with self._lock:
            self.start(environment)
            ours, theirs = socket.socketpair()
            try:
                with theirs:
                    request = {
                        "environment": dict(environment),
                        "folder": os.getcwd(),  # noqa: PTH109 -- text
                        "cores": list(cores),
                    }
                    raw = json.dumps(request).encode()
                    given = {**descriptors, "control": theirs.fileno()}
                    socket.send_fds(
                        self._requests, [SIZE.pack(len(raw))], [given[name] for name in GIVEN]
                    )
                    self._requests.sendall(raw)
                return Copy(ours)
            except (OSError, EOFError) as error:
                ours.close()
                self.close()
                raise OSError("the template process does not answer") from error

    def close(self) -> None:
        """Ends it, and its remaining copies."""
        process, self._process = self._process, None
        if process is None or self._owner != os.getpid():  # a fork must not end its parent's
            return
        self._requests.close()
        process.kill()
        process.wait()


TEMPLATE = Template()
atexit.register(TEMPLATE.close)


def expect(*, trusted: bool, threads: int) -> None:
    """Starts the template before a worker that will be a copy of it."""
    if is_a_copy("none" if trusted else "shut in", threads):
        with contextlib.suppress(OSError):  # the worker is then started without it
            TEMPLATE.start(isolation.environment("none", threads, "0" * MARK_CHARS))


def started(
    command: Sequence[str],
    *,
    environment: Mapping[str, str],
    descriptors: Mapping[str, int],
    output: int,
    user: int | None,
    a_copy: bool,
) -> subprocess.Popen[bytes] | Copy:
    """Starts a worker's process, leader of its own group, on the calling thread's cores.

    Args:
        descriptors: those that it inherits, by the names of its arguments.
        output: descriptor that it prints to.
        user: its user id, if not this process's.
        a_copy: copy the template, if possible.
    """
    if a_copy:
        with contextlib.suppress(OSError):
            given = {**descriptors, "output": output}
            return TEMPLATE.copy(environment, given, sorted(cores.affinity()))
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        pass_fds=list(descriptors.values()),
        env=environment,
        start_new_session=True,
        user=user,
        group=user,
        extra_groups=None if user is None else [],
        cwd="/" if user is not None else None,
    )
