"""Servers whose waiting times a textbook knows, and one that stalls: the figures in docs/load.md.

    python tests/statistics/queueing.py [ROUNDS [SECONDS]]

M/D/1 and M/M/1 are implementations that spin for the time that a query names: always 400 µs, or
exponentially distributed with that mean. They are offered 50, 70 and 90 % of what they can answer, in
levels of some seconds, each round with other arrivals. Each row is the mean of the levels without a
mark, then of those with one. The mean waiting time is compared with two others:

- the textbook: rate x E[S^2] / (2 x (1 - rate x E[S])) by Pollaczek and Khinchine (Kleinrock, Queueing
  Systems I, 1975), with the moments of the service times that were measured;
- the same queries: Lindley's recursion over the very arrivals and spins, each with the median hand-over
  that was measured. It shares the chance of this run, so what differs is the instrument.

"By chance" is the standard deviation of a mean over so many queries, were they one level. A server
that stalls 100 ms once a second is asked in both loops. Takes about 28 s a round with levels of 4 s,
on a quiet machine.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parents[1]))

from jobs import index, make_job, write
from small_data import write_small

from pytest_annmodal.execution import run_job
from pytest_annmodal.jobs.load import schedule
from pytest_annmodal.levels import Level, Load, Loaded
from pytest_annmodal.outcome import Measurement

SERVICE_S = 400e-6  # shorter than the generator's LOOK_NS, so that it rarely looks
HAND_OVER_S = 4e-6  # about; it only places the rates
LOADS = 0.5, 0.7, 0.9
N_SPINS = 5000
N_SIMULATED = 200
WANTED = 0.015  # of a mean waiting time: the standard error
SPINS = """
    def query(self, v, k):
        end = time.perf_counter_ns() + int(v[0] * 1000)
        while time.perf_counter_ns() < end:
            pass
        return self.same
    same = list(range(10))
"""
STALLS = """
    def fit(self, X):
        self.last = time.perf_counter()
    def query(self, v, k):
        now = time.perf_counter()
        if now - self.last > 1:
            self.last = now
            end = now + 0.1
        else:
            end = now + 0.0005
        while time.perf_counter() < end:
            pass
        return self.same
    same = list(range(10))
"""


def spins_us(name: str) -> NDArray[np.float32]:
    """The spins of the queries, float32 (n,), in µs: quantiles of their distribution, shuffled."""
    if name == "M/D/1":
        return np.full(N_SPINS, SERVICE_S * 1e6, np.float32)
    shares = (np.arange(N_SPINS) + 0.5) / N_SPINS
    quantiles = -SERVICE_S * 1e6 * np.log1p(-shares)
    return np.random.default_rng(5).permutation(quantiles).astype(np.float32)


def borne(body: str, load: Load, spins: NDArray[np.float32] | None = None) -> Loaded:
    with tempfile.TemporaryDirectory() as folder:
        rows = {} if spins is None else {"test": np.tile(spins[:, None], (1, 8))}
        dataset = write_small(Path(folder), **rows)
        job = make_job(dataset, write(Path(folder) / "server.py", index(body)), load=load)
        (found,) = run_job(job, dataset)
    assert isinstance(found, Measurement), found
    assert found.load is not None
    return found.load


def waits(due: NDArray[np.float64], services: NDArray[np.float64]) -> NDArray[np.float64]:
    """Waiting times by Lindley's recursion, over the last axis."""
    sums = np.cumsum(services, axis=-1)
    before = sums - services
    return before + np.maximum.accumulate(due - before, axis=-1) - due


def by_chance(name: str, load: float, n_queries: int) -> float:
    """The relative standard deviation of the mean waiting time of so many queries."""
    rng = np.random.default_rng(3)
    means = []
    for _ in range(N_SIMULATED):
        due = np.cumsum(rng.exponential(1 / load, n_queries))
        services = np.ones(n_queries) if name == "M/D/1" else rng.exponential(1, n_queries)
        means.append(waits(due, services).mean())
    return float(np.std(means) / np.mean(means))


