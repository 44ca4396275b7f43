"""Reads a worker's output: keeps the last bytes and counts all of them."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import select
import threading

LOG_TAIL_BYTES = 16 * 1024
CHUNK_BYTES = 64 * 1024
PIPE_BYTES = 2**20  # so that printing does not wait while the reader sleeps
# Without this pause each printed line would wake the reader on the parent's core during a query.
REST_S = 0.02
MOST_CHUNKS = 32  # what a pipe can hold, so that reading an endless writer ends


def plain(text: object) -> str:
    """Escapes all control characters of a foreign text but tab and newline."""
    return "".join(
        char if char.isprintable() or char in "\n\t" else char.encode("unicode_escape").decode()
        for char in str(text)
    )


def readable(fd: int, timeout_s: float | None) -> bool:
    """Whether there is data or the end of file to read; unlike select() for any descriptor."""
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(None if timeout_s is None else timeout_s * 1000))


class OutputTail:
    """Reads a pipe to its end, keeps the last bytes and counts all of them; closes the pipe."""

    def __init__(self, fd: int, limit_bytes: int) -> None:
        self._fd = fd
        self._limit_bytes = limit_bytes
        self._tail = b""
        self._ended = False
        self._lock = threading.Lock()
        self.n_bytes = 0
        self.flooded = threading.Event()
        self._worker_gone = threading.Event()
        with contextlib.suppress(AttributeError, OSError):  # not Linux, or more than is allowed
            fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        self._thread = threading.Thread(target=self._drain, name="annmodal-output", daemon=True)
        try:
            self._thread.start()
        except RuntimeError as error:  # the system refused another thread
            os.close(fd)
            raise OSError(errno.EAGAIN, str(error)) from error

    def _drain(self) -> None:
        while not self._ended:
            readable(self._fd, None)
            while self._take():
                pass
            if not self._ended:
                self._worker_gone.wait(REST_S)
        os.close(self._fd)

    def _take(self) -> bool:
        """Reads what is in the pipe now; returns false if it was empty."""
        with self._lock:
            if self._ended or not readable(self._fd, 0.0):
                return False
            chunk = os.read(self._fd, CHUNK_BYTES)
            self._ended = not chunk
            self.n_bytes += len(chunk)
            self._tail = (self._tail + chunk)[-LOG_TAIL_BYTES:]
            if self.n_bytes > self._limit_bytes:
                self.flooded.set()
            return bool(chunk)

    def text(self) -> str:
        """Returns the last bytes as text: invalid UTF-8 replaced, control characters escaped."""
        for _ in range(MOST_CHUNKS):  # includes all that was printed before the last frame
            if not self._take():
                break
        return plain(self._tail.decode("utf-8", "replace").replace("\r\n", "\n"))

    def join(self) -> None:
        """Waits for the end of the output, at most 1 s: a stray child may hold the pipe open."""
        self._worker_gone.set()
        self._thread.join(timeout=1.0)
