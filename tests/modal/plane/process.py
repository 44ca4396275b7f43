"""The process behind a container: started, listened to, signalled, seen to its end."""

import asyncio
import contextlib
import os
import re
import signal as signals
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from modal_proto import api_pb2

STDOUT, STDERR = api_pb2.FILE_DESCRIPTOR_STDOUT, api_pb2.FILE_DESCRIPTOR_STDERR
ENTER = Path(__file__).with_name("enter.py")


class Process:
    """Runs a specification through `enter.py`; belongs to the plane's loop.

    Args:
        folder: Holds `spec.json`.
        namespaces: Whether the specification asks for namespaces.
        on_start: Called when the main process exists.
        on_line: Called with each line of output and its file descriptor kind.
        on_end: Called once everything has been read and the process reaped.
    """

    def __init__(
        self,
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
        status_read, status_write = os.pipe()
        # Started from the loop's own thread: the kernel's "parent died" signal is tied to the
        # thread that forked.
        self._popen = subprocess.Popen(
            [sys.executable, "-I", "-S", str(ENTER), str(folder / "spec.json"), str(status_write)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=folder,
            env={},
            pass_fds=[status_write],
            start_new_session=True,
        )
        os.close(status_write)
        self._status: int | None = status_read
        self._loop.add_reader(status_read, self._read_status)
        assert self._popen.stdout is not None
        assert self._popen.stderr is not None
        for pipe, descriptor in ((self._popen.stdout, STDOUT), (self._popen.stderr, STDERR)):
            os.set_blocking(pipe.fileno(), False)
            self._pipes[pipe.fileno()] = (descriptor, bytearray())
            self._loop.add_reader(pipe.fileno(), self._read_pipe, pipe.fileno())
        self._pidfd = os.pidfd_open(self._popen.pid)
        self._loop.add_reader(self._pidfd, self._ended)

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
        _kill(self._popen.pid, signals.SIGKILL)

    def drain(self) -> None:
        """Read what has been written so far."""
        for fd in list(self._pipes):
            self._read_pipe(fd)

    def _read_status(self) -> None:
        assert self._status is not None
        text = os.read(self._status, 256).decode()
        self._close_status()
        if match := re.match(r"pid (\d+)", text):
            self.pid = int(match.group(1))
            self._on_start()

    def _close_status(self) -> None:
        if self._status is not None:
            self._loop.remove_reader(self._status)
            os.close(self._status)
            self._status = None

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

    def _ended(self) -> None:
        self._loop.remove_reader(self._pidfd)
        os.close(self._pidfd)
        code = self._popen.wait()
        if self.pid is not None and not self._namespaces:
            self._kill_group()
        self.returncode = 128 - code if self._namespaces and code > 128 else code
        self.drain()
        for fd in list(self._pipes):
            self._close_pipe(fd)
        self._close_status()
        for pipe in (self._popen.stdout, self._popen.stderr):
            assert pipe is not None
            pipe.close()
        self._on_end()

    def _kill_group(self) -> None:
        # With no namespace around them: the children that stayed in the container's session.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._popen.pid, signals.SIGKILL)


def _listdir(path: str) -> list[str]:
    try:
        return [entry.name for entry in Path(path).iterdir()]
    except OSError:
        return []


def _kill(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
