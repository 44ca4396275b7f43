"""The process behind a container: started, listened to, signalled, seen to its end."""

import asyncio
import contextlib
import os
import signal as signals
from collections.abc import Callable
from pathlib import Path

from modal_proto import api_pb2

from . import forking

STDOUT, STDERR = api_pb2.FILE_DESCRIPTOR_STDOUT, api_pb2.FILE_DESCRIPTOR_STDERR


class Process:
    """Runs a specification through `template.py`; belongs to the plane's loop.

    Args:
        python: The container's interpreter.
        folder: Holds `spec.json`.
        namespaces: Whether the specification asks for namespaces.
        on_start: Called when the main process exists.
        on_line: Called with each line of output and its file descriptor kind.
        on_end: Called once everything has been read and the process reaped.
    """

    def __init__(
        self,
        python: str,
        folder: Path,
        *,
        namespaces: bool,
        on_start: Callable[[], object],
        on_line: Callable[[str, int], None],
        on_end: Callable[[], None],
    ) -> None:
        self.pid: int | None = None
        self.returncode: int | None = None
        self._namespaces = namespaces
        self._on_start, self._on_line, self._on_end = on_start, on_line, on_end
        self._pipes: dict[int, tuple[int, bytearray]] = {}
        self._loop = asyncio.get_running_loop()
        self._outer: int | None = None
        self._doomed = False
        self._told = bytearray()
        (out, to_out), (err, to_err), (self._status, to_status) = os.pipe(), os.pipe(), os.pipe()
        forking.fork_container(python, folder / "spec.json", (to_out, to_err, to_status))
        for fd in (to_out, to_err, to_status):
            os.close(fd)
        self._loop.add_reader(self._status, self._read_status)
        for fd, descriptor in ((out, STDOUT), (err, STDERR)):
            os.set_blocking(fd, False)
            self._pipes[fd] = (descriptor, bytearray())
            self._loop.add_reader(fd, self._read_pipe, fd)

    def pids(self) -> list[int]:
        """Host pids of the main process and all that descends from it."""
        found = [self.pid] if self.pid else []
        for pid in found:
            for task in _listdir(f"/proc/{pid}/task"):
                try:
                    found += map(int, Path(f"/proc/{pid}/task/{task}/children").read_text().split())
                except OSError:
                    continue
        return found

    def signal(self, number: int) -> None:
        """Signal the main process; end at once what has none yet."""
        if self.pid is None:
            self.kill()
        elif self.returncode is None:
            _kill(self.pid, number)

    def kill(self) -> None:
        """End every process of the container."""
        if self.returncode is not None:
            return
        # In a process namespace all die with the one that holds it.
        for pid in [] if self._namespaces else self.pids():
            _kill(pid, signals.SIGKILL)
        self._doomed = True
        if self._outer is not None:
            _kill(self._outer, signals.SIGKILL)

    def drain(self) -> None:
        """Read what has been written so far."""
        for fd in list(self._pipes):
            self._read_pipe(fd)

    def _read_status(self) -> None:
        text = os.read(self._status, 256)
        self._told += text
        *lines, rest = self._told.decode().split("\n")
        self._told = bytearray(rest.encode())
        for line in lines:
            word, number = line.split()
            if word == "outer":
                self._outer = int(number)
                if self._doomed:
                    _kill(self._outer, signals.SIGKILL)
            elif word == "pid":
                self.pid = int(number)
                self._on_start()
            else:
                self._ended(int(number))
                return
        if not text:  # what forks containers is gone, and they with it
            self._ended(-signals.SIGKILL)

    def _read_pipe(self, fd: int) -> None:
        descriptor, buffer = self._pipes[fd]
        while True:
            try:
                chunk = os.read(fd, 65536)
            except BlockingIOError:
                break
            if not chunk:
                self._close_pipe(fd)
                break
            buffer += chunk
        # A line without its end waits for the rest, unless there will be none.
        end = buffer.rfind(b"\n") + 1 if fd in self._pipes else len(buffer)
        text = buffer[:end].decode(errors="replace")
        del buffer[:end]
        for line in text.splitlines(keepends=True):
            self._on_line(line, descriptor)

    def _close_pipe(self, fd: int) -> None:
        self._loop.remove_reader(fd)
        del self._pipes[fd]
        os.close(fd)

    def _ended(self, code: int) -> None:
        self._loop.remove_reader(self._status)
        os.close(self._status)
        if self.pid is not None and not self._namespaces:
            self._kill_group()
        self.returncode = 128 - code if self._namespaces and code > 128 else code
        self.drain()
        for fd in list(self._pipes):
            self._close_pipe(fd)
        self._on_end()

    def _kill_group(self) -> None:
        # With no namespace around them: the children that stayed in the container's session.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._outer or self.pid, signals.SIGKILL)


def _listdir(path: str) -> list[str]:
    try:
        return [entry.name for entry in Path(path).iterdir()]
    except OSError:
        return []


def _kill(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
