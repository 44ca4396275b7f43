"""Whether others ran where a worker is timed: the kernel's accounts, and nothing a worker says.

A submission can keep its own core busy, so that its thread has to wait. That wait alone says
nothing: only where CPU time of *others* is seen, on the worker's core or on the caller's, may the
machine be to blame. Linux only; elsewhere nothing is seen.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

WAITED = 0.02  # of the seconds of a timed window: enough to move a 95 % latency
OTHERS = 0.05  # of them: no more than a machine's own housekeeping takes
KERNEL = 2  # the process that all threads of the kernel descend from


@dataclass(frozen=True, slots=True, kw_only=True)
class Contention:
    """Shares of the seconds of one timed window.

    Attributes:
        worker_waited: how long its threads were ready and had no core, added up.
        others_beside: CPU time of other processes that were seen on the worker's core.
        parent_waited: how long the calling thread was ready and had no core, because of other
            processes, less what the kernel's own threads used there, since a worker can have
            them work; 0 where it shares the worker's core.
    """

    worker_waited: float = 0.0
    others_beside: float = 0.0
    parent_waited: float = 0.0

    @property
    def disturbed(self) -> bool:
        """Whether the worker's times may be too long by somebody else's doing.

        Of whom is seen on its core, also where it hardly waited: taking turns costs more than
        the waits. In a container those on the caller's core alone are felt.
        """
        felt = self.worker_waited >= WAITED and self.parent_waited >= OTHERS
        return felt or self.others_beside >= OTHERS


class Process(NamedTuple):
    """One row of the kernel's table: CPU time of its first thread, and of all in whole ticks."""

    parent: int
    core: int
    first_ns: int = 0
    ticks: int = 0

    def cpu_s_since(self, then: Process) -> float:
        """Never more than it has used: two ticks may be of what was before."""
        ticks_s = (self.ticks - then.ticks - 2) / os.sysconf("SC_CLK_TCK")
        return max(ticks_s, (self.first_ns - then.first_ns) / 1e9, 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What the kernel's accounts say at one moment."""

    at_s: float
    processes: dict[int, Process]
    waited_ns: dict[str, int]  # by thread of the worker's family
    parent_ns: int


def look(worker: int) -> Look:
    """Read the accounts.

    Args:
        worker: the process whose family is timed.
    """
    processes = dict(_processes())
    family = family_of(worker, processes)
    waited = {name: ns for pid in family for name, ns in _waits(pid)}
    return Look(
        at_s=time.monotonic(), processes=processes, waited_ns=waited, parent_ns=_parent_ns()
    )


def family_of(pid: int, processes: dict[int, Process]) -> set[int]:
    """A process and all that descend from it."""
    children: dict[int, list[int]] = {}
    for child, row in processes.items():
        children.setdefault(row.parent, []).append(child)
    found = [pid]
    for one in found:  # which grows meanwhile
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
    """What happened from one look to the next.

    Args:
        cores: that the worker may run on.
        user: whose processes all belong to the worker, wherever they went.
        parent: cores of the calling thread, where it shares none with the worker.
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
    """Look before and after a block; the answer is there after it.

    Args:
        place: the worker's cores by then, and the calling thread's where it is on none of them.
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
    """Of each thread of a process, the nanoseconds that it was ready and had no core."""
    with contextlib.suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):  # noqa: PTH208
            with contextlib.suppress(OSError, ValueError, IndexError):
                wait = _read(f"/proc/{pid}/task/{thread}/schedstat").split()[1]
                yield f"{pid}/{thread}", int(wait)


def _parent_ns() -> int:
    """The calling thread's wait for its core, less what this process's others used meanwhile."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        waited = int(_read("/proc/thread-self/schedstat").split()[1])
        return waited - (time.process_time_ns() - time.thread_time_ns())
    return 0


def _read(path: str) -> bytes:
    with open(path, "rb") as file:  # noqa: PTH123 -- half the time
        return file.read()
