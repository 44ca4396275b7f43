"""How the tests are shared out among the workers of pytest-xdist."""

from __future__ import annotations

import os
from collections.abc import Set as AbstractSet

from xdist.scheduler import LoadScopeScheduling

# Long tests that share nothing. Everywhere else the tests of a module stay together: what a module
# sets up once, for all its tests, would be set up by each worker.
ONE_BY_ONE = (
    "tests/plugin/",
    "tests/modal/test_plane_",
    "tests/modal/test_product_silence.py",
    "tests/unit/test_accidents.py",
)

# A grader and its worker ask each other thousands of times, each on a core of its own where there are
# two. Where another such pair does the same on the same two cores, each question waits for a time
# slice. So each of several workers of pytest-xdist keeps to its own cores, but for tests of cores.
SEVERAL_CORES = (
    "tests/hostile/test_hangs_for_ever.py",
    "tests/hostile/test_works_beside_the_clock.py",
    "tests/plugin/test_measure_options.py",
    "tests/unit/test_cores.py",
    "tests/unit/test_isolation.py",
    "tests/unit/test_looks.py",
    "tests/unit/test_mailbox.py",
    "tests/unit/test_worker_process.py",
)
ALL_CORES = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()


def cores_for(nodeid: str, *, worker: int, n_workers: int) -> AbstractSet[int]:
    """Those that a test may use which one of so many workers runs; empty where nobody knows."""
    if nodeid.startswith(SEVERAL_CORES):
        return ALL_CORES
    cores = sorted(ALL_CORES)
    return set(cores[worker::n_workers] or cores[worker % max(1, len(cores)) :][:1])


class ByModule(LoadScopeScheduling):
    """Whole modules first, those of many tests before others; then tests one by one."""

    def _split_scope(self, nodeid: str) -> str:
        return nodeid if nodeid.startswith(ONE_BY_ONE) else nodeid.partition("::")[0]
