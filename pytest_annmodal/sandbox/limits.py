"""Limits on all processes of a submission together, checked from outside at intervals.

The kernel's own limits hold for each process alone, and some do not hold for root.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from pytest_annmodal.sandbox import memory
from pytest_annmodal.worker.confinement import MOST_TASKS

MAX_PROCESSES = 64
MAX_THREADS = MOST_TASKS  # of all processes; the kernel does not limit root's
SCARCE = 0.05  # of the machine's memory left
QUICK_LOOK_S = 0.01
LARGE = 0.1  # of the machine's memory held by one submission


@dataclass(slots=True, kw_only=True)
class Watch:
    """The limits on one worker and its descendants.

    Args:
        memory_bytes: most that they may hold together beyond ``before_bytes``, or None.
        before_bytes: what they held before the submission was loaded (the interpreter,
            ``train``); set once it is known.
        given: files that never count, see :func:`memory.held_bytes`; set by the worker.

    Attributes:
        long_looks_s: seconds of slow checks beyond :data:`QUICK_LOOK_S` each. A submission can
            slow a check down with many processes, descriptors and mappings, and compute
            meanwhile, so this time is added to its build.
    """

    memory_bytes: int | None
    before_bytes: int = 0
    given: Collection[str] = ()
    long_looks_s: float = 0.0

    def held_bytes(self, pids: Sequence[int]) -> int:
        return memory.held_bytes(*pids, given=self.given)

    def objection(self, pids: Sequence[int], phase: str) -> str | None:
        """Returns which limit these processes exceed, or None."""
        began = time.monotonic()
        try:
            return self._objection(pids, phase)
        finally:
            self.long_looks_s += max(time.monotonic() - began - QUICK_LOOK_S, 0.0)

    def _objection(self, pids: Sequence[int], phase: str) -> str | None:
        for number, most, of in (
            (len(pids), MAX_PROCESSES, "processes"),
            (memory.threads(*pids), MAX_THREADS, "threads"),
        ):
            if number > most:
                return f"started more than {most} {of} during {phase}"
        if memory.resident_bytes(*pids) < (self.memory_bytes or 0) + self.before_bytes:
            return None
        total, left = memory.machine_bytes()
        scarce = left < SCARCE * total
        if self.memory_bytes is None and not scarce:
            return None
        held = (
            memory.held_bytes(*pids, given=self.given) - self.before_bytes
        )  # slower, so only if the quick sum is too large
        if self.memory_bytes is not None and held > self.memory_bytes:
            return (
                f"ran out of memory during {phase}: its processes hold {held:,} bytes together "
                "(--ann-memory-mb sets the limit)"
            )
        if scarce and held > LARGE * total:
            return (
                f"ran out of memory during {phase}: its processes hold {held:,} bytes, and this "
                f"machine has {left:,} left"
            )
        return None
