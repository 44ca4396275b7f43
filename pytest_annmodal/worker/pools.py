"""The threads that libraries compute with: one for single queries, all of them for the rest.

Worker side. The variables (``OMP_NUM_THREADS`` and its kin) are read once, when a library is
loaded. Its pool would then share the one core of a single query among all its threads, which wait
for each other by spinning: a product of 80 µs takes 16 ms.
"""

from __future__ import annotations

import sys
from typing import Any


class Pools:
    """The pools of OpenBLAS, MKL, BLIS, OpenMP and numba in this process.

    Args:
        threads: with one there is nothing to change.
    """

    def __init__(self, threads: int) -> None:
        self._limits: Any = None
        self._numba: int | None = None
        self._several = threads > 1
        if self._several:  # imported now, so that no look at the memory finds it later
            import threadpoolctl

            self._control = threadpoolctl

    def one(self) -> None:
        """One thread, until :meth:`all`."""
        if not self._several or self._limits is not None:
            return
        self._limits = self._control.threadpool_limits(limits=1)
        if (numba := sys.modules.get("numba")) is not None:
            self._numba = numba.get_num_threads()
            numba.set_num_threads(1)

    def all(self) -> None:
        """As many as there were before: the variables' number, or the implementation's own."""
        if self._limits is None:
            return
        self._limits.restore_original_limits()
        self._limits = None
        if self._numba is not None:
            sys.modules["numba"].set_num_threads(self._numba)
            self._numba = None
