"""Measures what processes hold themselves: memory, and files that they wrote.

Pages of a library's file never count: how many of them only this process has mapped depends on
which other processes use the library at the moment.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from pytest_annmodal.sandbox import memory
from pytest_annmodal.sandbox.kernel_memory import descriptors, kilobytes

# Proportional, so what a process shares with its children counts once. Pages of a privately mapped
# file that were written to are anonymous memory as well.
ANONYMOUS = ("Pss_Anon", "SwapPss", "Private_Hugetlb", "Shared_Hugetlb")
BLOCK_BYTES = 512  # the unit of st_blocks, whatever the file system's own
DELETED = " (deleted)"


@dataclass(slots=True, kw_only=True)
class Mapping:
    """One mapping of a file, with sizes in KiB as in ``/proc/PID/smaps``."""

    file: str
    path: str
    share: int = 0
    anonymous: int = 0

    @property
    def nameless(self) -> bool:
        """Whether it is nameless shared memory, which the kernel shows as a deleted file."""
        return self.path.endswith(DELETED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Owned:
    """What processes hold together, counted once each.

    Attributes:
        memory_bytes: anonymous memory, and nameless shared memory.
        file_bytes: disk space of files that they wrote and have open or mapped.
    """

    memory_bytes: int
    file_bytes: int


def owned(*pids: int, given: Collection[str] = (), since: float) -> Owned:
    """Returns what these processes hold now.

    Args:
        given: files (see :func:`memory.file_id`) that they were given, which never count.
        since: seconds since the epoch; files last changed earlier do not count. Compared with
            ``st_ctime``, which no program can set.
    """
    mappings = [mapping for pid in pids for mapping in _mappings(pid)]
    named = {mapping.path for mapping in mappings if not mapping.nameless}
    opened = [f"/proc/{pid}/fd/{fd}" for pid in pids for fd, _ in descriptors(pid)]
    files = _written((*opened, *named), since)
    counted = {*given, *files}
    shared = sum(
        max(mapping.share - mapping.anonymous, 0)
        for mapping in mappings
        if mapping.nameless and mapping.file not in counted
    )
    return Owned(
        memory_bytes=_anonymous_bytes(pids) + shared * 1024,
        file_bytes=sum(size for file, size in files.items() if file not in given),
    )


def _anonymous_bytes(pids: tuple[int, ...]) -> int:
    found = sum(kilobytes(f"/proc/{pid}/smaps_rollup", ANONYMOUS) for pid in pids)
    if not found:  # older kernels lack this file or these lines
        found = sum(kilobytes(f"/proc/{pid}/smaps", ("Anonymous", "Swap")) for pid in pids)
    return found * 1024 or memory.unique_bytes(*pids)


def _written(places: Iterable[str], since: float) -> dict[str, int]:
    """Returns the sizes of those of these files that were changed since then."""
    found = {}
    for place in places:
        with contextlib.suppress(OSError, ValueError):  # it was closed or removed
            state = os.stat(place)  # noqa: PTH116 -- a descriptor's link need not name a path
            if stat.S_ISREG(state.st_mode) and state.st_ctime >= since:
                # Fewer blocks: it has holes. More: the file system keeps room for what may follow.
                found[memory.id_of(state)] = min(state.st_blocks * BLOCK_BYTES, state.st_size)
    return found


def _mappings(pid: int) -> Iterator[Mapping]:
    """Yields a process's mappings of files."""
    current = None
    with (
        contextlib.suppress(OSError),
        open(f"/proc/{pid}/smaps", encoding="utf-8", errors="surrogateescape") as lines,  # noqa: PTH123
    ):
        for line in lines:
            words = line.split(None, 5)  # a path may have blanks
            if "-" in words[0]:
                path = words[5].rstrip("\n") if len(words) > 5 else ""
                current = Mapping(file=f"{words[3]} {words[4]}", path=path)
            elif current is None or not current.path.startswith("/"):
                continue
            elif words[0] == "Pss:":
                current.share = int(words[1])
            elif words[0] == "Anonymous:":
                current.anonymous = int(words[1])
            elif words[0] == "VmFlags:":  # the last line of each mapping
                yield current
                current = None
