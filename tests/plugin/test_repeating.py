"""The same case asked for again: by a parameter, by pytest-repeat, by pytest-rerunfailures."""

from __future__ import annotations

import json
from typing import Any

from plugin_project import SEARCH, Project, lines_with

ONE = ("--ann-implementations=mine", "--impl=exact", "--dataset=small-8-euclidean.hdf5")
LOG = """
import pathlib

def log(label, measured):
    with pathlib.Path("log.txt").open("a") as file:
        file.write(f"{label} {measured.case_id} {measured.qps!r}\\n")
"""
# What the two plugins do, in a few lines.
REPEAT = """
import pytest

@pytest.fixture
def __pytest_repeat_step_number(request):
    return request.param

def pytest_generate_tests(metafunc):
    name = "__pytest_repeat_step_number"
    metafunc.fixturenames.append(name)
    metafunc.parametrize(name, range(3), indirect=True)
"""
RERUN = """
from _pytest.runner import runtestprotocol

def pytest_runtest_protocol(item, nextitem):
    for attempt in (1, 2):
        item._initrequest()
        reports = runtestprotocol(item, nextitem=nextitem, log=False)
        again = attempt == 1 and any(report.failed for report in reports)
        for report in reports:
            report.outcome = "rerun" if again and report.failed else report.outcome
            item.ihook.pytest_runtest_logreport(report=report)
        if not again:
            return True
"""


def logged(project: Project) -> list[list[str]]:
    """Returns the measurement that each test got: label, case id, queries per second."""
    lines = (project.path / "log.txt").read_text().splitlines()
    return [[line.split(" ", 1)[0], *line.split(" ", 1)[1].rsplit(" ", 1)] for line in lines]


def one_setting(project: Project) -> None:
    text = (project.path / "mine/exact.py").read_text()
    project.write("mine/exact.py", text.replace("[0, 1]", "0"))


def test_a_parameter_of_ones_own_measures_again(project: Project) -> None:
    """Each repetition is a row and a measurement of its own; other functions share them."""
    one_setting(project)
    project.write(
        "test_it.py",
        f"""
        import pytest
        {LOG.strip().replace(chr(10), chr(10) + " " * 8)}

        @pytest.mark.parametrize("rep", range(3))
        def test_again(ann_benchmark, case, rep):
            log(rep, ann_benchmark(case))

        def test_other(ann_benchmark, case):
            log("other", ann_benchmark(case))

        @pytest.mark.parametrize("k", [1, 10])
        def test_another_k(ann_benchmark, case, k):
            log(k, ann_benchmark(case, k=k))
        """,
    )
    result = project.run(*ONE, "--benchmark-json=out.json")
    result.assert_outcomes(passed=6)
    seen = logged(project)
    name, end = "exact[extra=0]", "-small-8-euclidean-k"
    assert [item[:2] for item in seen] == [
        ["0", f"{name}{end}10"],
        ["1", f"{name} (2){end}10"],
        ["2", f"{name} (3){end}10"],
        ["other", f"{name}{end}10"],
        ["1", f"{name}{end}1"],
        ["10", f"{name}{end}10"],
    ]
    assert len({speed for _, _, speed in seen}) == 4
    assert seen[0][2] == seen[3][2] == seen[5][2]
    for label in (f"{name} ", f"{name} (2) ", f"{name} (3) "):
        assert lines_with(result, f" {label}")
    saved = {row["name"]: row["extra_info"]["case_id"] for row in project.saved()}
    assert saved[f"test_again[{name}{end}10-1]"] == f"{name} (2){end}10"


def test_counting_measures_again(project: Project) -> None:
    """pytest-repeat's --count; a build and all its settings are measured together each time."""
    project.write("conftest.py", REPEAT)
    project.write("test_it.py", SEARCH + SEARCH.replace("_search", "_other"))
    result = project.run(*ONE)
    result.assert_outcomes(passed=12)
    for label in ("exact[extra=0]", *(f"exact[extra=1] ({n})" for n in (2, 3, 4, 5))):
        assert lines_with(result, f" {label} ")
    assert not lines_with(result, " (6) ")


def test_a_test_that_is_run_again_measures_again(project: Project) -> None:
    """pytest-rerunfailures' --reruns: a missed threshold may be reached by the next measurement."""
    one_setting(project)
    project.write("conftest.py", RERUN)
    project.write(
        "test_it.py",
        f"""
        {LOG.strip().replace(chr(10), chr(10) + " " * 8)}

        def test_flaky(ann_benchmark, case):
            measured = ann_benchmark(case)
            log("flaky", measured)
            assert "(2)" in measured.case_id

        def test_too(ann_benchmark, case):
            measured = ann_benchmark(case)
            log("too", measured)
            assert "(3)" in measured.case_id
        """,
    )
    result = project.run(*ONE)
    result.assert_outcomes(passed=2)
    assert len({speed for _, _, speed in logged(project)}) == 3  # the first is shared


def test_an_infrastructure_fault_is_tried_again(project: Project) -> None:
    """A dataset that was not there for the first run of a test is measured in the second."""
    one_setting(project)
    good = (project.path / "small-8-euclidean.hdf5").read_bytes()
    (project.path / "good").write_bytes(good)
    mend = (
        "            import shutil; shutil.copy('good', 'small-8-euclidean.hdf5')\n"
        "        if not again:\n"
    )
    project.write("conftest.py", RERUN.replace("        if not again:\n", mend))
    (project.path / "small-8-euclidean.hdf5").write_bytes(good[: len(good) // 2])
    result = project.run(*ONE)
    result.assert_outcomes(passed=1)
    assert lines_with(result, "exact[extra=0]  1.0000")


def test_in_grading_each_setting_is_measured_once(project: Project) -> None:
    """All submissions have equally many tries: the first measurement counts, and a line says so."""
    project.write("conftest.py", REPEAT)
    text = (project.path / "mine/exact.py").read_text()
    project.write("submissions/eve.py", text.replace("[0, 1]", "0"))
    rules = 'datasets = ["small-8-euclidean.hdf5"]\nfresh_queries = false\nisolation = "process"\n'
    part = '[[parts]]\nname = "Finds"\npoints = 5\nmin_recall = 0.9\n'
    project.write("grading.toml", rules + part)
    result = project.run("--submission=submissions/*", "--ann-grade=grading.toml")
    result.assert_outcomes(passed=3)
    words = "2 tests asked for a setting again (--count, --reruns, or a parameter of the test)"
    assert lines_with(result, words)
    graded: dict[str, Any] = json.loads((project.path / "grades/grades.json").read_text())
    (eve,) = graded["submissions"]
    assert (eve["score"], len(eve["cases"])) == (5, 1)
