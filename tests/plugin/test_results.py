"""Stored results: what a session stores, and what the next one reuses."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
from plugin_project import EXACT, HALF, Project, lines_with

from pytest_annmodal.results.reading import read_results

RESULTS = Path(".annmodal") / "results"
RAISES = EXACT.replace("search.extra = [0, 1]", "").replace(
    "        self.X =", "        raise ValueError('secret 0.123')\n        self.X ="
)


def kept(project: Project, folder: Path = RESULTS) -> list[dict[str, Any]]:
    """Returns the lines of all sessions as parsed JSON."""
    files = sorted((project.path / folder).glob("*.jsonl"))
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]


def test_a_session_is_kept_and_used_again(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every case is a line with samples; only changed cases are measured again."""
    project.write("mine/exact_too.py", RAISES.replace("Exact", "Other"))
    page = project.path / "page.md"
    page.write_text("before\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(page))
    first = project.bench("--ann-summary")
    assert page.read_text().startswith("before\n## ANN benchmarks\n")
    assert page.read_text().count("secret 0.123") == 1
    first.assert_outcomes(passed=2, failed=1)
    assert lines_with(first, f"3 results were kept in {RESULTS}: see `annmodal report`")
    lines = kept(project)
    assert {line["label"] for line in lines} == {"exact[extra=0]", "exact[extra=1]", "exact_too"}
    assert {line["dataset_sha256"] is None for line in lines} == {False}
    assert (project.path / ".annmodal" / ".gitignore").exists()
    found = read_results([project.path])
    measured = [case for case in found.cases if case.failure is None]
    for case in measured:
        samples = found.samples(case)
        assert samples is not None
        assert samples.query_hits is not None
        assert samples.latencies_ns.shape == (2, 20)
        assert samples.query_hits.sum() / (20 * 2 * 10) == case.recall == 1

    again = project.bench("--ann-reuse", "--benchmark-json=out.json", "--ann-report=page.html")
    again.assert_outcomes(passed=2, failed=1)
    assert lines_with(again, "2 results were taken from the store and not measured again.")
    assert lines_with(again, "measured earlier and taken from the store (--ann-reuse)")
    assert len(kept(project)) == 4  # failures are measured again
    assert lines_with(again, "The page is page.html.")
    shown = page_data(project.path / "page.html")["groups"][0]
    assert all(mark.endswith("reused") for mark in shown["points"]["marks"])  # it may be noisy too
    assert [len(tail) > 1 for tail in shown["tails"]] == [True, True]
    stored_p50 = {line["case_id"]: line["p50_s"] for line in lines if line["failure"] is None}
    saved = {row["extra_info"]["case_id"]: row for row in project.saved()}
    assert {key: row["extra_info"]["p50_s"] for key, row in saved.items()} == stored_p50

    project.write("mine/exact.py", EXACT + "# another text\n")
    changed = project.bench("--ann-reuse", "--ann-results=elsewhere")
    assert not lines_with(changed, "not measured again")
    assert not (project.path / "elsewhere" / ".gitignore").exists()
    assert len(kept(project, Path("elsewhere"))) == 3


def page_data(path: Path) -> Any:
    """Returns the data of a page."""
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', path.read_text())
    assert found is not None
    return json.loads(found[1])


def test_a_page_that_cannot_be_made_is_said_before_anything_is_measured(project: Project) -> None:
    """Without the packages it is a usage error; a place that cannot be written is said at the end."""
    failed = project.bench("--ann-report=no/such/page.html")
    assert lines_with(failed, "no/such/page.html: cannot be written: No such file or directory")
    failed.assert_outcomes(passed=2)
    project.write(
        "conftest.py", "from pytest_annmodal.page import files\nfiles.NEEDED = ('nosuch',)\n"
    )
    refused = project.bench("--ann-report=page.html")
    assert refused.ret == pytest.ExitCode.USAGE_ERROR
    assert "pip install 'pytest-annmodal[report]'" in refused.stderr.str() + refused.stdout.str()
    assert "collected" not in refused.stdout.str()


def test_results_off(project: Project) -> None:
    """Nothing is written or printed."""
    project.bench("--ann-results=off").assert_outcomes(passed=2)
    assert not (project.path / ".annmodal").exists()
    refused = project.bench("--ann-results=off", "--ann-reuse")
    assert refused.ret == pytest.ExitCode.USAGE_ERROR


def test_a_place_that_cannot_be_written(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """It gives one warning, as does a folder inside a submission; the session goes on."""
    project.write("file", "no folder")
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    result = project.bench("--ann-results=file/results", "--ann-summary")
    assert len(lines_with(result, "$GITHUB_STEP_SUMMARY is not set, so nothing was written")) == 1
    result.assert_outcomes(passed=2)
    assert len(lines_with(result, "Results are not kept: ")) == 1
    project.write("handed/in/submission.py", HALF)
    before = sorted((project.path / "handed").rglob("*"))
    result = project.run(
        *("--dataset=small-8-euclidean.hdf5", "--submission=handed/in"),
        "--ann-results=handed/in/results",
    )
    result.assert_outcomes(passed=1)
    assert len(lines_with(result, "is inside the submission in.")) == 1
    written = {
        path for path in (project.path / "handed").rglob("*") if "__pycache__" not in str(path)
    }
    assert written == set(before)


@pytest.mark.parametrize("feedback", ["full", "kind"])
def test_what_grading_does_not_show_is_not_kept(project: Project, feedback: str) -> None:
    """With ``feedback = "kind"`` only the kind of a submission's error is stored, no text of it."""
    project.write("subs/bad.py", RAISES)
    project.write(
        "rules.toml",
        'datasets = ["small-8-euclidean.hdf5"]\nfresh_queries = false\nrounds = 1\n'
        f'feedback = "{feedback}"\n'
        '[[parts]]\nname = "a"\npoints = 1\nmin_recall = 0.5\n',
    )
    project.run("--ann-grade=rules.toml", "--submission=subs/*.py", "--ann-isolation=process")
    (line,) = kept(project)
    assert (line["failure"]["kind"], line["trusted"]) == ("raised", False)
    assert ("secret 0.123" in json.dumps(line)) is (feedback == "full")
    (file,) = (project.path / RESULTS).glob("*.jsonl")
    assert file.stat().st_mode & 0o077 == 0


def test_damaged_results_are_measured_again(project: Project) -> None:
    """An unreadable line or samples file gives a warning, and nothing of it is reused."""
    project.bench().assert_outcomes(passed=2)
    (file,) = (project.path / RESULTS).glob("*.samples")
    os.truncate(file, 10)
    (file,) = (project.path / RESULTS).glob("*.jsonl")
    with file.open("a") as stream:
        stream.write("half a li")
    result = project.bench("--ann-reuse")
    result.assert_outcomes(passed=2)
    assert len(lines_with(result, "line 3 is damaged and skipped")) == 1
    assert len(lines_with(result, "is measured again")) == 2
    assert len(kept_whole(project)) == 4


def kept_whole(project: Project) -> list[str]:
    return [case.label for case in read_results([project.path]).cases]
