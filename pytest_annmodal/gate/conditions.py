"""Other load on the machine while a gate ran, from the kernel's accounts (Linux)."""

from __future__ import annotations

import contextlib
import os
import resource
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pytest_annmodal.figures import duration
from pytest_annmodal.jobs.machine import affinity_cores
from pytest_annmodal.jobs.quota import Throttling, throttling

STAT = Path("/proc/stat")
IDLE, IOWAIT, STEAL = 3, 4, 7  # columns of its first line
FEW = 0.05  # of a core: more than a machine's background work takes


@dataclass(frozen=True, slots=True, kw_only=True)
class Accounts:
    """Seconds since boot on all cores; ``own_s`` of this process and its ended children."""

    wall_s: float
    busy_s: float
    stolen_s: float
    own_s: float
    held_up: Throttling


def read(stat: Path = STAT) -> Accounts:
    """Reads the accounts; zeros where the kernel has none."""
    ticks = [0] * (STEAL + 1)
    with contextlib.suppress(OSError, ValueError, IndexError):
        ticks = [int(word) for word in stat.read_text().splitlines()[0].split()[1:]]
    per_s = os.sysconf("SC_CLK_TCK")
    stolen = ticks[STEAL] if len(ticks) > STEAL else 0
    busy = sum(ticks[:STEAL]) - ticks[IDLE] - ticks[IOWAIT]
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return Accounts(
        wall_s=time.monotonic(),
        busy_s=busy / per_s,
        stolen_s=stolen / per_s,
        own_s=time.process_time() + children.ru_utime + children.ru_stime,
        held_up=throttling(),
    )


def notes(before: Accounts, after: Accounts) -> Iterator[str]:
    """Yields notes on what may have changed times."""
    wall_s = max(after.wall_s - before.wall_s, 1e-9)
    others = (after.busy_s - before.busy_s - (after.own_s - before.own_s)) / wall_s
    stolen = (after.stolen_s - before.stolen_s) / wall_s
    held_up = after.held_up.since(before.held_up)
    if others > FEW:
        yield f"other processes used {others:.1f} of {affinity_cores()} cores meanwhile"
    if stolen > FEW:
        yield f"the host took {stolen:.1f} cores away meanwhile (steal)"
    if held_up.times:
        yield (
            f"the CPU quota stopped this process {held_up.times} times, for "
            f"{duration(held_up.seconds)}"
        )
