"""Load: what of it is asked for, and what each level of it gave."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Arrivals = Literal["poisson", "uniform"]
Kind = Literal["open", "closed"]

GENERATOR_BOUND = "generator-bound"  # the load generator, and not the server, was the limit
SATURATED = "saturated"  # it was not answered as quickly as it came
NOISY = "noisy"  # others ran on the worker's core
FEW_CORES = "more clients than cores"
AUTO_SHARES = (0.5, 0.7, 0.8, 0.9, 0.95)  # of the measured capacity


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What load a job is put under, beside the queries that are asked one by one.

    Attributes:
        rates_qps: queries per second that are offered, a level each (an open loop).
        auto: offer the :data:`AUTO_SHARES` of the measured capacity instead.
        clients: how many ask at once, each its next query when it has its answer (closed loop).
        seed: of the times at which Poisson queries come.
        level_s: how long a level lasts.
        queue: how many queries may wait; who comes when it is full is dropped.
        at_p99_s: also find the highest rate at which 99 % of the latencies are at most this.
        count_bound: levels that the generator limited count as the others do.
    """

    rates_qps: tuple[float, ...] = ()
    auto: bool = False
    clients: tuple[int, ...] = ()
    arrivals: Arrivals = "poisson"
    seed: int = 0
    level_s: float = 5.0
    queue: int = 1000
    at_p99_s: float | None = None
    count_bound: bool = False

    @property
    def seconds(self) -> float:
        """About how long all levels of one search setting take."""
        n_open = len(AUTO_SHARES) if self.auto else len(self.rates_qps)
        return (n_open + len(self.clients)) * self.level_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What the machine did while a level lasted.

    Attributes:
        worker_switches, generator_switches: involuntary context switches.
        steal_s: seconds that a hypervisor gave to others, on all cores of this process; None where
            the system does not tell.
        throttled_times, throttled_s: how often, and how long, a CPU quota held this process up.
        mhz: the mean frequency of these cores at the end of the level; None where it is not told.
    """

    worker_switches: int = 0
    generator_switches: int = 0
    steal_s: float | None = None
    throttled_times: int = 0
    throttled_s: float = 0.0
    mhz: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """What one level of load gave. Seconds, of latencies from the intended start in an open loop.

    Attributes:
        clients: that asked at once; 1 in an open loop.
        offered_qps: queries per second that were meant to come, in an open loop.
        qps: queries per second that were answered.
        n_offered, n_answered, n_dropped: queries; a dropped one found the queue full.
        n_late: those that came while another was being answered, so that they waited.
        recall: of the answers of this level, by distance; None before they are scored.
        waiting_mean_s, waiting_p99_s: from the intended start to its turn.
        service_mean_s, service_p99_s: from its turn to its answer.
        lateness_p99_s: how late the generator itself was for a server that was idle.
        generator_share: of its core's time, that the generator had something to do.
        speed_up: ``qps`` over that of one client, in a closed loop.
        marks: what a reader must know: :data:`GENERATOR_BOUND`, :data:`SATURATED`...
        failure, message: why there are no figures: a kind as a ``Failure`` has it, and its words.
    """

    kind: Kind
    clients: int = 1
    offered_qps: float | None = None
    qps: float | None = None
    seconds: float = 0.0
    n_offered: int = 0
    n_answered: int = 0
    n_dropped: int = 0
    n_late: int = 0
    recall: float | None = None
    mean_s: float | None = None
    p50_s: float | None = None
    p95_s: float | None = None
    p99_s: float | None = None
    waiting_mean_s: float | None = None
    waiting_p99_s: float | None = None
    service_mean_s: float | None = None
    service_p99_s: float | None = None
    lateness_p99_s: float | None = None
    generator_share: float | None = None
    speed_up: float | None = None
    marks: tuple[str, ...] = ()
    machine: Machine = Machine()
    failure: str = ""
    message: str = ""

    @property
    def words(self) -> str:
        """``at 2,000 queries/s`` or ``with 4 clients``."""
        if self.offered_qps is not None:
            return f"at {self.offered_qps:,.0f} queries/s"
        return f"with {self.clients} client{'' if self.clients == 1 else 's'}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """How one case bore load.

    Attributes:
        levels: in the order in which they were run.
        capacity_qps: what was answered when all queries came at once; None if nobody asked.
        lateness_p99_s: how late the generator was for an idle server before the levels; None
            without an open loop.
        clients_are: ``threads`` or ``processes``; empty without a closed loop.
        knee_qps, knee_clients: where more load begins to cost more than it brings; None where the
            levels do not show it.
        at_p99_s: the bound of ``--ann-at-p99-ms``.
        notes: what could not be measured, and why.
        interrupted: somebody ended the session in the middle of a level.
    """

    levels: tuple[Level, ...] = ()
    arrivals: Arrivals = "poisson"
    seed: int = 0
    level_s: float = 0.0
    queue: int = 0
    capacity_qps: float | None = None
    lateness_p99_s: float | None = None
    clients_are: str = ""
    knee_qps: float | None = None
    knee_clients: int | None = None
    at_p99_s: float | None = None
    notes: tuple[str, ...] = ()
    interrupted: bool = False
