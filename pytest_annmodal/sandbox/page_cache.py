"""Finds a worker's files in the page cache, and drops them from it.

The kernel keeps pages that were read from files in free memory. ``posix_fadvise`` drops a file's
pages, for any user; pages that a process has mapped stay. So the worker first releases its own, and
afterwards the remaining pages are counted.
"""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import os
import stat
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_annmodal.sandbox.kernel_memory import descriptors

DONT_NEED = 4  # MADV_DONTNEED; man 2 madvise


def files_of(*pids: int) -> dict[str, str]:
    """Finds the files that these processes have open or mapped, except programs (Linux).

    Returns:
        For each path, as in ``/proc/PID/maps``, the place where it can be opened.
    """
    found: dict[str, str] = {}
    for pid in pids:
        paths = {path: path for path in _mapped(pid)}
        paths |= {path: f"/proc/{pid}/fd/{fd}" for fd, path in descriptors(pid)}
        found |= {path: place for path, place in paths.items() if _is_file(place)}
    return found


def _mapped(pid: int) -> set[str]:
    """Returns the mapped files without those that are mapped as executable, such as libraries."""
    mapped: set[str] = set()
    programs: set[str] = set()
    with (
        contextlib.suppress(OSError),
        open(f"/proc/{pid}/maps", encoding="utf-8", errors="surrogateescape") as lines,  # noqa: PTH123
    ):
        for line in lines:
            words = line.rstrip("\n").split(None, 5)  # a path may have blanks
            if len(words) == 6 and words[5].startswith("/"):
                (programs if "x" in words[1] else mapped).add(words[5])
    return mapped - programs


def _is_file(place: str) -> bool:
    try:
        return stat.S_ISREG(os.stat(place).st_mode)  # noqa: PTH116 -- a link that leads to no path
    except (OSError, ValueError):
        return False


def write_out(files: Mapping[str, str]) -> None:
    """Writes these files to the disk; pages that are not written cannot be dropped."""
    for fd in _opened(files.values()):
        with contextlib.suppress(OSError):
            os.fsync(fd)


def drop(files: Mapping[str, str]) -> None:
    """Drops the files' pages from the page cache, except those that a process has mapped."""
    for fd in _opened(files.values()):
        with contextlib.suppress(OSError, AttributeError):  # the system lacks the call
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)


def cached_bytes(files: Mapping[str, str]) -> int:
    """Returns how many bytes of these files are in the page cache now, in whole pages.

    For a file of another user the kernel reports all of it.
    """
    return sum(map(_resident_bytes, _opened(files.values())))


def release(rows: NDArray[Any]) -> None:
    """Releases the unchanged pages of a mapping of this process."""
    start = rows.ctypes.data // mmap.PAGESIZE * mmap.PAGESIZE
    madvise = ctypes.CDLL(None).madvise
    madvise.argtypes = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int
    madvise(start, rows.ctypes.data + rows.nbytes - start, DONT_NEED)


def _opened(places: Collection[str]) -> Iterator[int]:
    for place in places:
        with contextlib.suppress(OSError):
            fd = os.open(place, os.O_RDONLY)
            try:
                yield fd
            finally:
                os.close(fd)


def _resident_bytes(fd: int) -> int:
    """Returns the bytes of a file in the page cache; its size if that cannot be read."""
    n_bytes = os.fstat(fd).st_size
    if not n_bytes:
        return 0
    mincore = ctypes.CDLL(None).mincore
    mincore.argtypes = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p
    try:
        memory = mmap.mmap(fd, n_bytes, prot=mmap.PROT_READ)
    except OSError:
        return n_bytes
    with memory:
        pages = np.zeros(-(-n_bytes // mmap.PAGESIZE), np.uint8)
        whole = np.frombuffer(memory, np.uint8)
        failed = mincore(whole.ctypes.data, n_bytes, pages.ctypes.data)
        del whole  # so that the map can be closed
    return n_bytes if failed else int((pages & 1).sum()) * mmap.PAGESIZE
