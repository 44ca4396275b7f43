"""Servers whose waiting times a textbook knows, and one that stalls: the figures in docs/load.md.

    python tests/statistics/queueing.py [SECONDS [SEED]]

M/D/1 and M/M/1 are implementations that spin for the time that a query names: always 500 µs, or
exponentially distributed with that mean. They are offered 50, 70 and 90 % of what they can answer.
The mean waiting time is compared with two others:

- the textbook: rate x E[S^2] / (2 x (1 - rate x E[S])) by Pollaczek and Khinchine (Kleinrock, Queueing
  Systems I, 1975), with the moments of the service times that were measured;
- the same queries: Lindley's recursion over the very arrivals and spins, each with the mean hand-over
  that was measured. It shares the chance of this run, so what differs is the instrument.

"By chance" is the standard deviation of the mean over simulated runs of the same length. A level that
needs 1.5 % has to have as many queries as the last line says. A server that stalls 100 ms once a second
is asked in both loops. Takes about seven times SECONDS, on a quiet machine.
"""

from __future__ import annotations

import sys
import tempfile
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

SERVICE_S = 500e-6
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


def line(name: str, level: Level, load: Load, spins: NDArray[np.float32]) -> str:
    """One row: textbook, recursion and measured, with what the machine did."""
    assert level.service_mean_s is not None
    due_s = schedule.due_ns(
        level.offered_qps or 0, load.level_s, arrivals="poisson", seed=load.seed
    )
    due_s, n = due_s / 1e9, len(due_s)
    own_s = np.resize(spins, n) / 1e6
    beyond_s = level.service_mean_s - own_s.mean()
    rate_qps, gaps_s = (n - 1) / (due_s[-1] - due_s[0]), np.diff(due_s)
    busy = rate_qps * level.service_mean_s
    textbook_s = rate_qps * level.service_square_s2 / (2 * (1 - busy))
    same_s = float(waits(due_s, own_s + beyond_s).mean())
    found_s, stops, machine = level.waiting_mean_s, level.stops, level.machine
    return (
        f"| {name} | {busy:.1%} | {n:,} | {gaps_s.std() / gaps_s.mean():.3f} "
        f"| {beyond_s * 1e6:.1f} µs | {level.service_max_s * 1e3:.2f} ms "
        f"| {textbook_s * 1e6:.0f} µs | {same_s * 1e6:.0f} µs | {found_s * 1e6:.0f} µs "
        f"| {found_s / textbook_s - 1:+.1%} | {found_s / same_s - 1:+.1%} "
        f"| ± {by_chance(name, busy, n):.1%} "
        f"| {stops.generator_s * 1e3:.1f} ({stops.generator_longest_s * 1e3:.1f}) "
        f"| {stops.worker_s * 1e3:.1f} ({stops.worker_longest_s * 1e3:.1f}) "
        f"| {stops.waiting_mean_s * 1e6:.0f} µs | {machine.worker_waited_s} "
        f"| {machine.generator_waited_s} | {machine.steal_s} | {machine.throttled_s} "
        f"| {', '.join(level.marks)} |"
    )


HEAD = (
    "server",
    "load",
    "queries",
    "std of gaps / mean",
    "hand-over",
    "longest service",
    "textbook",
    "same queries",
    "measured",
    "off textbook",
    "off same queries",
    "by chance",
    "generator stopped, ms (longest)",
    "worker stopped, ms (longest)",
    "without stops",
    "worker waited, s",
    "generator waited, s",
    "steal, s",
    "throttled, s",
    "marks",
)


def main(seconds: float, seed: int) -> None:
    print(f"| {' | '.join(HEAD)} |")
    print(f"|{'---|' * len(HEAD)}")
    rates_qps = tuple(share / (SERVICE_S + HAND_OVER_S) for share in LOADS)
    load = Load(rates_qps=rates_qps, level_s=seconds, queue=1_000_000, seed=seed)
    for name in ("M/D/1", "M/M/1"):
        spins = spins_us(name)
        for level in borne(SPINS, load, spins).levels:
            assert not level.failure, level.message
            print(line(name, level, load, spins), flush=True)
    load = Load(rates_qps=(200.0,), clients=(1,), level_s=max(seconds / 4, 2.2), seed=1)
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
    main(float(given[0]) if given else 50.0, int(given[1]) if given[1:] else 11)
