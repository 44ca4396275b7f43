"""Measured times in a pytest-benchmark fixture."""

from __future__ import annotations

import json
from typing import Any

import pytest
from session_data import measurement

from pytest_annmodal.outcome import Failure
from pytest_annmodal.plugin.replay import ReplayClock, replay, replay_failure
from pytest_annmodal.results.rows import extra_info, properties


class FakeBenchmark:
    """What ``pedantic`` does with its timer; it may be used once."""

    def __init__(self, clock: ReplayClock) -> None:
        self.extra_info: dict[str, Any] = {}
        self.seconds: list[float] = []
        self._clock = clock
        self.used = 0

    def pedantic(self, target: Any, *, rounds: int, iterations: int) -> None:
        self.used += 1
        for _ in range(rounds):
            start = self._clock()
            target()
            self.seconds.append(self._clock() - start)


def test_replay_is_exact() -> None:
    """Each latency has the same nanoseconds, in order."""
    clock = ReplayClock()
    clock()  # pytest-benchmark may have looked at its timer before
    benchmark = FakeBenchmark(clock)
    replay(benchmark, clock, measurement(), "here")
    assert benchmark.seconds == [3e-9, 2e-6, 10.0]
    assert benchmark.extra_info["where"] == "here"


def test_failure_uses_the_fixture() -> None:
    """After a failure the fixture counts as used, without a result."""
    benchmark = FakeBenchmark(ReplayClock())
    replay_failure(benchmark, Failure(case_id="c", kind="raised", message="no"))
    assert benchmark.used == 1
    assert benchmark.seconds == []


def test_extra_info() -> None:
    """All figures are in extra_info as plain JSON, without latencies and output."""
    info = extra_info(measurement(), "local")
    assert json.loads(json.dumps(info, allow_nan=False)) == info
    assert {"recall", "recall_ids", "qps", "build_s", "where", "environment"} <= set(info)
    assert not {"latencies_ns", "log_tail"} & set(info)


def test_properties() -> None:
    """JUnit properties have the unit in their names."""
    found = dict(properties(measurement()))
    assert found["recall"] == 0.5
    assert (found["p50_ms"], found["p99_ms"]) == pytest.approx((20.0, 40.0))
    assert set(found) == {
        "recall",
        "qps",
        "p50_ms",
        "p95_ms",
        "p99_ms",
        "build_s",
        "index_mb",
    }
