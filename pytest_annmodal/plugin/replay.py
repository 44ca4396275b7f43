"""Puts measured seconds into a pytest-benchmark fixture, using its public API only.

``benchmark.pedantic`` reads its timer before and after each round. :class:`ReplayClock` gives
0.0 before and the measured seconds after, so that the difference is exact, however small.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from pytest_annmodal.outcome import Failure, Measurement
from pytest_annmodal.results.rows import extra_info


class ReplayClock:
    """A timer for ``@pytest.mark.benchmark(timer=…)`` that replays measured times."""

    __name__ = "ReplayClock"  # what pytest-benchmark shows as the timer

    def __init__(self) -> None:
        self._latencies_ns: Sequence[int] = ()
        self._position = 0
        self._running = False

    def load(self, latencies_ns: Sequence[int]) -> None:
        """Sets the latencies to replay, one per round."""
        self._latencies_ns, self._position, self._running = latencies_ns, 0, False

    def __call__(self) -> float:
        self._running = not self._running
        if self._running or not self._latencies_ns:
            return 0.0
        seconds = self._latencies_ns[self._position % len(self._latencies_ns)] / 1e9
        self._position += 1
        return seconds


class ReplayedFailure(Exception):  # noqa: N818 -- the failure of a case, not of this module
    """Carries a failed outcome through ``pedantic``, so that the fixture counts as used."""


def replay(benchmark: Any, clock: ReplayClock, measurement: Measurement, where: str) -> None:
    """Makes the measured latencies the rounds of this benchmark; OPS is then QPS."""
    clock.load(measurement.latencies_ns)
    benchmark.extra_info.update(extra_info(measurement, where))
    benchmark.pedantic(lambda: None, rounds=len(measurement.latencies_ns), iterations=1)


def replay_failure(benchmark: Any, failure: Failure) -> None:
    """Uses the fixture without a result, so that pytest-benchmark does not warn."""

    def fail() -> NoReturn:
        raise ReplayedFailure(failure.message)

    attempt: Callable[[], Any] = fail
    try:
        benchmark.pedantic(attempt, rounds=1, iterations=1)
    except ReplayedFailure:
        return
