"""What processes use, seen from outside them: memory and CPU time."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection
from pathlib import Path

from pytest_annmodal.sandbox.kernel_memory import kernel_bytes, kilobytes, lines

# Swapped and huge pages are not resident, and memory all the same.
HELD = ("Pss_Anon", "Pss_Shmem", "SwapPss", "Private_Hugetlb", "Shared_Hugetlb")
RESIDENT = ("RssAnon", "RssShmem", "VmSwap", "HugetlbPages")


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


def threads(*pids: int) -> int:
    """How many threads they have, all together (Linux)."""
    return sum(kilobytes(f"/proc/{pid}/status", ("Threads",)) for pid in pids)


def resident_bytes(*pids: int) -> int:
    """Bytes in memory that are not a file's, added up: quick, since what two share counts twice."""
    total = sum(kilobytes(f"/proc/{pid}/status", RESIDENT) for pid in pids)
    return total * 1024 + kernel_bytes(*pids)


def held_bytes(*pids: int, given: Collection[str] = ()) -> int:
    """Bytes that they hold together, less files': private, shared with each other, on a tmpfs.

    What several share is counted once, so that an index does not vanish in a second process.

    Args:
        given: files (see :func:`file_id`) that they were given, which never count: who lets
            go of them would else make room for as much.
    """
    held_kb = sum(kilobytes(f"/proc/{pid}/smaps_rollup", HELD) for pid in pids)
    if not held_kb:
        return unique_bytes(*pids)
    held_kb -= sum(_mapped_kilobytes(pid, given) for pid in pids)
    return held_kb * 1024 + kernel_bytes(*pids)


def file_id(fd: int) -> str:
    """Device and number of an open file, as the kernel writes them into its maps."""
    return id_of(os.fstat(fd))


def id_of(state: os.stat_result) -> str:
    """The same of a file that was looked at."""
    return f"{os.major(state.st_dev):02x}:{os.minor(state.st_dev):02x} {state.st_ino}"


def _mapped_kilobytes(pid: int, files: Collection[str]) -> int:
    """What of these files a process has in memory; its own changed copies are not the files'."""
    total = pss = 0
    inside = False
    for words in lines(f"/proc/{pid}/smaps"):
        if "-" in words[0]:
            inside = len(words) > 4 and f"{words[3]} {words[4]}" in files
        elif inside and words[0] in ("Pss:", "SwapPss:"):
            pss += int(words[1])
        elif inside and words[0] == "Anonymous:":
            pss -= int(words[1])
        elif words[0] == "VmFlags:":  # the last of each
            total, pss = total + max(pss, 0), 0
    return total


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
