"""What processes hold that is their own, seen from outside: memory, and files that they wrote.

A library's pages belong to the library's file. How many of them one process alone has mapped
depends on who else uses the library at the moment, so none of them counts here.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from pytest_annmodal.sandbox import memory
from pytest_annmodal.sandbox.kernel_memory import descriptors, kilobytes

# Proportional: what a process shares with its own children counts once. Pages of a file that it
# mapped for itself and wrote to are anonymous memory as well.
ANONYMOUS = ("Pss_Anon", "SwapPss", "Private_Hugetlb", "Shared_Hugetlb")
BLOCK_BYTES = 512  # the unit of st_blocks, whatever the file system's own
DELETED = " (deleted)"


@dataclass(slots=True, kw_only=True)
class Mapping:
    """What of one file a process has mapped at one place, in KiB as /proc/PID/smaps has them."""

    file: str
    path: str
    share: int = 0
    anonymous: int = 0

    @property
    def nameless(self) -> bool:
        """Shared memory is the mapping of a file that the kernel shows as deleted."""
        return self.path.endswith(DELETED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Owned:
    """What processes hold together, each thing counted once.

    Attributes:
        memory_bytes: anonymous memory, and memory that they share without a file's name.
        file_bytes: files that they wrote and have open or mapped: the room on the disk.
    """

    memory_bytes: int
    file_bytes: int


def owned(*pids: int, given: Collection[str] = (), since: float) -> Owned:
    """What these processes hold now.

    Args:
        given: files (see :func:`memory.file_id`) that they were given, which never count.
        since: in seconds since the epoch; a file that was last changed earlier is not theirs.
            The time is that of ``st_ctime``, which no program can set.
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
    if not found:  # a kernel that does not add up, or adds up less
        found = sum(kilobytes(f"/proc/{pid}/smaps", ("Anonymous", "Swap")) for pid in pids)
    return found * 1024 or memory.unique_bytes(*pids)


def _written(places: Iterable[str], since: float) -> dict[str, int]:
    """Of the files at these places those that were changed since then, and their sizes."""
    found = {}
    for place in places:
        with contextlib.suppress(OSError, ValueError):  # it was closed, or its name is gone
            state = os.stat(place)  # noqa: PTH116 -- a descriptor's link leads to no path
            if stat.S_ISREG(state.st_mode) and state.st_ctime >= since:
                found[memory.id_of(state)] = state.st_blocks * BLOCK_BYTES
    return found


def _mappings(pid: int) -> Iterator[Mapping]:
    """A process's mappings of files."""
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
            elif words[0] == "VmFlags:":  # the last of each
                yield current
                current = None
