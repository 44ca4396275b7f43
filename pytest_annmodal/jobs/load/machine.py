"""Reads the kernel's counters before and after a level, to see disturbance by the machine."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

from pytest_annmodal.jobs.asking import switches_so_far
from pytest_annmodal.jobs.quota import Throttling, throttling
from pytest_annmodal.levels import Machine
from pytest_annmodal.sandbox.cores import affinity

ROOT = Path("/")
STEAL = 8  # the column of a line of /proc/stat, behind its name: man 5 proc_stat


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """The kernel's counters at one moment."""

    switches: int
    waited_s: float | None
    steal_s: float | None
    throttled: Throttling

    @classmethod
    def now(cls, root: Path = ROOT) -> Look:
        return cls(
            switches=switches_so_far(),
            waited_s=waited_s(root),
            steal_s=steal_s(root),
            throttled=throttling(root),
        )

    def until_now(
        self, *, worker_switches: int, worker_waited_s: float | None = None, root: Path = ROOT
    ) -> Machine:
        """Returns the differences from then to now."""
        now = Look.now(root)
        waited = now.waited_s is not None and self.waited_s is not None
        held_up = now.throttled.since(self.throttled)
        known = now.steal_s is not None and self.steal_s is not None
        return Machine(
            worker_switches=worker_switches,
            generator_switches=now.switches - self.switches,
            worker_waited_s=None if worker_waited_s is None else round(worker_waited_s, 6),
            generator_waited_s=(
                round((now.waited_s or 0.0) - (self.waited_s or 0.0), 6) if waited else None
            ),
            steal_s=round((now.steal_s or 0.0) - (self.steal_s or 0.0), 3) if known else None,
            throttled_times=held_up.times,
            throttled_s=round(held_up.seconds, 6),
            mhz=frequency_mhz(root),
        )


def waited_s(root: Path = ROOT) -> float | None:
    """Returns seconds for which the calling thread was ready and had no core; None if unknown."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        return int((root / "proc/thread-self/schedstat").read_text().split()[1]) / 1e9
    return None


def steal_s(root: Path = ROOT) -> float | None:
    """Returns the steal time of this process's cores, in seconds; None where unknown."""
    cores = {f"cpu{core}" for core in affinity()}
    with contextlib.suppress(OSError, ValueError, IndexError):
        lines = (line.split() for line in (root / "proc/stat").read_text().splitlines())
        ticks = [int(words[STEAL]) for words in lines if words and words[0] in cores]
        return sum(ticks) / os.sysconf("SC_CLK_TCK") if ticks else None
    return None


def frequency_mhz(root: Path = ROOT) -> float | None:
    """Returns the present mean frequency of this process's cores; None where not readable."""
    found = []
    for core in affinity():
        place = root / f"sys/devices/system/cpu/cpu{core}/cpufreq/scaling_cur_freq"
        with contextlib.suppress(OSError, ValueError):
            found.append(int(place.read_text()) / 1e3)
    if not found:
        with contextlib.suppress(OSError, ValueError, IndexError):
            text = (root / "proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
            lines = [line for line in text.splitlines() if line.startswith("cpu MHz")]
            found = [float(line.split(":")[1]) for line in lines]
    return round(sum(found) / len(found), 1) if found else None
