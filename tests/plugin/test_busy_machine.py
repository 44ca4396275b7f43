"""On a machine with other work a test that would fail is skipped, a grade is incomplete."""

from __future__ import annotations

import json

from course import Class, index
from plugin_project import EXACT, Project, lines_with

# What the kernel's accounts would say; a test cannot make a machine busy for sure.
OTHERS = """
    from pytest_annmodal.jobs.asking import Timed
    from pytest_annmodal.sandbox.contention import Contention
    Timed.disturbed = Contention.disturbed = property(lambda self: True)
"""
SPEED = """
[[parts]]
name = "Fast"
points = 60
min_qps = 1e9
"""


def test_a_threshold_that_would_fail_is_skipped(project: Project) -> None:
    """The reason is in the test's line and under the table; a missed recall still fails."""
    project.write("conftest.py", OTHERS)
    project.write("mine/exact.py", EXACT.replace("# search.extra = [0, 1]\n", ""))
    project.write(
        "test_it.py",
        """
        import pytest

        @pytest.mark.ann(min_qps=1e9)
        def test_speed(ann_benchmark, case):
            ann_benchmark(case)

        @pytest.mark.ann(min_qps=1e9, min_recall=1.5)
        def test_both(ann_benchmark, case):
            ann_benchmark(case)

        @pytest.mark.ann(min_qps=1)
        def test_reached(ann_benchmark, case):
            ann_benchmark(case)
        """,
    )
    result = project.bench("-rs", "--ann-rounds=1", "--benchmark-json=out.json")
    result.assert_outcomes(skipped=1, failed=1, passed=1)
    (skip,) = lines_with(result, "SKIPPED")
    assert "qps " in skip
    assert "should be at least 1,000,000,000" in skip
    assert "measure on a quieter machine" in skip
    result.stdout.fnmatch_lines(["*recall 1 should be at least 1.5*"])
    result.stdout.fnmatch_lines(["*~ noisy: *"])
    info = project.saved()[0]["extra_info"]
    assert "queries" in info["disturbed"]
    assert "uncertain_share" in info


def test_a_grade_that_cannot_be_told_is_resumed(project: Project) -> None:
    """It is incomplete on a busy machine; on a quiet one only that case is measured again."""
    course = Class(project)
    rules = (course.path / "grading.toml").read_text()
    (course.path / "grading.toml").write_text(rules + SPEED)
    course.hand_in("one.py", index())
    conftest = project.write("conftest.py", OTHERS)
    result = course.grade()
    assert result.ret == 1, result.stdout.str()
    (found,) = course.grades()["submissions"]
    assert found["status"] == "incomplete"
    assert [part["status"] for part in found["parts"]] == ["full", "full", "incomplete"]
    assert "cannot tell" in found["reason"]
    conftest.write_text(conftest.read_text().replace("True", "False"))
    result = course.grade("--ann-resume")
    assert result.ret == 0, result.stdout.str()
    (found,) = course.grades()["submissions"]
    assert (found["status"], found["score"]) == ("graded", 40)
    lines = (course.path / "grades/journal.jsonl").read_text().splitlines()
    assert len([line for line in lines if "outcome" in json.loads(line)]) == 2
