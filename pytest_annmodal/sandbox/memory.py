"""Measures memory and CPU time of processes from outside."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection
from pathlib import Path

from pytest_annmodal.sandbox.kernel_memory import kernel_bytes, kilobytes, lines

# Swapped and huge pages are not resident, but they are memory in use.
HELD = ("Pss_Anon", "Pss_Shmem", "SwapPss", "Private_Hugetlb", "Shared_Hugetlb")
RESIDENT = ("RssAnon", "RssShmem", "VmSwap", "HugetlbPages")


def peak_rss_bytes(*pids: int) -> int:
    """Returns the largest resident size that any of them has had, from the kernel (Linux)."""
    peak = 0
    for pid in pids:
        with contextlib.suppress(OSError, ValueError):
            lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
            mark = next((line for line in lines if line.startswith("VmHWM")), "VmHWM: 0 kB")
            peak = max(peak, int(mark.split()[1]) * 1024)
    return peak


def file_bytes(*pids: int) -> int:
    """Returns the bytes of files, such as libraries, that they have in memory together.

    The same library counts more or less, by how the system keeps its file: equal environments
    differed by 1.5 MB.
    """
    return 1024 * sum(kilobytes(f"/proc/{pid}/status", ("RssFile",)) for pid in pids)


def unique_bytes(*pids: int) -> int:
    """Returns the memory that ending them would free (USS)."""
    import psutil

    total = 0
    for pid in pids:
        with contextlib.suppress(psutil.Error):
            total += psutil.Process(pid).memory_full_info().uss
    return total


def threads(*pids: int) -> int:
    """Returns how many threads they have together (Linux)."""
    return sum(kilobytes(f"/proc/{pid}/status", ("Threads",)) for pid in pids)


def resident_bytes(*pids: int) -> int:
    """Returns a quick sum of bytes in memory that belong to no file; shared memory counts twice."""
    total = sum(kilobytes(f"/proc/{pid}/status", RESIDENT) for pid in pids)
    return total * 1024 + kernel_bytes(*pids)


def held_bytes(*pids: int, given: Collection[str] = ()) -> int:
    """Returns the bytes that they hold together without files: private, shared, on a tmpfs.

    Memory that several share is counted once, so an index cannot be hidden in a second process.

    Args:
        given: files (see :func:`file_id`) that they were given. These never count; otherwise a
            process that unmaps them could hold as much more.
    """
    held_kb = sum(kilobytes(f"/proc/{pid}/smaps_rollup", HELD) for pid in pids)
    if not held_kb:
        return unique_bytes(*pids)
    held_kb -= sum(_mapped_kilobytes(pid, given) for pid in pids)
    return held_kb * 1024 + kernel_bytes(*pids)


def file_id(fd: int) -> str:
    """Returns device and inode of an open file, in the form of ``/proc/PID/maps``."""
    return id_of(os.fstat(fd))


def id_of(state: os.stat_result) -> str:
    """Returns the same for the result of ``os.stat``."""
    return f"{os.major(state.st_dev):02x}:{os.minor(state.st_dev):02x} {state.st_ino}"


def _mapped_kilobytes(pid: int, files: Collection[str]) -> int:
    """Returns KiB of these files that a process has mapped, without pages that it changed."""
    total = pss = 0
    inside = False
    for words in lines(f"/proc/{pid}/smaps"):
        if "-" in words[0]:
            inside = len(words) > 4 and f"{words[3]} {words[4]}" in files
        elif inside and words[0] in ("Pss:", "SwapPss:"):
            pss += int(words[1])
        elif inside and words[0] == "Anonymous:":
            pss -= int(words[1])
        elif words[0] == "VmFlags:":  # the last line of each mapping
            total, pss = total + max(pss, 0), 0
    return total


def machine_bytes() -> tuple[int, int]:
    """Returns this machine's memory, in all and available, in bytes."""
    import psutil

    memory = psutil.virtual_memory()
    return memory.total, memory.available


def cpu_s(*pids: int) -> float:
    """Returns CPU seconds of these processes and of ended children they have waited for."""
    import psutil

    total = 0.0
    for pid in pids:
        with contextlib.suppress(psutil.Error):
            times = psutil.Process(pid).cpu_times()
            total += times.user + times.system
            total += getattr(times, "children_user", 0) + getattr(times, "children_system", 0)
    return total
