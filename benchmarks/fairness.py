"""How far equal code looks different: ``python -m benchmarks.fairness [repeats]``.

One and the same hnswlib setting is measured again and again, as a built-in and as a submission,
on a machine left alone and beside a neighbour that uses a core now and then. *One after the
other*: queries per second of one job over those of the next, as two plain runs would be compared.
*Side by side*: the ratio of ``--ann-baseline`` to itself in one session. The truth is 1.
"""

from __future__ import annotations

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

from pytest_annmodal import synthetic
from pytest_annmodal.jobs.runner import run_job
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
NEIGHBOUR_S = 900  # it ends by itself
# Bursts of work and of sleep, by chance, as other people's jobs are.
NEIGHBOUR = """
import random, sys, time
chance, end = random.Random(1), time.monotonic() + float(sys.argv[1])
while time.monotonic() < end:
    until = time.monotonic() + chance.expovariate(2)
    while time.monotonic() < until: pass
    time.sleep(chance.expovariate(2))
"""


def main() -> None:
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    hnswlib = next(item for item in manifest.builtin() if item.name == "hnswlib")
    print(f"{'':34}  one after the other       side by side")
    print(f"{'':34} spread   beyond 5 %          spread   beyond 5 %")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clusters-64-euclidean.hdf5"
        synthetic.generate(path, "euclidean")
        for noisy, trusted in itertools.product((False, True), (True, False)):
            with neighbour(running=noisy):
                jobs = [measured(hnswlib, path, trusted=trusted) for _ in range(repeats)]
            speeds = [job.qps for job in jobs]
            after = [one / other for one, other in itertools.pairwise(speeds)]
            beside = [job.comparison.ratio for job in jobs if job.comparison]
            what = "built-in" if trusted else "submission"
            where = "beside a neighbour" if noisy else "left alone"
            print(f"{what:10}  {where:18}  {words(after)}        {words(beside)}", flush=True)
    print(f"load average at the end: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")


def measured(hnswlib: Implementation, path: Path, *, trusted: bool) -> Measurement:
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
            implementation=alone, build=BUILD, searches=(SEARCH,), max_sessions=1, difference=0.05
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
    with subprocess.Popen([sys.executable, "-c", NEIGHBOUR, str(NEIGHBOUR_S)]) as process:
        try:
            yield
        finally:
            process.kill()


def words(ratios: Sequence[float]) -> str:
    """Standard deviation of the logarithms, and how many are more than 5 % off."""
    beyond = sum(abs(ratio - 1) > 0.05 for ratio in ratios)
    spread = statistics.stdev(map(math.log, ratios))
    return f"{spread:7.1%}   {beyond:2} of {len(ratios):2}  "


if __name__ == "__main__":
    main()
