"""A copy of a process that has imported what it needs, as seen by who asked for it; standard library only."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from concurrent import futures
from typing import IO


class WarmProcess:
    """A copy, with the part of :class:`subprocess.Popen` that tests use.

    Attributes:
        stdin, stdout, stderr: what it reads, what it prints and its errors, where these are pipes.
        returncode: None until it was waited for; negative for a signal.
    """

    def __init__(self, arguments: Sequence[str], told: int, **pipes: IO[str]) -> None:
        self.args = list(arguments)
        self.stdin, self.stdout, self.stderr = map(pipes.get, ("stdin", "stdout", "stderr"))
        self._told = os.fdopen(told, "r", encoding="ascii")
        self.pid = int(self._told.readline().split()[1])
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
            said = self._told.readline().split()
            self.returncode = int(said[1]) if said else -signal.SIGKILL  # the template was killed
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


def ask(
    server: int,
    arguments: Sequence[str],
    *,
    cwd: str,
    env: Mapping[str, str],
    places: Mapping[int, int],
) -> int:
    """Ask a `warm_template.py` for a copy; returns the descriptor where it tells of it.

    Args:
        server: descriptor of the socket at whose other end it serves.
        arguments: of ``python``.
        places: descriptors, by the numbers that they get in the copy.

    Raises:
        OSError: it was killed.
    """
    request = {
        "arguments": list(arguments),
        "cwd": cwd,
        "env": dict(env),
        "cores": sorted(os.sched_getaffinity(0)),
        "places": list(places),
    }
    told, tells = os.pipe()
    try:
        with socket.socket(fileno=os.dup(server)) as asked:
            socket.send_fds(asked, [json.dumps(request).encode()], [*places.values(), tells])
    except OSError:
        os.close(told)
        raise
    finally:
        os.close(tells)
    return told


def _rest(stream: IO[str] | None) -> str:
    if stream is None or stream.closed:
        return ""
    with stream:
        return stream.read()
