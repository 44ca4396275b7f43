"""Measure it: eight jobs of two seconds of sleep each on three datasets, on the loopback plane.

    python tests/modal/eight_jobs.py [--json]

Prints how long the session took as a multiple of its slowest job's container: all of it,
and its jobs alone, from the start of the first to the end of the last. One after the other
that would be 8. Nothing is cached: neither images nor datasets. ``--json`` for
`python -m benchmarks.harness`, which states the aim.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parents[1])]

from plane import Plane  # noqa: E402 -- a script, which finds its own modules
from product import Product, index, write_dataset  # noqa: E402

DATASETS = ("ash-8-euclidean", "birch-8-euclidean", "cedar-8-euclidean")
N_JOBS = 8
SLEEP = "import time\ntime.sleep(2)"


def main() -> int:
    with tempfile.TemporaryDirectory() as folder, Plane() as plane:
        product = Product(plane, Path(folder))
        wanted = []
        for number in range(N_JOBS):
            product.write(f"mine/sleeper_{number}.py", index(fit=SLEEP))
            wanted.append(f"(sleeper_{number} and {DATASETS[number % len(DATASETS)]})")
        paths = [
            write_dataset(product.folder / f"{name}.hdf5", seed=seed)
            for seed, name in enumerate(DATASETS)
        ]
        begin = time.perf_counter()
        done = product.pytest(
            *("--ann-implementations=mine", "--impl=sleeper_*"),
            *(f"--dataset={path}" for path in paths),
            *("-k", " or ".join(wanted)),
            "--ann-rounds=1",
        )
        session_s = time.perf_counter() - begin
        jobs = product.containers("run_benchmark")
        product.close()
    if done.code or len(jobs) != N_JOBS:
        print(done.text)
        return 1
    slowest_s = max(job.ended - job.started for job in jobs)
    jobs_s = max(job.ended for job in jobs) - min(job.started for job in jobs)
    if "--json" in sys.argv:
        print(json.dumps({"session_s": session_s, "jobs_s": jobs_s, "slowest_s": slowest_s}))
        return 0
    print(f"slowest job {slowest_s:.2f} s, all jobs {jobs_s:.2f} s, session {session_s:.2f} s")
    print(f"jobs / slowest: {jobs_s / slowest_s:.2f}")
    print(f"session / slowest: {session_s / slowest_s:.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
