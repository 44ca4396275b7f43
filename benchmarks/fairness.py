"""How far equal code looks different: ``python -m benchmarks.fairness --help``.

One and the same hnswlib setting is measured again and again, as a built-in and as a submission,
without and with a neighbour that uses a core now and then. *Alone*: the mean latency of each job,
and how often that of the next differs, as two plain runs would be compared. *Side by side*: the
ratio of ``--ann-baseline`` to itself, in one session or in as many as a verdict takes. The truth
is 1. *Load* is the machine's average over a minute when the row was done: about 1 is the
experiment's own.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import dataclasses
import itertools
import math
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from pytest_annmodal.datasets import synthetic
from pytest_annmodal.execution import run_job
from pytest_annmodal.manifests import manifest
from pytest_annmodal.model import (
    Arguments,
    Baseline,
    Clock,
    Dataset,
    Implementation,
    Job,
    Limits,
    Search,
)
from pytest_annmodal.outcome import Measurement

BUILD = Arguments(kwargs={"M": 12, "ef_construction": 60})
SEARCH = Arguments(kwargs={"ef": 60})
ABOUT = "How far equal code looks different, alone and side by side."
LEAST_REPEATS = 3
N_QUERIES = 2000  # gist has 1,000, sift 10,000; a submission is asked none of them twice
HEADER = """\
| | neighbour | alone: spread | next > 5 % off | ratio: spread | > 5 % off | verdicts | load |
|---|---|---|---|---|---|---|---|"""
# Bursts of work and of sleep, by chance, as other people's jobs are. It ends with this process.
NEIGHBOUR = """
import os, random, time
chance, parent = random.Random(1), os.getppid()
while os.getppid() == parent:
    until = time.monotonic() + chance.expovariate(2)
    while time.monotonic() < until: pass
    time.sleep(chance.expovariate(2))
"""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fairness", description=ABOUT)
    parser.add_argument("--repeats", type=int, default=20, help="jobs a row (20)")
    parser.add_argument("--sessions", type=int, default=1, help="at most, a job (1)")
    asked = parser.parse_args()
    if asked.repeats < LEAST_REPEATS:
        parser.error(f"a spread needs {LEAST_REPEATS} repeats or more, not {asked.repeats}")
    hnswlib = next(item for item in manifest.builtin() if item.name == "hnswlib")
    print(f"{os.cpu_count()} cores, {asked.repeats} repeats of at most {asked.sessions} sessions")
    print(HEADER)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clusters-64-euclidean.hdf5"
        synthetic.generate(path, "euclidean", n_queries=N_QUERIES)
        for trusted, noisy in itertools.product((True, False), (False, True)):
            with neighbour(running=noisy):
                jobs = [
                    measured(hnswlib, path, trusted=trusted, max_sessions=asked.sessions)
                    for _ in range(asked.repeats)
                ]
                load = os.getloadavg()[0]
            print(row(jobs, trusted=trusted, noisy=noisy, load=load), flush=True)


def row(jobs: Sequence[Measurement], *, trusted: bool, noisy: bool, load: float) -> str:
    """The figures of all repeats under one condition."""
    latencies = [job.mean_s for job in jobs]
    compared = [job.comparison for job in jobs if job.comparison]
    ratios = [comparison.ratio for comparison in compared]
    words = collections.Counter(comparison.verdict or "none" for comparison in compared)
    nexts = [one / other for one, other in itertools.pairwise(latencies)]
    cells = (
        "built-in" if trusted else "submission",
        "yes" if noisy else "no",
        spread(latencies),
        beyond(nexts),
        spread(ratios),
        beyond(ratios),
        ", ".join(f"{count} × {word}" for word, count in words.most_common()),
        f"{load:.1f}",
    )
    return f"| {' | '.join(cells)} |"


def measured(
    hnswlib: Implementation, path: Path, *, trusted: bool, max_sessions: int
) -> Measurement:
    """One job with fresh builds: the setting, and its race with itself."""
    clock: Clock = "worker" if trusted else "parent"
    alone = dataclasses.replace(hnswlib, variants=())
    job = Job(
        dataset=Dataset(name=path.stem, source=f"file:{path}"),
        implementation=dataclasses.replace(alone, trusted=trusted),
        build=BUILD,
        searches=(Search(case_id="one", arguments=SEARCH, k=10, rounds=1),),
        limits=Limits(clock=clock),
        baseline=Baseline(
            implementation=alone,
            build=BUILD,
            searches=(SEARCH,),
            max_sessions=max_sessions,
            difference=0.05,
        ),
    )
    (outcome,) = run_job(job, path)
    assert isinstance(outcome, Measurement), outcome
    return outcome


@contextlib.contextmanager
def neighbour(*, running: bool) -> Iterator[None]:
    if not running:
        yield
        return
    with subprocess.Popen([sys.executable, "-c", NEIGHBOUR]) as process:
        try:
            yield
        finally:
            process.kill()


def spread(values: Sequence[float]) -> str:
    """Standard deviation of the logarithms."""
    return f"{statistics.stdev(map(math.log, values)):.1%}"


def beyond(ratios: Sequence[float]) -> str:
    """How many are more than 5 % away from the truth, in either direction."""
    return f"{sum(abs(math.log(ratio)) > math.log(1.05) for ratio in ratios)} of {len(ratios)}"


if __name__ == "__main__":
    main()
