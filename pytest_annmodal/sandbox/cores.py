"""Which cores a worker computes on, which its parent keeps to, and how it is held there."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_annmodal.errors import SmugglingError

TOPOLOGY = Path("/sys/devices/system/cpu")
MOST_LOOKS = 20  # each may find threads that were started during the one before

Place = tuple[int, str]  # a processor's socket, and the processors that share its core


@dataclass(frozen=True, slots=True, kw_only=True)
class Cores:
    """Who computes where; all are empty where the system cannot tell (it is not Linux).

    Attributes:
        worker: for a build and for batches; fewer than the threads where cores are few.
        query: the one of them for single queries.
        parent: none of the worker's where there are others.
    """

    worker: frozenset[int] = frozenset()
    query: frozenset[int] = frozenset()
    parent: frozenset[int] = frozenset()


def affinity() -> frozenset[int]:
    """Cores that the calling thread may use; empty where the system cannot tell."""
    return frozenset(os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else ())


def pin(cores: Iterable[int]) -> None:
    """Keep the calling thread, and what it starts, to these cores; an empty set is ignored."""
    wanted = set(cores)
    if wanted and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, wanted)


def share_out(usable: Iterable[int], threads: int, topology: Path = TOPOLOGY) -> Cores:
    """Choose a worker's cores among the usable ones, and its parent's.

    The worker's are of one socket, the one that has most usable cores, and no two are
    hyperthreads of one core, as far as that goes. The highest numbers come first: the lowest
    are where interrupts are served. The parent's are others of that socket, on cores that the
    worker has no part of; what is not to be had is given up in the reverse order.
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
    """Where a processor is; each is a core of its own where the system does not say."""
    folder = topology / f"cpu{cpu}" / "topology"
    try:
        socket = int((folder / "physical_package_id").read_text())
        return socket, (folder / "thread_siblings_list").read_text().strip()
    except (OSError, ValueError):
        return 0, str(cpu)


class Stay:
    """Where a worker and all that it started are kept at the moment.

    Args:
        cores: where it was started.
        family: says which processes there are.
        trusted: it may beget others so quickly that they cannot be held.
    """

    def __init__(
        self, cores: frozenset[int], family: Callable[[], Iterable[int]], *, trusted: bool
    ) -> None:
        self.cores, self._family, self._trusted = cores, family, trusted

    def within(self, wanted: frozenset[int], evidence: Callable[[], dict[str, Any]]) -> None:
        """Move all of them there; they stay where they are if this process has no right to.

        Raises:
            SmugglingError: some always escape.
        """
        if wanted == self.cores:
            return
        try:
            kept = keep(self._family, wanted)
        except PermissionError:  # root without its rights, over another user's
            return
        self.cores = wanted
        if not kept and not self._trusted:
            raise SmugglingError(
                "its processes and threads beget each other too quickly to be kept to "
                f"{len(wanted)} core(s)",
                **evidence(),
            )


def keep(family: Callable[[], Iterable[int]], cores: Iterable[int]) -> bool:
    """Hold every thread of these processes to the cores; what they start later stays there.

    Args:
        family: says which processes there are; asked again until a look finds nothing to move,
            since a thread that was started meanwhile has the cores of the one that started it.

    Returns:
        Whether a look found all of them there.

    Raises:
        PermissionError: they are another user's.
    """
    wanted = set(cores)
    return not wanted or any(not _moved(family(), wanted) for _ in range(MOST_LOOKS))


def _moved(pids: Iterable[int], cores: set[int]) -> bool:
    """Move who is elsewhere; whether there was anybody."""
    moved = False
    for pid in pids:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has ended
            for name in os.listdir(f"/proc/{pid}/task"):  # noqa: PTH208 -- as quick as can be
                with contextlib.suppress(ProcessLookupError):
                    if os.sched_getaffinity(int(name)) != cores:
                        os.sched_setaffinity(int(name), cores)
                        moved = True
    return moved
