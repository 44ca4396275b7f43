"""Stops a worker while it is not timed, and measures CPU time that it uses meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection

from pytest_annmodal.sandbox import memory, process_tree

# Shares of the time that it was stopped; an honest worker uses no CPU then.
BESIDE_SHARE, BESIDE_GRACE_S = 0.02, 0.05


class Rest:
    """Stops and resumes one worker and its descendants.

    Processes that start others quickly enough can escape being stopped, so their CPU time is
    measured as well.

    Args:
        pid: the worker, which leads its own process group.
        family: returns its processes.
        trusted: stop only the process group. A search through all processes takes as long as
            some hundred queries, and a trusted worker does not try to escape.

    Attributes:
        ran_on_s: seconds that processes outside the group ran until they were found and stopped.
    """

    def __init__(
        self, pid: int, family: Callable[[], Collection[int]], *, trusted: bool = False
    ) -> None:
        self._pid, self._family, self._trusted = pid, family, trusted
        self._stopped: set[int] = set()
        self._since = self._cpu_s = 0.0  # the rest, and what had been used by then
        self.rests_s = self.beside_s = self.ran_on_s = 0.0

    def begin(self) -> None:
        if self._stopped:
            return
        if self._trusted:
            process_tree.pause_group(self._pid)
            self._stopped = {self._pid}
            return
        began = time.monotonic()
        self._stopped, at_once = process_tree.pause(self._pid)
        self._since = time.monotonic()
        self._cpu_s = memory.cpu_s(*self._stopped)
        if not at_once:
            self.ran_on_s += self._since - began

    def end(self) -> None:
        if not self._stopped:
            return
        if self._trusted:
            process_tree.resume(self._pid, ())
            self._stopped = set()
            return
        lasted_s = time.monotonic() - self._since
        self.rests_s += lasted_s
        if lasted_s > BESIDE_GRACE_S:  # a shorter rest is too short to use too much
            self.beside_s += max(memory.cpu_s(*self._family()) - self._cpu_s, 0.0)
        process_tree.resume(self._pid, self._stopped)
        self._stopped = set()

    @property
    def broken(self) -> bool:
        """Whether CPU time was used during the rests, so that some process was not stopped."""
        return self.beside_s > BESIDE_GRACE_S + BESIDE_SHARE * self.rests_s

    @property
    def objection(self) -> str:
        return (
            f"used {self.beside_s:.2f} s of CPU while it was stopped and not timed: processes "
            "that it started went on"
        )
