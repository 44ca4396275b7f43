"""``--ann-queries FILE`` and ``--ann-query-order`` on the command line."""

from __future__ import annotations

import json
import re

import numpy as np
from course import Class, index
from plugin_project import Project, lines_with


def test_queries_of_ones_own(project: Project) -> None:
    """Outputs name them; stored results of the dataset's own queries are not reused for them."""
    rows = np.random.default_rng(9).standard_normal((6, 8))
    np.save(project.path / "mine.npy", rows)
    asked = ("--ann-queries=mine.npy", "--ann-subset=100", "-v")
    project.bench("--ann-subset=100").assert_outcomes(passed=2)
    first = project.bench(*asked, "--ann-reuse", "--benchmark-json=out.json")
    first.assert_outcomes(passed=2)
    assert not lines_with(first, "taken from the store")
    (name,) = {row["param"].partition("-queries-")[2] for row in project.saved()}
    assert name.startswith("mine-")
    own = name.removesuffix("-k10")
    assert lines_with(first, f"small-8-euclidean-queries-{own} · 100 × 8 · euclidean · k=10 · 6 ")
    for saved in project.saved():
        assert saved["extra_info"]["queries"] == own
        assert saved["extra_info"]["recall"] == 1.0
    again = project.bench(*asked, "--ann-reuse")
    assert lines_with(again, "2 results were taken from the store and not measured again.")
    kept = [
        json.loads(line)
        for file in (project.path / ".annmodal" / "results").glob("*.jsonl")
        for line in file.read_text(encoding="utf-8").splitlines()
    ]
    assert {(row["dataset"], row["queries"]) for row in kept} == {
        ("small-8-euclidean", ""),
        ("small-8-euclidean", own),
    }
    assert not any("small" in row["label"] for row in kept)


def test_bad_queries_end_it_before_anything_runs(project: Project) -> None:
    """Each is one line, with what was expected."""
    np.save(project.path / "wide.npy", np.ones((3, 9)))
    for arguments, says in (
        (["--ann-queries=nine.npy"], "there is no 'nine.npy' in"),
        (["--ann-queries=wide.npy"], "9 dimensions; expected 8, as in small-8-euclidean"),
        (
            ["--ann-queries=wide.npy", "--ann-fresh-queries"],
            "FILE and fresh queries: fresh queries are",
        ),
        (["--ann-queries=0"], "expected a whole number of at least 1"),
        (["--ann-query-order=up"], "'up': expected file, random, sorted"),
    ):
        (line,) = project.bench(*arguments).stderr.str().strip().splitlines()
        assert says in line


def test_a_cold_first_pass(project: Project) -> None:
    """It is below the table, in JSON, JUnit and the store; a case without one is not reused for it."""
    project.bench().assert_outcomes(passed=2)
    result = project.bench(
        "--ann-cold", "--ann-reuse", "--benchmark-json=out.json", "--junit-xml=out.xml"
    )
    result.assert_outcomes(passed=2)
    (start,) = [n for n, line in enumerate(result.outlines) if line.strip().startswith("First pa")]
    head, *rows = result.outlines[start + 1 : start + 4]
    assert head.split()[:4] == ["QPS", "p50", "p95", "p99"]
    assert {row.removesuffix(" (noisy)").split()[-1] for row in rows} == {
        "exact[extra=0]",
        "exact[extra=1]",
    }
    for saved in project.saved():
        assert saved["extra_info"]["first_pass"]["recall"] == 1.0
    assert (project.path / "out.xml").read_text(encoding="utf-8").count('"cold_p99_ms"') == 2
    kept = [
        json.loads(line)
        for file in (project.path / ".annmodal" / "results").glob("*.jsonl")
        for line in file.read_text(encoding="utf-8").splitlines()
    ]
    assert sorted((row["cold"], row["first_pass"] is not None) for row in kept) == [
        *[(False, False)] * 2,
        *[(True, True)] * 2,
    ]
    assert len({row["key"] for row in kept}) == 4
    again = project.bench("--ann-cold", "--ann-reuse", "--ann-warm")
    assert lines_with(again, "2 results were taken from the store and not measured again.")
    assert not lines_with(again, "First pass")


def test_a_sample_of_the_queries_is_a_case_of_its_own(project: Project) -> None:
    """All queries and a sample of them are separate cases, whichever was measured last."""
    from pytest_annmodal import read_results
    from pytest_annmodal.results.choice import latest

    one = ("--ann-param=extra=0",)
    project.bench(*one).assert_outcomes(passed=1)
    project.bench(*one, "--ann-queries=5").assert_outcomes(passed=1)
    found = latest(read_results([project.path / ".annmodal" / "results"]).cases)
    assert sorted((case.query_sample or 0, case.n_queries) for case in found) == [(0, 20), (5, 5)]


def test_a_grading_asks_queries_of_the_organiser(project: Project) -> None:
    """By its rules, of a file beside them, which no submission can read and no ini file replace."""
    course = Class(project)
    rows = np.random.default_rng(9).standard_normal((6, 8)).astype(np.float32)
    np.save(course.path / "secret.npy", rows)
    rules = (course.path / "grading.toml").read_text(encoding="utf-8")
    rules = rules.replace("queries = 4\n", 'queries = "secret.npy"\n')
    rules = rules.replace("fresh_queries = false\n", "").replace('"process"', '"auto"')
    project.write("grading.toml", rules)
    project.write("pytest.ini", "[pytest]\nannmodal_queries = 3\n")
    course.hand_in("honest.py", index())
    course.hand_in(
        "curious.py",
        index(
            "import os\n"
            f"walked = os.walk({str(course.path)!r})\n"
            "found = [name for _, _, names in walked for name in names if name[-4:] == '.npy']\n"
            "assert not found, found"
        ),
    )
    result = course.grade()
    assert lines_with(result, "All 2 submissions are graded.")
    assert lines_with(result, "Not taken from an ini file: annmodal_queries (3)")
    for graded in course.by_name().values():
        (case,) = graded["cases"]
        assert case["status"] == "measured", case
        assert (case["figures"]["n_queries"], case["figures"]["recall"]) == (6, 1.0)
        assert re.search("-queries-secret-[0-9a-f]{8}-k5$", case["id"])
