"""CPU that a job asked for, might use, and used: for its environment and notes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pytest_annmodal.jobs.quota import Throttling
from pytest_annmodal.sandbox.contention import WAITED
from pytest_annmodal.sandbox.cores import Cores

# Process times are counted in ticks of 10 ms, and the worker's own messages take some CPU too.
MORE_SHARE, MORE_GRACE_S = 1.1, 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """CPU time that a worker and its children used in an interval."""

    cpu_s: float
    wall_s: float

    def cores_beyond(self, threads: int) -> float | None:
        """Returns how many cores were busy, if more than ``threads``; else None."""
        if self.cpu_s <= threads * self.wall_s * MORE_SHARE + MORE_GRACE_S:
            return None
        return self.cpu_s / self.wall_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """CPU of one search setting.

    Attributes:
        threads: number that was asked for.
        cores: those that the worker got.
        n_query_cores: number that single queries were pinned to; 0 where pinning is impossible.
        quota: of the control group, in cores, or None.
        held_up: throttling by that quota while queries and the batch were asked.
        wall_s: seconds of that time.
        work: of the build and of the batch, by name.
    """

    threads: int
    cores: Cores
    n_query_cores: int
    quota: float | None
    held_up: Throttling
    wall_s: float
    work: Mapping[str, Work]

    @property
    def disturbed(self) -> bool:
        """Whether the quota made times too long."""
        return self.held_up.seconds >= WAITED * self.wall_s > 0

    def fields(self) -> dict[str, Any]:
        query = sorted(self.cores.query)
        return {
            "threads": self.threads,
            "worker_core": query[0] if query and self.n_query_cores == 1 else None,
            "worker_cores": sorted(self.cores.worker),
            "query_cores": self.n_query_cores,
            "throttled_times": self.held_up.times,
            "throttled_s": round(self.held_up.seconds, 6),
            **{f"{phase}_cpu_s": round(work.cpu_s, 2) for phase, work in self.work.items()},
        }

    def notes(self) -> Iterator[str]:
        n_cores = len(self.cores.worker)
        if 0 < n_cores < self.threads:
            yield (
                f"{self.threads} threads were asked for, but this process may use only "
                f"{_cores(n_cores)}"
            )
        if self.quota is not None and self.quota < min(self.threads, n_cores or self.threads):
            yield (
                f"{_threads(self.threads)} asked for, but the CPU quota of this control group "
                f"is {_cores(self.quota)}: builds and batches are slowed down"
            )
        if self.n_query_cores > 1:
            yield (
                f"single queries could use {self.n_query_cores} cores: this process may not pin "
                "the worker to one (CAP_SYS_NICE)"
            )
        for phase, work in self.work.items():
            if busy := work.cores_beyond(self.threads):
                yield (
                    f"the {phase} kept {busy:.1f} cores busy, but {_threads(self.threads)} asked "
                    "for: set the library's number of threads"
                )
        if self.held_up.times:
            yield (
                f"noisy: the CPU quota of {_cores(self.quota or 0)} stopped this process "
                f"{self.held_up.times} times, for {self.held_up.seconds:.2g} s, while queries "
                "were asked"
            )


def _cores(number: float) -> str:
    return f"{number:g} core{'' if number == 1 else 's'}"


def _threads(number: int) -> str:
    return "1 thread was" if number == 1 else f"{number} threads were"
