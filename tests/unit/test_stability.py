"""A p99 that is likely to change in the next run is marked."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from grading_data import measured, plan

from pytest_annmodal.grading.threshold import Threshold
from pytest_annmodal.outcome import Measurement
from pytest_annmodal.scoring import stability
from pytest_annmodal.session.thresholds import doubts

NAMED = "(see surprises: p99-unstable)"


def timed(n: int, stragglers: float, rounds: int = 4) -> Measurement:
    """Latencies of 1 ms; stragglers of the last round take ten times as long."""
    times = np.full(n, 1_000_000)
    slow = round(n * stragglers)
    times[n - slow :] = 10_000_000
    case = next(iter(plan().cases.values()))[0]
    made = measured(case, latencies_ns=tuple(times.tolist()))
    return dataclasses.replace(made, rounds=rounds)


@pytest.mark.parametrize(
    ("n", "stragglers", "words"),
    [
        (10_000, 0.0, ()),
        (10_000, 0.003, ()),
        (
            1500,
            0.0,
            ("from 1,500 latencies, fewer than 10,000", "1 ms to 1 ms in single rounds"),
        ),
        (20_000, 0.01, ("1.0% of them are above 5 times the median", "1 ms to 10 ms in single")),
    ],
)
def test_too_few_latencies_or_too_many_stragglers_make_it_unstable(n, stragglers, words) -> None:
    """Each cause is named with the figure, the spread between rounds and the row."""
    text = stability.unstable_p99(timed(n, stragglers))
    assert all(word in text for word in words)
    assert text.endswith(NAMED) == bool(words)


def test_markers_and_points_say_it_of_p99_and_of_nothing_else() -> None:
    """Only p99 thresholds have the mark; reused results have none."""
    measurement = timed(100, 0.0)
    (told,) = doubts(measurement, {"max_p99_ms": 5.0, "max_p95_ms": 5.0, "k": 10})
    assert told.endswith(NAMED)
    for full_at in (1e9, 1e-9):
        words = Threshold(name="max_p99_ms", none_at=full_at, full_at=full_at).words(measurement)
        assert words.endswith(NAMED)
    assert NAMED not in Threshold(name="max_p95_ms", none_at=1.0, full_at=1.0).words(measurement)
    assert stability.unstable_p99(dataclasses.replace(measurement, latencies_ns=())) == ""
