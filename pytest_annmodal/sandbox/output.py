"""What a worker printed: the last of it, bounded, and how much it was."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import select
import threading

LOG_TAIL_BYTES = 16 * 1024
CHUNK_BYTES = 64 * 1024
PIPE_BYTES = 2**20  # so that nobody who prints has to wait for a reader that rests
# Else each line that is printed would wake the reader on the core of the clock, in the middle of
# a query.
REST_S = 0.02
MOST_CHUNKS = 32  # what a pipe can hold, so that an endless writer holds up nobody


def plain(text: object) -> str:
    """Somebody's words, safe to print: no control characters but tab and newline."""
    return "".join(
        char if char.isprintable() or char in "\n\t" else char.encode("unicode_escape").decode()
        for char in str(text)
    )


def readable(fd: int, timeout_s: float | None) -> bool:
    """Whether there is something to read, or the end; unlike select() for any descriptor."""
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
        with contextlib.suppress(AttributeError, OSError):  # not Linux, or not allowed so much
            fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        self._thread = threading.Thread(target=self._drain, name="annmodal-output", daemon=True)
        try:
            self._thread.start()
        except RuntimeError as error:  # Python's word for what the system refused
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
        """Read what is in the pipe by now; false if there was nothing."""
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
        """The last of it; what is not UTF-8 is replaced, control characters are escaped."""
        for _ in range(MOST_CHUNKS):  # what was printed before a frame belongs to it
            if not self._take():
                break
        return plain(self._tail.decode("utf-8", "replace").replace("\r\n", "\n"))

    def join(self) -> None:
        """Wait for the end of the output; a stray child may hold the pipe, so not for ever."""
        self._worker_gone.set()
        self._thread.join(timeout=1.0)
