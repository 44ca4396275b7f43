"""Sets how many threads libraries use: one for single queries, all for the rest.

Worker side. A library reads ``OMP_NUM_THREADS`` and similar variables once, when it is loaded. In a
single query all threads of its pool would then share one core and wait for each other by spinning:
a product of 80 µs takes 16 ms.
"""

from __future__ import annotations

import sys
from typing import Any


class Pools:
    """The pools of OpenBLAS, MKL, BLIS, OpenMP and numba in this process.

    Args:
        threads: with 1 nothing is changed.
    """

    def __init__(self, threads: int) -> None:
        self._limits: Any = None
        self._numba: int | None = None
        self._several = threads > 1
        if self._several:  # imported now, so that it is not counted as growth of memory
            import threadpoolctl

            self._control = threadpoolctl

    def one(self) -> None:
        """Sets one thread, until :meth:`all`."""
        if not self._several or self._limits is not None:
            return
        self._limits = self._control.threadpool_limits(limits=1)
        if (numba := sys.modules.get("numba")) is not None:
            self._numba = numba.get_num_threads()
            numba.set_num_threads(1)

    def all(self) -> None:
        """Restores the number of threads before :meth:`one`."""
        if self._limits is None:
            return
        self._limits.restore_original_limits()
        self._limits = None
        if self._numba is not None:
            sys.modules["numba"].set_num_threads(self._numba)
            self._numba = None
