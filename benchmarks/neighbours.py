"""What busy neighbours do to the figures of both clocks: ``python -m benchmarks.neighbours``.

A query that takes a fixed number of steps is measured, a job each time, beside 0, 1 and 2
processes that compute without end, by the worker's clock and by the parent's. Each ratio is to the
quiet job of the same round, so that a drift of the machine's speed cancels; rows are medians.
``taskset -c 0`` before the command shows the same on one core.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pytest_annmodal.datasets import synthetic
from pytest_annmodal.execution import run_job
from pytest_annmodal.model import Arguments, Clock, Dataset, Implementation, Job, Limits, Search
from pytest_annmodal.outcome import Measurement

N_QUERIES = 200
SETTLE_S = 0.5  # until the kernel has placed new neighbours
FIGURES = ("p50_s", "p95_s", "qps")
# A query of steps, not of seconds: what a neighbour takes of the core is then seen.
SOURCE = """
import numpy as np

class Steps:
    def __init__(self, metric, steps):
        self.steps = range(steps)

    def fit(self, X):
        self.answer = list(range(10))

    def query(self, v, k):
        for _ in self.steps:
            pass
        return self.answer[:k]
"""
HEADER = """\
| clock | neighbours | p50, ms | p50 | p95 | QPS | uncertain | waited | noisy | cannot tell | s |
|---|---|---|---|---|---|---|---|---|---|---|"""
ABOUT = "What busy neighbours do to the figures of both clocks."
CLOCKS: tuple[Clock, ...] = ("parent", "worker")


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """One job, beside the quiet one of its round."""

    job: Measurement
    quiet: Measurement
    seconds: float

    def ratio(self, name: str) -> float:
        return float(getattr(self.job, name) / getattr(self.quiet, name))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.neighbours", description=ABOUT)
    parser.add_argument("--repeats", type=int, default=5, help="jobs a row (5)")
    parser.add_argument("--steps", type=int, default=20_000, help="of one query (20,000)")
    parser.add_argument("--rounds", type=int, default=3, help="of a job (3)")
    parser.add_argument("--most", type=int, default=2, help="neighbours (2)")
    asked = parser.parse_args()
    cores = len(os.sched_getaffinity(0))
    print(f"{cores} cores, {asked.repeats} jobs a row, {N_QUERIES} queries × {asked.rounds} rounds")
    print(HEADER)
    rows: dict[tuple[Clock, int], list[Taken]] = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clusters-64-euclidean.hdf5"
        synthetic.generate(path, "euclidean", n_train=1000, n_queries=N_QUERIES)
        source = Path(folder) / "steps.py"
        source.write_text(SOURCE)
        for _, clock in itertools.product(range(asked.repeats), CLOCKS):
            job = job_of(path, source, clock=clock, steps=asked.steps, rounds=asked.rounds)
            quiet = None
            for n in range(asked.most + 1):
                with neighbours(n):
                    start = time.monotonic()
                    measurement = measured(job, path)
                    seconds = time.monotonic() - start
                quiet = quiet or measurement
                taken = Taken(job=measurement, quiet=quiet, seconds=seconds)
                rows.setdefault((clock, n), []).append(taken)
    for (clock, n), found in sorted(rows.items()):
        print(row(found, clock=clock, n=n))


def row(found: Sequence[Taken], *, clock: Clock, n: int) -> str:
    """Medians of all jobs under one condition, against the quiet ones."""
    jobs = [taken.job for taken in found]
    uncertain = [job.uncertain_share for job in jobs if job.uncertain_share is not None]
    cells = (
        f"{clock}'s",
        str(n),
        f"{statistics.median(job.p50_s for job in jobs) * 1e3:.3f}",
        *(f"{statistics.median(taken.ratio(name) for taken in found):.2f}" for name in FIGURES),
        f"{statistics.median(uncertain):.1%}" if uncertain else "-",
        f"{statistics.median(job.environment['worker_waited'] for job in jobs):.0%}",
        f"{sum(any('noisy:' in note for note in job.notes) for job in jobs)} of {len(jobs)}",
        f"{sum('queries' in job.disturbed for job in jobs)} of {len(jobs)}",
        f"{statistics.median(taken.seconds for taken in found):.1f}",
    )
    return f"| {' | '.join(cells)} |"


def job_of(path: Path, source: Path, *, clock: Clock, steps: int, rounds: int) -> Job:
    """A submission by the parent's clock, a trusted file by its own."""
    trusted = clock == "worker"
    return Job(
        dataset=Dataset(name=path.stem, source=f"file:{path}"),
        implementation=Implementation(
            name="steps",
            path=str(source),
            class_name="Steps",
            metrics=("euclidean",),
            trusted=trusted,
        ),
        build=Arguments(kwargs={"steps": steps}),
        searches=(Search(case_id="one", arguments=Arguments(), k=10, rounds=rounds),),
        limits=Limits(clock=clock),
    )


def measured(job: Job, path: Path) -> Measurement:
    (outcome,) = run_job(job, path)
    assert isinstance(outcome, Measurement), outcome
    return outcome


@contextlib.contextmanager
def neighbours(n: int) -> Iterator[None]:
    """So many processes that compute, on whatever core the kernel gives them."""
    code = "import os\nparent = os.getppid()\nwhile os.getppid() == parent: pass"
    with contextlib.ExitStack() as stack:
        for _ in range(n):
            process = stack.enter_context(subprocess.Popen([sys.executable, "-c", code]))
            stack.callback(process.kill)
        time.sleep(SETTLE_S)
        yield


if __name__ == "__main__":
    main()
