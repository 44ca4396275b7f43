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


def resident_bytes(*pids: int) -> int:
    """What they have in memory that is no file's, each for itself; quick, and never too little."""
    total = 0
    for pid in pids:
        total += _kilobytes(f"/proc/{pid}/status", ("RssAnon", "RssShmem"))
    return total * 1024 + scratch_bytes(*pids[1:2])


def held_bytes(*pids: int) -> int:
    """What they hold together that is no file's: private, shared with each other, on a tmpfs.

    What several share is counted once, so that an index does not vanish in a second process.
    """
    kilobytes = sum(
        _kilobytes(f"/proc/{pid}/smaps_rollup", ("Pss_Anon", "Pss_Shmem")) for pid in pids
    )
    return kilobytes * 1024 + scratch_bytes(*pids[1:2]) if kilobytes else unique_bytes(*pids)


def scratch_bytes(*pids: int) -> int:
    """What lies on the file systems in memory that a sandbox has to itself (Linux).

    Args:
        pids: the sandbox's first process, which the guard outside of it has started.
    """
    total = 0
    for pid in pids:
        for name in ("tmp", "dev/shm"):
            with contextlib.suppress(OSError):
                inside = Path(f"/proc/{pid}/root/{name}")
                if inside.stat().st_dev != Path(f"/{name}").stat().st_dev:
                    found = os.statvfs(inside)
                    total += (found.f_blocks - found.f_bfree) * found.f_frsize
    return total


def _kilobytes(path: str, names: tuple[str, ...]) -> int:
    with contextlib.suppress(OSError, ValueError):
        lines = Path(path).read_text(encoding="ascii").splitlines()
        words = [line.split() for line in lines]
        return sum(int(item[1]) for item in words if item and item[0].rstrip(":") in names)
    return 0


def machine_bytes() -> tuple[int, int]:
    """Memory of this machine, and what of it is available."""
    import psutil

    memory = psutil.virtual_memory()
    return memory.total, memory.available


def cpu_s(*pids: int) -> float:
    """CPU seconds that they, and children they have waited for, have used."""
    import psutil

    total = 0.0
    for pid in pids:
        with contextlib.suppress(psutil.Error):
            times = psutil.Process(pid).cpu_times()
            total += times.user + times.system
            total += getattr(times, "children_user", 0) + getattr(times, "children_system", 0)
    return total


def affinity() -> set[int]:
    """Cores that the calling thread may use; empty where the system cannot tell."""
    return set(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else set()


def pin(cores: set[int]) -> None:
    """Keep the calling thread, and what it starts, to these cores; an empty set is ignored."""
    if cores and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, cores)
