"""The page cache: which files of a worker lie in it, and how they leave it.

The kernel keeps what was read of a file in memory that is free. ``posix_fadvise`` has it drop a
file's pages, which everybody may ask for; pages that a process has mapped stay. So the worker lets
go of its own first, and afterwards one looks what is still there.
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
    """The files that these processes have open, or mapped other than as a program (Linux).

    Returns:
        By path, as the kernel writes it into ``/proc/PID/maps``, where it can be opened.
    """
    found: dict[str, str] = {}
    for pid in pids:
        paths = {path: path for path in _mapped(pid)}
        paths |= {path: f"/proc/{pid}/fd/{fd}" for fd, path in descriptors(pid)}
        found |= {path: place for path, place in paths.items() if _is_file(place)}
    return found


def _mapped(pid: int) -> set[str]:
    """Libraries are mapped as programs: at one place at least they may be executed."""
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
    """Have what was written into these files reach the disk: else it must stay in memory."""
    for fd in _opened(files.values()):
        with contextlib.suppress(OSError):
            os.fsync(fd)


def drop(files: Mapping[str, str]) -> None:
    """Drop their pages from the page cache, those aside that a process has mapped."""
    for fd in _opened(files.values()):
        with contextlib.suppress(OSError, AttributeError):  # a system that has no such call
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)


def cached_bytes(files: Mapping[str, str]) -> int:
    """How much of these files is in the page cache now, in whole pages.

    Of a file that belongs to somebody else the kernel says that all of it is.
    """
    return sum(map(_resident_bytes, _opened(files.values())))


def let_go(rows: NDArray[Any]) -> None:
    """Let go of the pages of a mapping of this process that nobody has written to."""
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
    """Of a file that nobody can look at it is all."""
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
        del whole  # else it cannot be closed
    return n_bytes if failed else int((pages & 1).sum()) * mmap.PAGESIZE
