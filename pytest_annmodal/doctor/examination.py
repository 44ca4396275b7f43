"""All checks, in the order in which they are run and shown, and the final verdict."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from pytest_annmodal.doctor import places, processor, software
from pytest_annmodal.doctor.finding import Finding, State
from pytest_annmodal.doctor.probe import Probe

ENDING_S = 1.0  # for the workers to end
REST_S = 2.5  # for the checks that come after the probe


class Examination:
    """One examination of this machine.

    Args:
        limit_s: time for all checks; the probe gets most of it.
    """

    def __init__(self, limit_s: float) -> None:
        self._deadline = time.monotonic() + limit_s
        self._stolen = processor.stolen()
        self._probe: Probe | None = None

    @property
    def checks(self) -> dict[str, Callable[[], Finding]]:
        """Every check by its name. Other processes are checked before our own work begins."""
        return {
            "others": processor.others,
            "cores": processor.cores,
            "frequency": processor.frequency,
            "huge pages": processor.huge_pages,
            "clock": processor.clock,
            "floor": lambda: self._probed().floor(),
            "equal things": lambda: self._probed().equal(),
            "steal": lambda: processor.steal(self._stolen),
            "sandbox": software.sandbox,
            "compiler": software.cpp_compiler,
            "libraries": software.libraries,
            "plugins": software.plugins,
            "datasets": places.datasets,
            "modal": places.modal,
            "kernels": lambda: software.kernels(self._left_s()),
        }

    def findings(self) -> Iterator[tuple[str, Finding]]:
        """Runs the checks in turn; yields each finding when it is known."""
        for name, check in self.checks.items():
            yield name, check()

    def _probed(self) -> Probe:
        if self._probe is None:
            self._probe = Probe(self._left_s() - REST_S)
        return self._probe

    def _left_s(self) -> float:
        return max(self._deadline - time.monotonic(), 0.0)


def verdict(states: list[State]) -> str:
    """Returns the last line."""
    if State.BAD in states:
        return "Figures of this machine cannot be trusted until the lines marked ✗ are mended."
    if State.DOUBTFUL in states:
        return "Figures of this machine can be trusted, within the limits marked !."
    return "Figures of this machine can be trusted."
