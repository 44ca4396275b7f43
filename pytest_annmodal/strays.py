"""The processes that a worker started, wherever they went, and their end.

A child that begins a session of its own leaves the worker's process group, and loses its
parent when the worker ends first. What it keeps is the environment that it was started with.
"""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

MARK = "ANNMODAL_WORKER"
MOST_LOOKS = 20  # each may find what was started during the one before


def descendants(pid: int) -> list[int]:
    """Children of a process that is still there, and theirs."""
    import psutil

    try:
        return [child.pid for child in psutil.Process(pid).children(recursive=True)]
    except psutil.Error:
        return []


def marked(mark: str) -> list[int]:
    """Living processes that were started with this mark in their environment (Linux only)."""
    wanted = f"{MARK}={mark}".encode()
    found = []
    for environment in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):  # it ended, or is somebody else's
            if wanted in environment.read_bytes().split(b"\0"):
                found.append(int(environment.parent.name))
    return found


def end(pids: list[int]) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)


def end_marked(mark: str) -> None:
    """End all that carry the mark, until a look finds none."""
    for _ in range(MOST_LOOKS):
        found = marked(mark)
        if not found:
            return
        end(found)
