"""Detects other processes on a timed worker's core, from the kernel's accounts (Linux only).

A submission can keep its own core busy, so that its thread has to wait. So a wait alone proves
nothing: the machine is blamed only if *other* processes used CPU time on the worker's core or the
caller's. Nothing that a worker reports is used.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

WAITED = 0.02  # of the seconds of a timed window: enough to change the p95 latency
OTHERS = 0.05  # of them: more than a machine's background work takes
KERNEL = 2  # the parent process of all kernel threads


@dataclass(frozen=True, slots=True, kw_only=True)
class Contention:
    """Shares of the seconds of one timed window.

    Attributes:
        worker_waited: time that its threads waited for a core, added up.
        others_beside: CPU time of other processes on the worker's core.
        parent_waited: time that the calling thread waited for its core because of other
            processes, less that of kernel threads, which a worker can cause to work; 0 where
            the thread shares the worker's core.
    """

    worker_waited: float = 0.0
    others_beside: float = 0.0
    parent_waited: float = 0.0

    @property
    def disturbed(self) -> bool:
        """Whether other processes may have made the worker's times too long.

        Others on its core count even if it hardly waited, since switching costs more than the
        waits. In a container other processes are not visible, so both waits count there.
        """
        felt = self.worker_waited >= WAITED and self.parent_waited >= OTHERS
        return felt or self.others_beside >= OTHERS


class Process(NamedTuple):
    """One row of the process table, with CPU time of its first thread and ticks of all threads."""

    parent: int
    core: int
    first_ns: int = 0
    ticks: int = 0

    def cpu_s_since(self, then: Process) -> float:
        """Returns its CPU seconds since then, never too many: two ticks may be older."""
        ticks_s = (self.ticks - then.ticks - 2) / os.sysconf("SC_CLK_TCK")
        return max(ticks_s, (self.first_ns - then.first_ns) / 1e9, 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """The kernel's accounts at one moment."""

    at_s: float
    processes: dict[int, Process]
    waited_ns: dict[str, int]  # by thread of the worker and its descendants
    parent_ns: int


def look(worker: int) -> Look:
    """Reads the accounts.

    Args:
        worker: the process that is timed with its descendants.
    """
    processes = dict(_processes())
    family = family_of(worker, processes)
    waited = {name: ns for pid in family for name, ns in _waits(pid)}
    return Look(
        at_s=time.monotonic(), processes=processes, waited_ns=waited, parent_ns=_parent_ns()
    )


def family_of(pid: int, processes: dict[int, Process]) -> set[int]:
    """Returns a process and all its descendants."""
    children: dict[int, list[int]] = {}
    for child, row in processes.items():
        children.setdefault(row.parent, []).append(child)
    found = [pid]
    for one in found:  # the list grows during the loop
        found += children.get(one, ())
    return set(found)


def between(
    before: Look,
    after: Look,
    *,
    worker: int,
    cores: Collection[int],
    user: int | None = None,
    parent: Collection[int] = (),
) -> Contention:
    """Returns the contention from one look to the next.

    Args:
        cores: those that the worker may run on.
        user: a user id all of whose processes belong to the worker.
        parent: cores of the calling thread, if it shares none with the worker.
    """
    wall_s = max(after.at_s - before.at_s, 1e-9)
    waited_ns = _grown(before.waited_ns, after.waited_ns)
    ours = family_of(worker, before.processes) | family_of(worker, after.processes) | {os.getpid()}
    others_s = kernel_s = 0.0
    for pid, now in after.processes.items():
        then = before.processes.get(pid, Process(now.parent, now.core))
        used_s, places = now.cpu_s_since(then), {then.core, now.core}
        if pid in ours or not used_s:
            continue
        if KERNEL in (pid, now.parent):
            kernel_s += used_s if places & set(parent) else 0.0
        elif places & set(cores) and (user is None or _owner(pid) != user):
            others_s += used_s
    parent_s = (after.parent_ns - before.parent_ns) / 1e9 - kernel_s if parent else 0.0
    return Contention(
        worker_waited=waited_ns / 1e9 / wall_s,
        others_beside=others_s / wall_s,
        parent_waited=max(parent_s, 0.0) / wall_s,
    )


@contextlib.contextmanager
def watched(
    worker: int, user: int | None, place: Callable[[], tuple[Collection[int], Collection[int]]]
) -> Iterator[Callable[[], Contention]]:
    """Looks before and after a block; the result is available after it.

    Args:
        place: returns the worker's cores, and the calling thread's if it shares none of them.
    """
    before = look(worker)
    found: list[Contention] = []
    yield lambda: found[0] if found else Contention()
    after, (cores, parent) = look(worker), place()
    found.append(between(before, after, worker=worker, cores=cores, user=user, parent=parent))


def _owner(pid: int) -> int | None:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}").stat().st_uid
    return None


def _grown(before: dict[str, int], after: dict[str, int]) -> int:
    return sum(max(ns - before.get(name, 0), 0) for name, ns in after.items())


def _processes() -> Iterator[tuple[int, Process]]:
    if not Path("/proc/self/schedstat").exists():
        return
    for name in os.listdir("/proc"):  # noqa: PTH208 -- as quick as can be
        if not name.isdecimal():
            continue
        with contextlib.suppress(OSError, ValueError, IndexError):
            words = _read(f"/proc/{name}/stat").rpartition(b")")[2].split()
            parent, user, system, core = (int(words[i]) for i in (1, 11, 12, 36))
            first_ns = int(_read(f"/proc/{name}/schedstat").split()[0])
            yield int(name), Process(parent, core, first_ns, user + system)


def _waits(pid: int) -> Iterator[tuple[str, int]]:
    """Yields, for each thread of a process, the nanoseconds that it waited for a core."""
    with contextlib.suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):  # noqa: PTH208
            with contextlib.suppress(OSError, ValueError, IndexError):
                wait = _read(f"/proc/{pid}/task/{thread}/schedstat").split()[1]
                yield f"{pid}/{thread}", int(wait)


def _parent_ns() -> int:
    """Returns the calling thread's wait for a core, less this process's other threads' CPU."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        waited = int(_read("/proc/thread-self/schedstat").split()[1])
        return waited - (time.process_time_ns() - time.thread_time_ns())
    return 0


def _read(path: str) -> bytes:
    with open(path, "rb") as file:  # noqa: PTH123 -- half the time
        return file.read()
