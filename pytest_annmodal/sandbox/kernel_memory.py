"""Memory that the kernel holds for processes and counts in no process's size; seen from outside.

Pipes and sockets, files in memory and their names, page tables. Smaller things (locks, watches,
timers) are a few hundred bytes each and are not counted.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from pytest_annmodal.worker.confinement import OPEN_FILES

PIPE_BYTES = 2**16  # confinement.py keeps pipes and sockets at their default sizes
TERMINAL_BYTES = 2**16
SOCKET_BYTES = 319_488  # what it may send, and one piece more
MOST_DATAGRAMS = 11  # each as much as a socket may send, and whoever sent them may be gone
INODE_BYTES = 1536  # with its name, which has up to 255
DATAGRAM = "0002"


def kernel_bytes(*pids: int) -> int:
    """All of it together, never too little.

    Args:
        pids: a sandbox's guard outside of it, the first process inside, and the others; or a
            worker without a sandbox and what it started.
    """
    tables = sum(kilobytes(f"/proc/{pid}/status", ("VmPTE",)) for pid in pids) * 1024
    return tables + scratch_bytes(*pids[1:2]) + buffered_bytes(*pids)


def buffered_bytes(*pids: int) -> int:
    """The most that their pipes and sockets can hold (Linux)."""
    pipes, sockets, in_flight, terminals = set(), set(), 0, 0
    for pid in pids:
        for fd, name in descriptors(pid):
            if name.startswith("pipe:"):
                pipes.add(name)
            elif name.startswith("/dev/pt"):
                terminals += 1
            elif name.startswith("socket:") and name not in sockets:
                sockets.add(name)
                in_flight += kilobytes(f"/proc/{pid}/fdinfo/{fd}", ("scm_fds",))
    # One that was sent and not received may hold others, and they again.
    total = len(pipes) * PIPE_BYTES + terminals * TERMINAL_BYTES
    return total + _socket_bytes(pids, sockets) + in_flight * OPEN_FILES * SOCKET_BYTES


def descriptors(pid: int) -> Iterator[tuple[str, str]]:
    with contextlib.suppress(OSError):  # it has ended, or is somebody else's
        for fd in os.listdir(f"/proc/{pid}/fd"):  # noqa: PTH208 -- as quick as can be
            with contextlib.suppress(OSError):
                yield fd, os.readlink(f"/proc/{pid}/fd/{fd}")  # noqa: PTH115


def _socket_bytes(pids: tuple[int, ...], names: set[str]) -> int:
    """What these sockets can hold, and in a sandbox all others: those that wait for ``accept``
    hold what was sent to them, and no process has a descriptor of them.
    """
    here = next((pid for pid in pids[1:2] if _has_own_network(pid)), None)
    if here is None and not names:
        return 0
    total, left = 0, {name[len("socket:[") : -1] for name in names}
    for words in list(lines(f"/proc/{here or 'self'}/net/unix"))[1:]:
        kind, inode = words[4], words[6]
        if here is not None or inode in left:
            total += SOCKET_BYTES * (1 + MOST_DATAGRAMS * (kind == DATAGRAM))
        left.discard(inode)
    return total + len(left) * SOCKET_BYTES


def _has_own_network(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/ns/net").readlink() != Path("/proc/self/ns/net").readlink()
    except OSError:  # it has ended, or the kernel shows no such file
        return False


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
                    total += (found.f_files - found.f_ffree) * INODE_BYTES
    return total


def kilobytes(path: str, names: Iterable[str]) -> int:
    """The sum of such lines as ``VmPTE:  80 kB`` or ``Threads: 3``; 0 if it cannot be read."""
    with contextlib.suppress(OSError, ValueError):
        return sum(int(words[1]) for words in lines(path) if words[0].rstrip(":") in names)
    return 0


def lines(path: str) -> Iterator[list[str]]:
    """The words of each line; none of a file that cannot be read."""
    with (
        contextlib.suppress(OSError),
        open(path, encoding="utf-8", errors="replace") as file,  # noqa: PTH123 -- half the time
    ):
        for line in file:
            if words := line.split():
                yield words
