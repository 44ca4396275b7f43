"""Releases pages of files that this process has mapped."""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Collection
from pathlib import Path

PAGE_OUT = 21  # MADV_PAGEOUT, Linux 5.4 and later; man 2 madvise


def page_out(paths: Collection[str]) -> None:
    """Releases the pages of these files, so that the page cache can drop them.

    Changed pages are kept. Does nothing on kernels without the call and for files of other users.

    Args:
        paths: as in ``/proc/PID/maps``.
    """
    madvise = ctypes.CDLL(None).madvise
    madvise.argtypes = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int
    with contextlib.suppress(OSError):
        maps = Path("/proc/self/maps").read_text(encoding="utf-8", errors="surrogateescape")
        for line in maps.splitlines():
            ends, *_, path = line.split(None, 5)
            if path in paths:
                start, end = (int(one, 16) for one in ends.split("-"))
                madvise(start, end - start, PAGE_OUT)