@dataclass(slots=True)
class Row:
    """Sums over the levels of one server at one load, each weighed by its queries."""

    levels: int = 0
    queries: int = 0
    sums: NDArray[np.float64] = field(default_factory=lambda: np.zeros(len(MEANS)))
    most: NDArray[np.float64] = field(default_factory=lambda: np.zeros(len(MOST)))

    def add(self, level: Level, load: Load, spins: NDArray[np.float32]) -> None:
        stops, machine = level.stops, level.machine
        assert stops is not None
        service_s, square_s2 = level.service_mean_s or 0.0, level.service_square_s2 or 0.0
        due_s = schedule.due_ns(
            level.offered_qps or 0.0, load.level_s, arrivals="poisson", seed=load.seed
        )
        due_s, n = due_s / 1e9, len(due_s)
        own_s = np.resize(spins, n) / 1e6
        hand_over_s = (level.service_p50_s or 0.0) - float(np.median(own_s))
        rate_qps, gaps_s = (n - 1) / (due_s[-1] - due_s[0]), np.diff(due_s)
        busy = rate_qps * service_s
        means = (
            busy,
            gaps_s.std() / gaps_s.mean(),
            hand_over_s * 1e6,
            (service_s - own_s.mean()) * 1e6,
            rate_qps * square_s2 / (2 * (1 - busy)) * 1e6,
            waits(due_s, own_s + hand_over_s).mean() * 1e6,
            (level.waiting_mean_s or 0.0) * 1e6,
            stops.waiting_mean_s * 1e6,
            stops.generator_s * 1e3 / level.seconds,
            stops.worker_s * 1e3 / level.seconds,
            (machine.generator_waited_s or 0.0) * 1e3 / level.seconds,
            (machine.worker_waited_s or 0.0) * 1e3 / level.seconds,
            (machine.steal_s or 0.0) * 1e3 / level.seconds,
            machine.throttled_s * 1e3 / level.seconds,
        )
        most = stops.generator_longest_s, stops.worker_longest_s, level.service_max_s or 0.0
        self.levels += 1
        self.queries += n
        self.sums += np.asarray(means) * n
        self.most = np.maximum(self.most, np.asarray(most) * 1e3)

    def words(self, name: str, share: float, marks: str) -> str:
        means = dict(zip(MEANS, self.sums / self.queries, strict=True))
        found = means["measured"]
        off = (found / means[other] - 1 for other in ("textbook", "same queries"))
        return " | ".join(
            (
                f"| {name} | {share:.0%} | {marks} | {self.levels} | {self.queries:,}",
                *(f"{value:.4g}" for value in means.values()),
                *(f"{value:.3g}" for value in self.most),
                *(f"{value:+.1%}" for value in off),
                f"± {by_chance(name, share, self.queries):.1%} |",
            )
        )


MEANS = (
    "load",
    "std of gaps / mean",
    "hand-over (median), µs",
    "hand-over (mean), µs",
    "textbook",
    "same queries",
    "measured",
    "measured without stops",
    "generator stopped, ms/s",
    "worker stopped, ms/s",
    "generator waited, ms/s",
    "worker waited, ms/s",
    "steal, ms/s",
    "throttled, ms/s",
)
MOST = "generator's longest stop, ms", "worker's longest stop, ms", "longest service, ms"
OFF = "off textbook", "off same queries", "by chance"


def main(rounds: int, seconds: float) -> None:
    rates_qps = tuple(share / (SERVICE_S + HAND_OVER_S) for share in LOADS)
    rows: dict[tuple[str, float, str], Row] = {}
    for seed in range(rounds):
        load = Load(rates_qps=rates_qps, level_s=seconds, queue=1_000_000, seed=seed)
        for name in ("M/D/1", "M/M/1"):
            spins = spins_us(name)
            for share, level in zip(LOADS, borne(SPINS, load, spins).levels, strict=True):
                assert not level.failure, level.message
                row = rows.setdefault((name, share, ", ".join(level.marks)), Row())
                row.add(level, load, spins)
    head = ("server", "load", "marks", "levels", "queries", *MEANS, *MOST, *OFF)
    print(f"| {' | '.join(head)} |\n|{'---|' * len(head)}")
    for (name, share, marks), row in sorted(rows.items()):
        print(row.words(name, share, marks), flush=True)
    load = Load(rates_qps=(200.0,), clients=(1,), level_s=2.2, seed=1)
    found = borne(STALLS, load)
    print(f"lateness with an idle server, p99: {(found.lateness_p99_s or 0) * 1e6:.1f} µs")
    for level in found.levels:
        shown = [f"{(one or 0) * 1e3:.3g} ms" for one in (level.p50_s, level.p95_s, level.p99_s)]
        print(level.kind, level.words, f"{level.qps:.0f}/s p50, p95, p99:", *shown, *level.marks)
    needed = []
    for share in LOADS:
        # n x Var / mean^2 of M/M/1's waiting time: Daley 1968, "The serial correlation coefficients
        # of waiting times in a stationary single server queue".
        spread = (2 + 5 * share - 4 * share**2 + share**3) / (share * (1 - share) ** 2)
        needed.append(f"{share:.0%}: {spread / WANTED**2:,.0f}")
    print(f"M/M/1 queries for a standard error of {WANTED:.1%} at", ", ".join(needed))


if __name__ == "__main__":
    given = sys.argv[1:]
    main(int(given[0]) if given else 12, float(given[1]) if given[1:] else 4.0)
