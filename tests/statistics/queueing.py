"""Servers whose waiting times a textbook knows, and one that stalls: the figures in docs/load.md.

    python tests/statistics/queueing.py [SECONDS]

M/D/1 and M/M/1 are implementations that spin for a known time (always the same; exponential). Offered
50, 70 and 90 % load, their mean waiting time must be the textbook's (Kleinrock, Queueing Systems I, 1975),
from the service time as it was measured: load x service / (1 - load), and half of that for M/D/1. One that stalls
100 ms once a second is asked in both loops. Takes about four times SECONDS, on a quiet machine.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from jobs import index, make_job, write
from small_data import write_small

from pytest_annmodal.execution import run_job
from pytest_annmodal.levels import Level, Load, Loaded
from pytest_annmodal.outcome import Measurement

SERVICE_S = 50e-6
LOADS = (0.5, 0.7, 0.9)
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


def level_of(body: str, rate_qps: float, seconds: float) -> Level:
    load = Load(rates_qps=(rate_qps,), level_s=seconds, queue=1_000_000, seed=11)
    (level,) = borne(body, load).levels
    assert not level.failure, level.message
    return level


def line(name: str, share: float, level: Level) -> str:
    """One row: textbook and measured, from the service time and the rate that were measured."""
    rate_qps, service_s = (level.n_answered - 1) / level.seconds, level.service_mean_s or 0.0
    load = rate_qps * service_s
    expected_s = load * service_s / (1 - load) / (2 if name == "M/D/1" else 1)
    found_s = level.waiting_mean_s or 0.0
    return (
        f"| {name} | {share:.0%} | {load:.1%} | {level.n_answered:,} | {service_s * 1e6:.2f} µs "
        f"| {expected_s * 1e6:.1f} µs | {found_s * 1e6:.1f} µs | {found_s / expected_s - 1:+.1%} "
        f"| {level.n_late / level.n_offered:.1%} | {', '.join(level.marks)} |"
    )


def main(seconds: float) -> None:
    print(
        "| server | asked | load | queries | service | textbook | measured | off by | late | marks |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|")
    for name, spins in SERVERS.items():
        body = SPIN.format(spins=spins)
        for share in LOADS:
            many = seconds * {0.5: 0.2, 0.7: 0.3, 0.9: 1.0}[share] * (1 if name == "M/M/1" else 0.6)
            print(line(name, share, level_of(body, share / SERVICE_S, many)), flush=True)
    load = Load(rates_qps=(200.0,), clients=(1,), level_s=max(seconds / 6, 2.2), seed=1)
    found = borne(STALLS, load)
    print(f"lateness with an idle server, p99: {(found.lateness_p99_s or 0) * 1e6:.1f} µs")
    for level in found.levels:
        shown = [f"{(one or 0) * 1e3:.3g} ms" for one in (level.p50_s, level.p95_s, level.p99_s)]
        print(level.kind, level.words, f"{level.qps:.0f}/s p50, p95, p99:", *shown, *level.marks)


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 60.0)
