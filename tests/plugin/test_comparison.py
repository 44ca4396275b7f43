"""``--ann-baseline`` and ``--ann-at-recall``, as a user sees them."""

from __future__ import annotations

from plugin_project import HALF, Project, lines_with

ONE = ("--ann-baseline=exact[extra=0]", "--ann-sessions=1")


def test_a_ratio_is_shown_and_saved(project: Project) -> None:
    """It is under the table, in pytest-benchmark's JSON and in JUnit's properties."""
    result = project.bench(*ONE, "--benchmark-json=out.json", "--junitxml=out.xml")
    result.assert_outcomes(passed=2)
    (line,) = lines_with(result, "exact[extra=1]  × exact ")
    assert "one session: no verdict" in line
    for saved in project.saved():
        comparison = saved["extra_info"]["comparison"]
        assert comparison["baseline"] == "exact"
        assert comparison["ratio"] > 0
        assert comparison["verdict"] is None
    junit = (project.path / "out.xml").read_text()
    assert junit.count('name="baseline" value="exact"') == 2
    assert junit.count('name="ratio" value=') == 2


def test_a_threshold_on_a_ratio_needs_a_verdict(project: Project) -> None:
    """``min_ratio`` without an interval fails, and says why."""
    project.write(
        "test_it.py",
        """
        import pytest

        @pytest.mark.ann(min_ratio=0.001)
        def test_search(ann_benchmark, case):
            ann_benchmark(case)
        """,
    )
    result = project.bench(*ONE)
    result.assert_outcomes(failed=2)
    assert lines_with(result, "cannot be told (× exact ")
    assert lines_with(project.bench(), "not measured (it needs --ann-baseline, ")


def test_a_bad_baseline_is_refused_at_once(project: Project) -> None:
    """Only the reason is shown, not what else could be downloaded or installed."""
    result = project.bench("--ann-baseline=exakt", "--dataset=sift-128-euclidean")
    assert result.ret == 4
    assert "no such implementation; did you mean 'exact'?" in result.stderr.str()
    assert "Not in the volume" not in result.stdout.str()
    result = project.bench("--ann-baseline=exact", "--ann-sessions=3")
    assert result.ret == 4
    assert "expected 1, 5, 8, 11" in result.stderr.str() + result.stdout.str()


def test_speed_at_a_recall_level(project: Project) -> None:
    """It is interpolated if settings bracket it, and unknown otherwise."""
    project.write("mine/exact_half.py", HALF)
    result = project.bench("--ann-at-recall=0.9", "--benchmark-json=out.json")
    assert lines_with(
        result, "exact at recall 0.9: unknown, because the lowest recall of its settings is "
    )
    assert {saved["extra_info"]["at_recall"] for saved in project.saved()} == {0.9}
