"""Chooses the cores of a worker and of its parent, and pins the worker to them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_annmodal.errors import SmugglingError

TOPOLOGY = Path("/sys/devices/system/cpu")
MOST_LOOKS = 20  # each may find threads that were started during the previous one

Place = tuple[int, str]  # a CPU's socket, and the CPUs that share its core


@dataclass(frozen=True, slots=True, kw_only=True)
class Cores:
    """Cores of a worker and its parent; all empty on systems other than Linux.

    Attributes:
        worker: for builds and batches; fewer than the threads where cores are few.
        query: the one of them for single queries.
        parent: other cores than the worker's, if there are any.
    """

    worker: frozenset[int] = frozenset()
    query: frozenset[int] = frozenset()
    parent: frozenset[int] = frozenset()


def affinity() -> frozenset[int]:
    """Returns the cores that the calling thread may use; empty where unknown."""
    return frozenset(os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else ())


def pin(cores: Iterable[int]) -> None:
    """Pins the calling thread, and what it starts, to these cores; ignores an empty set."""
    wanted = set(cores)
    if wanted and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, wanted)


def share_out(usable: Iterable[int], threads: int, topology: Path = TOPOLOGY) -> Cores:
    """Chooses a worker's cores among the usable ones, and its parent's.

    If possible, the worker's are on one socket, the one with the most usable cores, and no two
    are hyperthreads of one core. The highest numbers come first, since interrupts are served on
    the lowest. The parent gets, in order of preference: other cores of that socket, cores that
    share no hyperthreads with the worker, any other CPUs, or the worker's.
    """
    places = {cpu: _place(topology, cpu) for cpu in usable}
    order = _by_preference(places)
    worker = frozenset(order[:threads])
    query = frozenset(order[:1])
    taken = {places[cpu] for cpu in worker}
    home = {places[cpu][0] for cpu in query}
    free = frozenset(order) - worker
    apart = frozenset(cpu for cpu in free if places[cpu] not in taken)
    near = frozenset(cpu for cpu in apart if places[cpu][0] in home)
    parent = near or apart or free or frozenset(order) - query or query
    return Cores(worker=worker, query=query, parent=parent)


def _by_preference(places: Mapping[int, Place]) -> list[int]:
    sockets: dict[int, dict[str, list[int]]] = {}
    for cpu, (socket, siblings) in sorted(places.items()):
        sockets.setdefault(socket, {}).setdefault(siblings, []).append(cpu)
    order: list[int] = []
    for cores in sorted(sockets.values(), key=lambda cores: (len(cores), max(cores.values()))):
        firsts = [siblings[0] for siblings in cores.values()]
        others = [cpu for siblings in cores.values() for cpu in siblings[1:]]
        order = [*sorted(firsts, reverse=True), *sorted(others, reverse=True), *order]
    return order


def _place(topology: Path, cpu: int) -> Place:
    """Returns where a CPU is; a core of its own where the system does not tell."""
    folder = topology / f"cpu{cpu}" / "topology"
    try:
        socket = int((folder / "physical_package_id").read_text())
        return socket, (folder / "thread_siblings_list").read_text().strip()
    except (OSError, ValueError):
        return 0, str(cpu)


class Pinning:
    """The cores that a worker and its descendants are pinned to.

    Args:
        cores: where it was started.
        family: returns its processes.
        trusted: whether it may start processes too quickly to be pinned.
    """

    def __init__(
        self, cores: frozenset[int], family: Callable[[], Iterable[int]], *, trusted: bool
    ) -> None:
        self.cores, self._family, self._trusted = cores, family, trusted

    def within(self, wanted: frozenset[int], evidence: Callable[[], dict[str, Any]]) -> None:
        """Moves all of them to these cores; without the right to do so they stay where they are.

        Raises:
            SmugglingError: some could not be moved.
        """
        if wanted == self.cores:
            return
        try:
            kept = keep(self._family, wanted)
        except PermissionError:  # root without capabilities, and another user's process
            return
        self.cores = wanted
        if not kept and not self._trusted:
            raise SmugglingError(
                f"starts processes and threads too quickly to be pinned to {len(wanted)} core(s)",
                **evidence(),
            )


def keep(family: Callable[[], Iterable[int]], cores: Iterable[int]) -> bool:
    """Pins every thread of these processes; threads that they start later inherit the cores.

    Args:
        family: returns the processes; called again until nothing is left to move, since a
            thread started meanwhile has the cores of the one that started it.

    Returns:
        Whether all of them were found there.

    Raises:
        PermissionError: they belong to another user.
    """
    wanted = set(cores)
    return not wanted or any(not _moved(family(), wanted) for _ in range(MOST_LOOKS))


def _moved(pids: Iterable[int], cores: set[int]) -> bool:
    """Moves threads that are elsewhere; returns whether there were any."""
    moved = False
    for pid in pids:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # the process has ended
            for name in os.listdir(f"/proc/{pid}/task"):  # noqa: PTH208 -- as quick as can be
                with contextlib.suppress(ProcessLookupError):
                    if os.sched_getaffinity(int(name)) != cores:
                        os.sched_setaffinity(int(name), cores)
                        moved = True
    return moved
