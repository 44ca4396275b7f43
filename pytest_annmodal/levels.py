"""The types of load tests: requested load, and the figures of each level."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Arrivals = Literal["poisson", "uniform"]
Kind = Literal["open", "closed"]
Clients = Literal["threads", "processes"]

CLIENTS: tuple[Clients, ...] = ("threads", "processes")
GENERATOR_BOUND = "generator-bound"  # the load generator was the limit, not the server
SATURATED = "saturated"  # queries came faster than they were answered
STOPPED = "stopped"  # the machine stopped worker or generator, and that explains the figures
NOT_COUNTED = frozenset({GENERATOR_BOUND, STOPPED})  # levels that are not ranked unless asked for
NOISY = "noisy"  # other processes ran on the worker's core
FEW_CORES = "more clients than cores"
AUTO_SHARES = (0.5, 0.7, 0.8, 0.9, 0.95)  # of the measured capacity


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """The load levels of a job, besides single queries.

    Attributes:
        rates_qps: offered queries per second, one level each (open loop).
        auto: offer the :data:`AUTO_SHARES` of the measured capacity instead.
        clients: numbers of clients, one level each; a client sends its next query when it has its
            answer (closed loop).
        seed: of the arrival times of Poisson queries.
        level_s: duration of a level.
        queue: most waiting queries; a query that finds the queue full is dropped.
        at_p99_s: also find the highest rate at which 99 % of the latencies are at most this.
        count_bound: use levels with a mark of :data:`NOT_COUNTED` like the others.
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
        """The approximate duration of all levels of one search setting."""
        n_open = len(AUTO_SHARES) if self.auto else len(self.rates_qps)
        return (n_open + len(self.clients)) * self.level_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """The state of the machine during a level.

    Attributes:
        worker_switches, generator_switches: involuntary context switches.
        worker_waited_s, generator_waited_s: time in which they were ready to run and had no core;
            None if unknown.
        steal_s: seconds that a hypervisor gave to others, on all cores of this process; None if
            unknown.
        throttled_times, throttled_s: how often, and how long, a CPU quota stopped this process.
        mhz: mean frequency of these cores at the end of the level; None if unknown.
    """

    worker_switches: int = 0
    generator_switches: int = 0
    worker_waited_s: float | None = None
    generator_waited_s: float | None = None
    steal_s: float | None = None
    throttled_times: int = 0
    throttled_s: float = 0.0
    mhz: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stops:
    """Times in which the machine kept an open loop from running, and its figures without them.

    Attributes:
        generator_s, generator_longest_s: the generator did not run; in all, and at once.
        worker_s, worker_longest_s: the worker was kept from running while it served a query; in
            all, and in one query.
        waiting_mean_s, p99_s: what these figures of the level would be without the stops.
    """

    generator_s: float = 0.0
    generator_longest_s: float = 0.0
    worker_s: float = 0.0
    worker_longest_s: float = 0.0
    waiting_mean_s: float = 0.0
    p99_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """The figures of one load level. In an open loop latencies count from the intended start.

    Attributes:
        clients: number of clients; 1 in an open loop.
        offered_qps: intended queries per second, in an open loop.
        qps: answered queries per second.
        n_offered, n_answered, n_dropped: queries; a dropped one found the queue full.
        n_late: queries that waited, since another was being answered when they came.
        recall: of the answers of this level, by distance; None before they are scored.
        waiting_mean_s, waiting_p99_s: from the intended start to the beginning of service.
        service_mean_s, service_p50_s, service_p99_s, service_max_s: from the beginning of service
            to the answer.
        service_square_s2: mean of their squares, for the formula of Pollaczek and Khinchine.
        lateness_p99_s: delay by the generator itself while the server was idle.
        generator_share: share of its core's time in which the generator was busy.
        speed_up: ``qps`` over that of one client, in a closed loop.
        marks: warnings: :data:`GENERATOR_BOUND`, :data:`STOPPED`, :data:`SATURATED`...
        stops: what the machine did to an open loop; None in a closed one.
        failure, message: why there are no figures: the kind of a ``Failure``, and its message.
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
    service_p50_s: float | None = None
    service_p99_s: float | None = None
    service_max_s: float | None = None
    service_square_s2: float | None = None
    lateness_p99_s: float | None = None
    generator_share: float | None = None
    speed_up: float | None = None
    marks: tuple[str, ...] = ()
    machine: Machine = Machine()
    stops: Stops | None = None
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
    """The figures of one case under load.

    Attributes:
        levels: in the order in which they were run.
        capacity_qps: answered queries per second when all came at once; None if not requested.
        lateness_p99_s: delay by the generator with an idle server, before the levels; None
            without an open loop.
        generator_qps: queries per second that the generator can offer, measured with a server
            that does nothing; None without an open loop.
        clients_are: ``threads`` or ``processes``; empty without a closed loop.
        knee_qps, knee_clients: where more load begins to cost more than it brings; None if the
            levels do not show it.
        at_p99_s: the bound of ``--ann-at-p99-ms``.
        notes: what could not be measured, and why.
        interrupted: the session was ended in the middle of a level.
    """

    levels: tuple[Level, ...] = ()
    arrivals: Arrivals = "poisson"
    seed: int = 0
    level_s: float = 0.0
    queue: int = 0
    capacity_qps: float | None = None
    lateness_p99_s: float | None = None
    generator_qps: float | None = None
    clients_are: str = ""
    knee_qps: float | None = None
    knee_clients: int | None = None
    at_p99_s: float | None = None
    notes: tuple[str, ...] = ()
    interrupted: bool = False
