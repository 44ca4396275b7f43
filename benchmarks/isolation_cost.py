"""What shutting a submission in costs: ``python benchmarks/isolation_cost.py [repeats]``.

Runs the same small job at the levels in turn and prints, for each, median (least to most) of
the mailbox's floor, of the seconds of the whole job, and of those beyond the trusted one's.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from pytest_annmodal.datasets import hdf5
from pytest_annmodal.distances.exact import knn
from pytest_annmodal.execution import run_job
from pytest_annmodal.model import Arguments, Dataset, Implementation, Job, Limits, Search
from pytest_annmodal.outcome import Measurement
from pytest_annmodal.sandbox import isolation

INDEX = """
import numpy as np
class Index:
    def __init__(self, metric): pass
    def fit(self, X): pass
    def query(self, v, k): return list(range(k))
"""
LEVELS = {"none": "auto", "process": "process", "bubblewrap": "strict"}


def main() -> None:
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    isolation.strongest()  # probed once a session, not once a job
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        train, test = np.random.default_rng(0).standard_normal((2, 1000, 16)).astype(np.float32)
        ids, distances = knn(train, test, 10, "euclidean")
        file = folder / "random-16-euclidean.hdf5"
        hdf5.write(
            file, train=train, test=test, metric="euclidean", neighbors=ids, distances=distances
        )
        source = folder / "index.py"
        source.write_text(INDEX, encoding="utf-8")
        found: dict[str, list[tuple[float, float]]] = {level: [] for level in LEVELS}
        for _ in range(repeats):
            for level in LEVELS:  # in turn, so that a noisy minute hits all of them
                found[level].append(run(file, source, level))
    print("level        mailbox floor (µs)        job (s)                 beyond 'none' (s)")
    for level, rows in found.items():
        floors, seconds = zip(*rows, strict=True)
        beyond = [one - none for one, (_, none) in zip(seconds, found["none"], strict=True)]
        print(f"{level:12} {spread(floors):24}  {spread(seconds):22}  {spread(beyond)}")


def run(file: Path, source: Path, level: str) -> tuple[float, float]:
    """Microseconds of the mailbox's floor, and seconds of the job."""
    job = Job(
        dataset=Dataset(name=file.stem, source=f"file:{file}"),
        implementation=Implementation(
            name="index",
            path=str(source),
            class_name="Index",
            metrics=("euclidean",),
            trusted=level == "none",
        ),
        build=Arguments(),
        searches=(Search(case_id="x", arguments=Arguments(), k=10, rounds=1),),
        limits=Limits(clock="parent", isolation=LEVELS[level], phase_timeout_s=60),
    )
    start = time.perf_counter()
    (outcome,) = run_job(job, file)
    seconds = time.perf_counter() - start
    assert isinstance(outcome, Measurement), outcome
    return outcome.mailbox_floor_ns / 1e3, seconds


def spread(values: tuple[float, ...] | list[float]) -> str:
    return f"{statistics.median(values):.3f} ({min(values):.3f} to {max(values):.3f})"


if __name__ == "__main__":
    main()
