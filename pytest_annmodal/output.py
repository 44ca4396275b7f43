"""What a worker printed: the last of it, bounded, and how much it was."""

from __future__ import annotations

import os
import threading

LOG_TAIL_BYTES = 16 * 1024


def plain(text: object) -> str:
    """Somebody's words, safe to print: no control characters but tab and newline."""
    return "".join(
        char if char.isprintable() or char in "\n\t" else char.encode("unicode_escape").decode()
        for char in str(text)
    )


class OutputTail:
    """Reads a pipe to its end, keeps the last bytes and counts all of them."""

    def __init__(self, fd: int, limit_bytes: int) -> None:
        self._fd = fd
        self._limit_bytes = limit_bytes
        self._tail = b""
        self.n_bytes = 0
        self.flooded = threading.Event()
        self._thread = threading.Thread(target=self._drain, name="annmodal-output", daemon=True)
        self._thread.start()

    def _drain(self) -> None:
        while chunk := os.read(self._fd, 65536):
            self.n_bytes += len(chunk)
            self._tail = (self._tail + chunk)[-LOG_TAIL_BYTES:]
            if self.n_bytes > self._limit_bytes:
                self.flooded.set()
        os.close(self._fd)

    def text(self) -> str:
        """The last of it; what is no UTF-8 is replaced, control characters are escaped."""
        return plain(self._tail.decode("utf-8", "replace").replace("\r\n", "\n"))

    def join(self) -> None:
        """Wait for the end of the output; a stray child may hold the pipe, so not for ever."""
        self._thread.join(timeout=1.0)
