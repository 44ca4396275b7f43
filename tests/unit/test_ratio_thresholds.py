"""``min_ratio`` and ``min_qps_at_recall`` in markers and in grading."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from grading_data import measured, plan, rules

from pytest_annmodal.grading.score import grade
from pytest_annmodal.outcome import Comparison, Measurement
from pytest_annmodal.session.thresholds import missed_thresholds

RATIO = """
datasets = ["tiny-8-euclidean"]
[[parts]]
name = "As fast"
points = 10
min_recall = 0.8
min_ratio = { none_at = 0.5, full_at = 1.0 }
"""


def compared(**replace: Any) -> Comparison:
    values: dict[str, Any] = {
        "baseline": "annoy",
        "baseline_settings": ("search_k=100",),
        "sessions": 5,
        "ratio": 1.1,
        "low": 1.05,
        "high": 1.15,
        "verdict": "faster",
        "why": "",
        "difference": 0.05,
        "recall": 0.9,
        "baseline_recall": 0.9,
        "equal_recall": True,
        "qps": 110.0,
        "baseline_qps": 100.0,
        "ratios": (1.1,) * 5,
        "control_ratio": 1.0,
        "control_low": 0.99,
        "control_high": 1.01,
        "control_ok": True,
        "control_ratios": (1.0,) * 5,
    }
    return Comparison(**{**values, **replace})


def outcome(**replace: Any) -> tuple[str, Measurement]:
    case = next(iter(plan().cases.values()))[0]
    return case.id, measured(case, recall=0.9, comparison=compared(**replace))


SHOWN = [
    ({}, 1.0, "reached"),
    ({"ratio": 0.8, "low": 0.75, "verdict": "slower"}, 0.5, "at least 0.75"),
    ({"low": None, "high": None, "verdict": None}, 0.0, "one session: no verdict"),
    ({"control_ok": False, "verdict": "cannot tell", "why": "the control"}, 0.0, "the control"),
    ({"recall": 0.1}, 0.0, "recall 0.1"),  # fast and wrong, only where it is raced
]


@pytest.mark.parametrize(("replace", "share", "words"), SHOWN)
def test_points_are_for_what_has_been_shown(
    tmp_path: Path, replace: dict[str, Any], share: float, words: str
) -> None:
    """Points follow the interval's lower end and the recall in the comparison."""
    case_id, found = outcome(**replace)
    got = grade(plan(), rules(tmp_path, RATIO), {case_id: found}, {})
    assert got.score == pytest.approx(10 * share)
    assert words in " ".join(got.parts[0].why)


@pytest.mark.parametrize(("replace", "share", "words"), SHOWN)
def test_a_marker_asks_for_the_same(replace: dict[str, Any], share: float, words: str) -> None:
    """A test with ``min_ratio`` passes if all points would be given."""
    missed, _ = missed_thresholds(outcome(**replace)[1], {"min_recall": 0.8, "min_ratio": 1.0})
    assert (not missed) == (share == 1)
    if replace.get("recall"):
        assert missed[0].startswith("recall 0.1 should be at least 0.8")


def test_recall_alone_is_that_of_the_measurement() -> None:
    """A recall threshold without a ratio uses the measurement's recall."""
    assert missed_thresholds(outcome(recall=0.1)[1], {"min_recall": 0.8}) == ([], [])
