"""Measure it: eight jobs of two seconds of sleep each, on the loopback plane.

    python tests/modal/eight_jobs.py

Prints how long the session took as a multiple of its slowest job's container: all of it,
and its jobs alone, from the start of the first to the end of the last. One after the other
that would be 8; the aim is at most 1.3 on two cores.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parents[1])]

from plane import Plane  # noqa: E402 -- a script, which finds its own modules
from product import Product, index  # noqa: E402

N_JOBS = 8
SLEEP = "import time\ntime.sleep(2)"


def main() -> int:
    with tempfile.TemporaryDirectory() as folder, Plane() as plane:
        product = Product(plane, Path(folder))
        for number in range(N_JOBS):
            product.write(f"mine/sleeper_{number}.py", index(fit=SLEEP))
        begin = time.perf_counter()
        done = product.pytest(
            *("--ann-implementations=mine", "--impl=sleeper_*", f"--dataset={product.tiny}"),
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
    print(f"slowest job {slowest_s:.2f} s, all jobs {jobs_s:.2f} s, session {session_s:.2f} s")
    print(f"jobs / slowest: {jobs_s / slowest_s:.2f} (aim <= 1.3)")
    print(f"session / slowest: {session_s / slowest_s:.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
