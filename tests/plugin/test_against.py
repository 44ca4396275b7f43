"""``--ann-against``: a session compared with a stored one."""

from __future__ import annotations

import json
import os
import re

import pytest
from plugin_project import EXACT, Project, lines_with

# In the order of a block; what belongs to the build stands with its first setting.
FIGURES = (
    "speed at extra=0",
    "p99 at extra=0",
    "build",
    "speed at extra=1",
    "p99 at extra=1",
)
FORGETS = EXACT.replace('kind="stable")[:k]', 'kind="stable")[[*range(k - 1), len(self.X) - 1]]')


def test_a_recall_that_was_higher_fails_and_times_are_only_told(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A first session has nothing to compare with; the next is compared with it."""
    first = project.bench("--ann-against=latest")
    assert first.ret == 0
    assert lines_with(first, "nothing is stored to compare extra=0, extra=1 with")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(project.path / "summary.md"))
    same = project.bench("--ann-against=latest", "--ann-summary")
    assert same.ret == 0
    assert lines_with(same, "recall at extra=0, extra=1: each of 20 queries finds as many")
    (index,) = lines_with(same, "  index: ")
    assert "99 %" not in index  # of one value there is no interval
    _check_kept(project, same)
    project.write("mine/exact.py", FORGETS)
    worse = project.bench("--ann-against=.annmodal/results")
    assert worse.ret == 1
    failed = [line for line in worse.outlines if line.startswith("FAILED")]
    assert len(failed) == 2
    for extra, line in enumerate(failed):
        assert "recall 0.1000 lower than exact of 2" in line
        assert line.endswith(f"Z at extra={extra}")


def _check_kept(project: Project, result: pytest.RunResult) -> None:
    """The Markdown and the store have the shown times: the change, and that there is no verdict."""
    times = lines_with(result, "; measured at another time, so there is no verdict")
    assert [line.split(":")[0].split() for line in times] == [
        ["not", "gated", *figure.split()] for figure in FIGURES
    ]
    assert all(
        re.search(r": (unchanged|[\d.]+ % \w+); measured at another", line) for line in times
    )
    summary = (project.path / "summary.md").read_text()
    assert summary.startswith("## Gate: no change\n")
    assert summary.count("measured at another time, so there is no verdict") == len(times)
    newest = max((project.path / ".annmodal/results").glob("*.jsonl"), key=os.path.getmtime)
    stored = [json.loads(line) for line in newest.read_text().splitlines()]
    assert [len(case["gate"]["findings"]) for case in stored] == [6, 3]


def test_reused_results_have_no_old_findings(project: Project) -> None:
    """A later session without ``--ann-against`` has no block; one with it has its own."""
    project.bench("--ann-against=latest")
    later = project.bench("--ann-reuse")
    assert lines_with(later, "2 results were taken from the store")
    assert not lines_with(later, "nothing is stored to compare")
    again = project.bench("--ann-reuse", "--ann-against=latest")
    assert lines_with(again, "recall at extra=0, extra=1: each of 20 queries finds as many")


def test_what_holds_no_results_is_refused(project: Project) -> None:
    result = project.bench("--ann-against=nowhere")
    assert result.ret == 4
    assert "there is no such file or folder" in result.stderr.str() + result.stdout.str()


def test_the_newest_session_may_have_measured_something_else(project: Project) -> None:
    """*latest* is the newest result of each setting, in whichever session it is."""
    project.bench()
    project.write("mine/other.py", EXACT)
    places = ("--ann-implementations=mine", "--dataset=small-8-euclidean.hdf5")
    project.run(*places, "--impl=other", "--ann-rounds=1")
    result = project.bench("--ann-against=latest")
    assert result.ret == 0
    assert lines_with(result, "recall at extra=0, extra=1: each of 20 queries finds as many")


def test_other_queries_or_another_content_have_no_queries_in_common(project: Project) -> None:
    project.bench("--impl=exact", "--ann-queries=7")
    result = project.bench("--impl=exact", "--ann-against=latest")
    assert result.ret == 0
    assert lines_with(result, "with: 0 queries in common, since other queries were asked")
    project.dataset("small-8-euclidean", n_train=150)
    result = project.bench("--ann-against=latest")
    assert result.ret == 0
    assert lines_with(result, "0 queries in common, since small-8-euclidean has another content")
