"""Counts memory that the kernel holds for processes but includes in no process's size.

That is pipes and sockets, files in memory and their names, and page tables. Smaller things (locks,
watches, timers) have a few hundred bytes each and are not counted.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from pytest_annmodal.worker.confinement import OPEN_FILES

PIPE_BYTES = 2**16  # confinement.py keeps pipes and sockets at their default sizes
TERMINAL_BYTES = 2**16
SOCKET_BYTES = 319_488  # its send buffer, and one message more
MOST_DATAGRAMS = 11  # each as large as a send buffer; their sender may be gone
INODE_BYTES = 1536  # with its name of up to 255 bytes
DATAGRAM = "0002"


def kernel_bytes(*pids: int) -> int:
    """Returns an upper bound of all such memory.

    Args:
        pids: bubblewrap's process outside the sandbox, the first process inside, then the
            others; or a worker without a sandbox and its descendants.
    """
    tables = sum(kilobytes(f"/proc/{pid}/status", ("VmPTE",)) for pid in pids) * 1024
    return tables + scratch_bytes(*pids[1:2]) + buffered_bytes(*pids)


def buffered_bytes(*pids: int) -> int:
    """Returns the most that their pipes and sockets can hold (Linux)."""
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
    # A descriptor that was sent but not received may be a socket that holds others, and so on.
    total = len(pipes) * PIPE_BYTES + terminals * TERMINAL_BYTES
    return total + _socket_bytes(pids, sockets) + in_flight * OPEN_FILES * SOCKET_BYTES


def descriptors(pid: int) -> Iterator[tuple[str, str]]:
    with contextlib.suppress(OSError):  # it has ended, or belongs to another user
        for fd in os.listdir(f"/proc/{pid}/fd"):  # noqa: PTH208 -- as quick as can be
            with contextlib.suppress(OSError):
                yield fd, os.readlink(f"/proc/{pid}/fd/{fd}")  # noqa: PTH115


def _socket_bytes(pids: tuple[int, ...], names: set[str]) -> int:
    """Returns what these sockets can hold, and in a sandbox all its Unix sockets.

    A connection that waits for ``accept`` holds what was sent to it, but no process has a
    descriptor of it.
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
    """Returns the bytes on a sandbox's own file systems in memory (Linux).

    Args:
        pids: the first process inside the sandbox.
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
    """Returns the sum of lines like ``VmPTE:  80 kB`` or ``Threads: 3``; 0 if unreadable."""
    with contextlib.suppress(OSError, ValueError):
        return sum(int(words[1]) for words in lines(path) if words[0].rstrip(":") in names)
    return 0


def lines(path: str) -> Iterator[list[str]]:
    """Yields the words of each line; nothing if the file cannot be read."""
    with (
        contextlib.suppress(OSError),
        open(path, encoding="utf-8", errors="replace") as file,  # noqa: PTH123 -- half the time
    ):
        for line in file:
            if words := line.split():
                yield words
