"""What processes use, seen from outside them: memory, CPU time, cores."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


def peak_rss_bytes(*pids: int) -> int:
    """Largest resident size that any of them has had: the kernel's own mark (Linux)."""
    peak = 0
    for pid in pids:
        with contextlib.suppress(OSError, ValueError):
            lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
            mark = next((line for line in lines if line.startswith("VmHWM")), "VmHWM: 0 kB")
            peak = max(peak, int(mark.split()[1]) * 1024)
    return peak


def unique_bytes(*pids: int) -> int:
    """Memory that ending them would free (USS)."""
    import psutil

    total = 0
    for pid in pids:
        with contextlib.suppress(psutil.Error):
            total += psutil.Process(pid).memory_full_info().uss
    return total


def cpu_s(*pids: int) -> float:
    """CPU seconds that they have used, in user and in system mode."""
    import psutil

    total = 0.0
    for pid in pids:
        with contextlib.suppress(psutil.Error):
            times = psutil.Process(pid).cpu_times()
            total += times.user + times.system
    return total


def affinity() -> set[int]:
    """Cores that the calling thread may use; empty where the system cannot tell."""
    return set(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else set()


def pin(cores: set[int]) -> None:
    """Keep the calling thread, and what it starts, to these cores; an empty set is ignored."""
    if cores and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, cores)
