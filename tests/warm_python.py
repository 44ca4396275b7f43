"""Starts Python processes that have what they import already: copies of one that has imported it.

``python -m pytest`` takes more than half a second of CPU time before its first test, and one that
talks to Modal more than a second; a copy takes hundredths. It is a process of its own like any
other: own modules, signals, streams, exit status. What it does not show is what an import does, what
the interpreter's own options and variables (``-W``, ``PYTHONIOENCODING``) do, and what a terminal
sees: tests of these start the interpreter.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent import futures
from pathlib import Path
from typing import IO

import pytest_annmodal

TEMPLATE = Path(__file__).with_name("warm_template.py")
ENVIRONMENT = dict(os.environ)  # before any test has changed it
PACKAGE = Path(pytest_annmodal.__file__).parent


class WarmProcess:
    """A copy, with the part of :class:`subprocess.Popen` that tests use.

    Attributes:
        stdout, stderr: what it prints and its errors, where they go into pipes.
        returncode: None until it was waited for; negative for a signal.
    """

    def __init__(self, arguments: Sequence[str], told: int, *pipes: IO[str]) -> None:
        self.args = list(arguments)
        self.stdout, self.stderr = (*pipes, None, None)[:2]
        self._told = os.fdopen(told, "r", encoding="ascii")
        self.pid = int(self._told.readline())
        self.returncode: int | None = None

    def poll(self) -> int | None:
        return self._ended(0)

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end.

        Raises:
            subprocess.TimeoutExpired.
        """
        status = self._ended(timeout)
        if status is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0)
        return status

    def _ended(self, timeout_s: float | None) -> int | None:
        if self.returncode is None and select.select([self._told], [], [], timeout_s)[0]:
            said = self._told.readline()
            self.returncode = int(said) if said else -signal.SIGKILL  # the template was killed
            self._told.close()
        return self.returncode

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """What it printed and its errors, as far as nobody has read them, once all have ended who could print.

        Raises:
            subprocess.TimeoutExpired.
        """
        end = None if timeout is None else time.monotonic() + timeout
        with futures.ThreadPoolExecutor(2) as pool:
            reading = [pool.submit(_rest, stream) for stream in (self.stdout, self.stderr)]
            if futures.wait(reading, timeout).not_done:
                self.kill()  # or the threads would go on reading
                raise subprocess.TimeoutExpired(self.args, timeout or 0)
        self.wait(None if end is None else max(0.0, end - time.monotonic()))
        out, err = (read.result() for read in reading)
        return out, err

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


Process = WarmProcess | subprocess.Popen[str]


def start(
    kind: str,
    arguments: Sequence[object],
    *,
    cwd: Path,
    env: Mapping[str, str],
    output: tuple[int, int] | None = None,
    errors_apart: bool = False,
) -> Process:
    """Start ``python ARGUMENTS``, the leader of a session of its own, with nothing to read.

    Where its PYTHONPATH leads to another copy of the package, it is the interpreter itself.

    Args:
        kind: what has been imported: ``pytest`` (the plugin too) or ``modal`` (the client as well).
        arguments: ``-m``, a module and its arguments, or a script and its arguments.
        output: descriptors for what it prints and for its errors, if not pipes.
        errors_apart: whether there is a pipe of their own for errors.
    """
    if _finds_another(env):
        assert not errors_apart
        return _started_cold(arguments, cwd, env, output)
    words = [str(argument) for argument in arguments]
    request = {
        "arguments": words,
        "cwd": str(cwd),
        "env": dict(env),
        "cores": sorted(os.sched_getaffinity(0)),
    }
    message = json.dumps(request).encode()
    with contextlib.ExitStack() as stack:

        def pipe() -> tuple[int, int]:
            ours, theirs = os.pipe()
            stack.callback(os.close, theirs)
            return ours, theirs

        nothing = stack.enter_context(open(os.devnull, "rb"))  # noqa: PTH123
        pipes = [] if output else [pipe() for _ in range(1 + errors_apart)]
        told, tells = pipe()
        written = output or (pipes[0][1], pipes[-1][1])
        given = [nothing.fileno(), *written, tells]
        try:
            socket.send_fds(template(kind), [message], given)
        except OSError:  # a test has killed it
            template.cache_clear()
            socket.send_fds(template(kind), [message], given)
    return WarmProcess(words, told, *(os.fdopen(ours, encoding="utf-8") for ours, _ in pipes))


def _finds_another(env: Mapping[str, str]) -> bool:
    """Whether a PYTHONPATH leads to a copy of the package, with a change that the test is about."""
    places = filter(None, env.get("PYTHONPATH", "").split(os.pathsep))
    found = [Path(place, PACKAGE.name) for place in places]
    return any(one.is_dir() and not one.samefile(PACKAGE) for one in found)


def _started_cold(
    arguments: Sequence[object],
    cwd: Path,
    env: Mapping[str, str],
    output: tuple[int, int] | None,
) -> subprocess.Popen[str]:
    out, err = output or (subprocess.PIPE, subprocess.STDOUT)
    return subprocess.Popen(
        [sys.executable, *map(str, arguments)],
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=out,
        stderr=err,
        text=True,
        start_new_session=True,
    )


def _rest(stream: IO[str] | None) -> str:
    if stream is None or stream.closed:
        return ""
    with stream:
        return stream.read()


@functools.lru_cache
def template(kind: str) -> socket.socket:
    """The socket at whose other end a ``warm_template.py`` serves until this one is closed."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2**20)
    with theirs:
        subprocess.run(
            [sys.executable, TEMPLATE, str(theirs.fileno()), kind],
            stdin=subprocess.DEVNULL,
            env=ENVIRONMENT,
            pass_fds=[theirs.fileno()],
            check=True,
        )
    return ours
