"""Servers whose waiting times a textbook knows, and one that stalls: the figures in docs/load.md.

    python tests/statistics/queueing.py [SECONDS]

M/D/1 and M/M/1 are implementations that spin for a known time (always the same; exponential). They are
asked as ``--ann-rate auto`` asks, at 50 to 95 % of the measured capacity. The mean waiting time must be
that of Pollaczek and Khinchine (Kleinrock, Queueing Systems I, 1975): rate x E[S^2] / (2 x (1 - load)).
S is the time from one query to the next while others wait, so its mean is 1 / capacity: the spin and the
handing over. "By chance" is the standard deviation of 200 simulated runs of the same length (Lindley's
recursion). A server that stalls 100 ms once a second is asked in both loops. Takes about eleven times
SECONDS, on a quiet machine.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from jobs import index, make_job, write
from small_data import write_small

from pytest_annmodal.execution import run_job
from pytest_annmodal.levels import Level, Load, Loaded
from pytest_annmodal.outcome import Measurement

SERVICE_S = 200e-6
N_SIMULATED = 200
SPIN = """
    def fit(self, X):
        rng = np.random.default_rng(5)
        self.spins, self.at = {spins}, 0
    def query(self, v, k):
        end = time.perf_counter_ns() + self.spins[self.at % len(self.spins)]
        self.at += 1
        while time.perf_counter_ns() < end:
            pass
        return self.same
    same = list(range(10))
"""
SERVERS = {
    "M/D/1": f"[{round(SERVICE_S * 1e9)}]",
    "M/M/1": f"rng.exponential({SERVICE_S * 1e9}, 1_000_003).astype(int).tolist()",
}
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


def borne(body: str, load: Load) -> Loaded:
    with tempfile.TemporaryDirectory() as folder:
        dataset = write_small(Path(folder))
        job = make_job(dataset, write(Path(folder) / "server.py", index(body)), load=load)
        (found,) = run_job(job, dataset)
    assert isinstance(found, Measurement), found
    assert found.load is not None
    return found.load


def by_chance(name: str, load: float, n_queries: int) -> float:
    """The relative standard deviation of the mean waiting time of so many queries."""
    rng = np.random.default_rng(3)
    shape = N_SIMULATED, n_queries
    services = np.ones(shape) if name == "M/D/1" else rng.exponential(1, shape)
    steps = np.cumsum(services - rng.exponential(1 / load, shape), axis=1)
    waiting = steps - np.minimum(np.minimum.accumulate(steps, axis=1), 0)
    means = waiting.mean(axis=1)
    return float(means.std() / means.mean())


def line(name: str, level: Level, capacity_qps: float) -> str:
    """One row: textbook and measured, from the capacity and the rate that were measured."""
    rate_qps, cycle_s = (level.n_answered - 1) / level.seconds, 1 / capacity_qps
    load, spread_s = rate_qps * cycle_s, 0.0 if name == "M/D/1" else SERVICE_S
    expected_s = rate_qps * (cycle_s**2 + spread_s**2) / (2 * (1 - load))
    found_s = level.waiting_mean_s or 0.0
    return (
        f"| {name} | {load:.1%} | {level.n_answered:,} | {(level.service_mean_s or 0) * 1e6:.1f} µs "
        f"| {cycle_s * 1e6:.1f} µs | {expected_s * 1e6:.0f} µs | {found_s * 1e6:.0f} µs "
        f"| {found_s / expected_s - 1:+.1%} | ± {by_chance(name, load, level.n_answered):.1%} "
        f"| {', '.join(level.marks)} |"
    )


def main(seconds: float) -> None:
    print(
        "| server | load | queries | service | cycle | textbook | measured | off by | by chance | marks |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|")
    for name, spins in SERVERS.items():
        load = Load(auto=True, level_s=seconds, queue=1_000_000, seed=11)
        found = borne(SPIN.format(spins=spins), load)
        assert found.capacity_qps
        for level in found.levels:
            assert not level.failure, level.message
            print(line(name, level, found.capacity_qps), flush=True)
    load = Load(rates_qps=(200.0,), clients=(1,), level_s=max(seconds / 4, 2.2), seed=1)
    found = borne(STALLS, load)
    print(f"lateness with an idle server, p99: {(found.lateness_p99_s or 0) * 1e6:.1f} µs")
    for level in found.levels:
        shown = [f"{(one or 0) * 1e3:.3g} ms" for one in (level.p50_s, level.p95_s, level.p99_s)]
        print(level.kind, level.words, f"{level.qps:.0f}/s p50, p95, p99:", *shown, *level.marks)


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 60.0)
