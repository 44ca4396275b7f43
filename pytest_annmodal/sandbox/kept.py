"""Reads how long a timed worker was kept from running, from the kernel's accounts (Linux only).

A thread that is ready to run and waits for a core, and a process that a signal stopped, are kept
from running. A thread that sleeps or waits for a disk is not: that is its own doing.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Iterator
from types import TracebackType
from typing import Self

STOPPED = b"Tt"  # states of a process that a signal or a tracer stopped: man 5 proc_pid_stat
AT_MOST_NS = 5_000_000  # between two looks at a stopped process; further apart, it may have run


class Kept:
    """The time in which some processes were kept from running, so far.

    Only their first threads count, which call the implementation.

    Args:
        processes: the worker and its descendants.
        signals: whether stops by a signal count. A submission could stop itself.
    """

    def __init__(self, processes: Collection[int], *, signals: bool) -> None:
        self._stopped_ns, self._looked_ns = 0, 0
        self._open = contextlib.ExitStack()
        self._waits = [*self._files(processes, "schedstat")]
        self._states = [*self._files(processes, "stat")] if signals else []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._open.close()

    def _files(self, processes: Collection[int], name: str) -> Iterator[int]:
        """Opens files of /proc; those of processes that have ended are left out."""
        for pid in processes:
            with contextlib.suppress(OSError):
                found = os.open(f"/proc/{pid}/{name}", os.O_RDONLY | os.O_CLOEXEC)
                self._open.callback(os.close, found)
                yield found

    def look(self, now_ns: int) -> int:
        """Returns ns that they waited for a core or were stopped, so far; takes some µs.

        A stop by a signal is seen only if a look falls into it. It counts from the look before.
        """
        since_ns = min(now_ns - self._looked_ns, AT_MOST_NS)
        self._looked_ns = now_ns
        waited_ns, stopped = 0, False
        for file in self._waits:
            with contextlib.suppress(OSError, ValueError, IndexError):
                waited_ns += int(os.pread(file, 100, 0).split()[1])
        for file in self._states:
            with contextlib.suppress(OSError, IndexError):
                stopped |= os.pread(file, 200, 0).rpartition(b") ")[2][:1] in STOPPED
        self._stopped_ns += since_ns if stopped else 0
        return waited_ns + self._stopped_ns
