"""Points: thresholds, partial credit, which setting counts, faults, formulas."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import pytest
from grading_data import DATASET, OTHER, RULES, failed, measured, plan, rules

from pytest_annmodal.errors import ProtocolViolationError, SmugglingError
from pytest_annmodal.grading import explanations
from pytest_annmodal.grading.formulas import recall_qps_memory
from pytest_annmodal.grading.rules import Score
from pytest_annmodal.grading.score import grade
from pytest_annmodal.grading.threshold import Threshold


def cases_of(made: object) -> list:
    return [case for cases in made.cases.values() for case in cases]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("name", "none_at", "full_at", "value", "share"),
    [
        ("min_recall", 0.5, 0.9, 0.5, 0), ("min_recall", 0.5, 0.9, 0.7, 0.5),
        ("min_recall", 0.5, 0.9, 0.9, 1), ("min_recall", 0.5, 0.9, 0.2, 0),
        ("min_recall", 0.9, 0.9, 0.8999, 0), ("min_recall", 0.9, 0.9, 0.9, 1),
        ("max_p50_ms", 10, 5, 10, 0), ("max_p50_ms", 10, 5, 7.5, 0.5),
        ("max_p50_ms", 10, 5, 1, 1), ("max_p50_ms", 5, 5, 5.001, 0),
        ("min_batch_qps", 1, 2, None, 0), ("min_recall", 0.5, 0.9, math.nan, 0),
    ],
)  # fmt: skip
def test_share(
    name: str, none_at: float, full_at: float, value: float | None, share: float
) -> None:
    threshold = Threshold(name=name, none_at=none_at, full_at=full_at)
    figure = threshold.figure
    stored = None if value is None else value / figure.factor
    outcome = measured(cases_of(plan())[0], **{figure.field: stored})
    assert threshold.share(outcome) == pytest.approx(share)
    assert threshold.words(outcome).endswith(": reached") == (share == 1)


def test_points_and_reasons(tmp_path: Path) -> None:
    made = plan()
    (case,) = cases_of(made)
    ours = rules(tmp_path)
    got = grade(made, ours, {case.id: measured(case, recall=0.82, qps=900.0)}, {})
    assert got.score == pytest.approx(30 * 0.8)
    assert (got.status, [part.status for part in got.parts]) == ("graded", ["partial", "missed"])
    assert got.parts[1].why == (
        "recall 0.82, wanted at least 0.8: reached",
        "speed 900 queries/s, wanted at least 1,000: missed by 100",
    )
    assert got.reason.startswith("Fast: speed 900")
    full = grade(made, ours, {case.id: measured(case)}, {})
    assert (full.score, full.reason) == (40, "")


def test_faults(tmp_path: Path) -> None:
    made = plan()
    (case,) = cases_of(made)
    ours = rules(tmp_path)
    own = grade(made, ours, {case.id: failed(case)}, {})
    assert (own.score, own.status, own.parts[0].status) == (0, "graded", "failed")
    assert own.reason == "build raised ValueError: no"
    harness = failed(case, blame="infrastructure", kind="dataset", message="no such file")
    theirs = grade(made, ours, {case.id: harness}, {})
    assert (theirs.score, theirs.status, theirs.reason) == (0, "incomplete", "no such file")
    skipped = grade(made, ours, {}, {case.id: "too large"})
    assert (skipped.status, skipped.reason) == ("incomplete", "too large")
    quiet = grade(made, dataclasses.replace(ours, feedback="kind"), {case.id: failed(case)}, {})
    assert quiet.reason == "your code raised an exception (during build)"


def test_settings(tmp_path: Path) -> None:
    """The best setting counts, or the first; a failed one costs nothing, a violation everything."""
    made = plan(1, 2, 3)
    one, two, three = cases_of(made)
    outcomes = {
        one.id: measured(one, recall=0.7, qps=9e9),
        two.id: measured(two),
        three.id: failed(three),
    }
    ours = rules(tmp_path)
    got = grade(made, ours, outcomes, {})
    assert (got.score, [t.counted for t in got.tried]) == (40, [False, True, False])
    assert got.parts[0].why[-1] == "measured with probe=2"
    first = rules(tmp_path, RULES.replace("[[", 'score.counts = "first"\n[[', 1))
    assert grade(made, first, outcomes, {}).score == pytest.approx(15)
    for kind in (ProtocolViolationError.kind, SmugglingError.kind):
        outcomes[three.id] = failed(three, kind=kind)
        assert grade(made, ours, outcomes, {}).score == 0
        assert kind in explanations.KINDS
    del outcomes[three.id]
    assert grade(made, ours, outcomes, {}).status == "incomplete"


def test_weights(tmp_path: Path) -> None:
    text = RULES.replace('clidean"]', 'clidean", "other-8-euclidean"]', 1)
    ours = rules(tmp_path, text + "[weights]\ntiny-8-euclidean = 3\n")
    made = plan(datasets=(DATASET, OTHER))
    easy, hard = cases_of(made)
    got = grade(made, ours, {easy.id: measured(easy), hard.id: failed(hard)}, {})
    assert got.score == pytest.approx(30)
    assert sum(part.possible or 0 for part in got.parts) == pytest.approx(40)
    left_out = grade(
        plan(),
        rules(
            tmp_path, text.replace("points = 10", 'points = 10\ndatasets = ["other-8-euclidean"]')
        ),
        {},
        {},
    )
    assert left_out.status == "incomplete"


@pytest.mark.parametrize(
    ("recall", "qps", "index_bytes", "value"),
    [
        (1.0, 1000.0, 100_000_000, 1.5),
        (0.9, 1000.0, 100_000_000, 1.35),
        (0.8999, 1000.0, 100_000_000, 0),
        (1.0, 1000.0, 0, 3),  # 10 MB at least
        (1.0, 1000.0, 1_000_001, 3),
        (1.0, 1.0, 100_000_000, 0),
        (1.0, 0.0, 100_000_000, 0),
        (math.nan, 1000.0, 100_000_000, 0),
    ],
)
def test_recall_qps_memory(recall: float, qps: float, index_bytes: int, value: float) -> None:
    outcome = measured(cases_of(plan())[0], recall=recall, qps=qps, index_bytes=index_bytes)
    lying = dataclasses.replace(outcome, reported_index_bytes=1)
    assert recall_qps_memory(lying, Score()) == pytest.approx(value)


def test_formula(tmp_path: Path) -> None:
    text = 'datasets = ["tiny-8-euclidean"]\n[score]\nformula = "recall-qps-memory"\n'
    made = plan()
    (case,) = cases_of(made)
    outcomes = {case.id: measured(case, qps=1000.0)}
    free = grade(made, rules(tmp_path, text), outcomes, {})
    assert (free.score, free.max_score) == (pytest.approx(1.5), None)
    points = grade(made, rules(tmp_path, text + "full_at = 3\npoints = 10"), outcomes, {})
    assert (points.score, points.max_score) == (pytest.approx(5), 10)
    assert "÷ log10(100 MB) = 1.5" in points.parts[0].why[0]
    assert grade(made, rules(tmp_path, text), {case.id: failed(case)}, {}).score == 0


def test_place() -> None:
    """The place is the last frame in the student's file; a path in it is never opened."""
    made = plan()
    (case,) = cases_of(made)
    trace = (
        '  File "/class/student.py", line 7, in fit\n    self.go()\n'
        '  File "/class/student.py", line 9, in go\n    return helper(x)\n'
        '  File "/usr/lib/numpy.py", line 1, in helper\n    raise ValueError\nValueError'
    )
    place = explanations.place(failed(case, evidence={"traceback": trace}), made.submission)
    assert place is not None
    assert place.words() == "student.py, line 9 in go: return helper(x)"
    typo = failed(case, kind="unusable", message="/class/student.py: syntax error in line 8: :")
    found = explanations.place(typo, made.submission)
    assert (found and found.line, explanations.message(typo, made.submission)[:10]) == (
        8,
        "student.py",
    )
    forged = 'File "/etc/passwd", line ' + "9" * 5000 + "\n" + "x" * 10**6
    assert (
        explanations.place(
            failed(case, kind="crashed", evidence={"traceback": forged}), made.submission
        )
        is None
    )
