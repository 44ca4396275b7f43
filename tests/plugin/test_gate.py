"""``--ann-gate``, as a library's author sees it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from plugin_project import EXACT, Project, lines_with

GATE = ("--ann-baseline=exact", "--ann-gate", "--ann-sessions=5")
# What is timed here takes microseconds on machines that are busy: only what is certain is tested.
PLACES = ("--ann-implementations=mine", "--dataset=small-8-euclidean.hdf5")
LENIENT = ("--ann-max-slowdown=0.6",)
# One of ten ids is wrong, and an answer takes some milliseconds.
WORSE = (
    EXACT.replace("import numpy as np", "import time\nimport numpy as np")
    .replace("    def query(self, v, k):", "    def query(self, v, k):\n        time.sleep(0.005)")
    .replace('kind="stable")[:k]', 'kind="stable")[[*range(k - 1), len(self.X) - 1]]')
)
# The first process is that of the measurement; the next one ends in the middle.
ENDS = (
    EXACT.replace("import numpy as np", "import os, pathlib\nimport numpy as np").replace(
        "    def query(self, v, k):",
        "    def query(self, v, k):\n"
        "        self.n = getattr(self, 'n', 0) + 1\n"
        "        if self.n == 1: self.late = not self._first()\n"
        "        if self.late and self.n > 100: os._exit(3)",
    )
    + """
    def _first(self):
        try:
            pathlib.Path(__file__).with_suffix(".mark").touch(exist_ok=False)
        except FileExistsError:
            return False
        return True
"""
)


def candidates(project: Project, name: str, *arguments: str) -> Any:
    """Gates the candidate of this name against ``exact``."""
    return project.run(*PLACES, "--ann-rounds=1", f"--impl={name}", *GATE, *LENIENT, *arguments)


@pytest.mark.parametrize(
    ("arguments", "command"),
    [
        (("--impl=needy", "--dataset=small-8-euclidean.hdf5"), "pip install 'no-such-library>=2'"),
        (
            ("--impl=exact", "--dataset=gist-960-euclidean"),
            "pytest -k gist-960-euclidean --download-only",
        ),
    ],
)
def test_what_is_named_and_not_here_fails(
    project: Project, arguments: tuple[str, str], command: str
) -> None:
    """Without a gate it is skipped; a gate that measured nothing would look like a pass."""
    project.write("mine/needy.py", EXACT.replace('["numpy"]', '["no-such-library>=2"]'))
    result = project.run("--ann-implementations=mine", *arguments, *GATE)
    assert result.ret == 1
    result.assert_outcomes(errors=2)
    assert lines_with(result, command)


def test_what_is_worse_fails_and_its_line_says_why(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both settings find less, and the job is slower; each has a line of its own."""
    project.write("mine/exact_worse.py", WORSE)
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(project.path / "summary.md"))
    outputs = ("--benchmark-json=out.json", "--junitxml=out.xml", "--ann-summary")
    result = candidates(project, "exact_worse", *outputs)
    assert result.ret == 1
    failed = [line for line in result.outlines if line.startswith("FAILED")]
    assert len(failed) == 2
    for extra, line in enumerate(failed):
        assert f"recall 0.1000 lower than exact at extra={extra}" in line
    text = result.stdout.str()
    assert " % slower than exact at extra=0 (99 %: " in text
    assert text.count("exact_worse on small-8-euclidean, k=10 against exact") == 1
    assert "  control      exact beside its own copy: speed " in text
    _check_outputs(project)


def _check_outputs(project: Project) -> None:
    gates = [saved["extra_info"]["gate"] for saved in project.saved()]
    (speed,) = (
        finding for gate in gates for finding in gate["findings"] if finding["figure"] == "speed"
    )
    assert speed["word"] == "worse"
    assert len(speed["ratios"]) == len(speed["control"]["ratios"]) == speed["sessions"] == 5
    junit = (project.path / "out.xml").read_text()
    assert junit.count('name="gate_recall" value="worse"') == 2
    assert '<failure message="Failed: ' in junit
    summary = (project.path / "summary.md").read_text()
    assert summary.startswith("## Gate: worse\n")
    assert len(summary) < 65_536  # what a comment may have
    (lines,) = (project.path / ".annmodal/results").glob("*.jsonl")
    stored = [json.loads(line) for line in lines.read_text().splitlines()]
    assert {case["gate"]["baseline"] for case in stored} == {"exact"}


def test_a_candidate_that_ends_half_way_has_failed_and_is_not_worse(project: Project) -> None:
    project.write("mine/exact_ends.py", ENDS)
    result = candidates(project, "exact_ends")
    assert result.ret == 1
    assert "crashed" in result.stdout.str()
    assert "slower than" not in result.stdout.str()


def test_equal_sides_are_noted(project: Project) -> None:
    """An A/A test; a named recall that is not reached gives no verdict, which strict fails.

    Settings of the command line are those of both sides.
    """
    asked = (
        "--ann-gate=strict",
        "--ann-at-recall=0.9",
        "--benchmark-disable",
        "--ann-param=extra=4,5",
    )
    result = project.bench("--impl=exact", "--ann-baseline=exact", "--ann-sessions=5", *asked)
    assert result.ret == 1
    assert lines_with(
        result, "so this compares a version with itself (an A/A test): any worse or better"
    )
    assert lines_with(result, "every setting of the candidate is above recall 0.9: ")
    assert lines_with(result, "recall at extra=4, extra=5: proved by identical answers to all ")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--ann-gate",), "--ann-gate compares everything with a baseline: name it with"),
        ((*GATE[:2], "--ann-sessions=1"), "--ann-gate needs five sessions or more"),
        ((*GATE[:2], "--ann-reuse"), "--ann-gate and --ann-reuse"),
        ((*GATE[:1], "--ann-gate=strickt"), "--ann-gate 'strickt': expected strict, or nothing"),
        ((*GATE[:2], "--submission=mine/exact.py"), "exact is a submission, which could remember"),
        ((*GATE[:2], "--ann-max-slowdown=5"), "expected a number above 0 and below 1"),
    ],
)
def test_what_cannot_be_gated_is_refused_at_once(
    project: Project, arguments: tuple[str, ...], words: str
) -> None:
    result = project.bench(*arguments)
    assert result.ret == 4
    assert words in result.stderr.str() + result.stdout.str()


@pytest.mark.parametrize("where", ["command line", "ini file"])
def test_a_path_after_a_gate_without_a_value(project: Project, where: str) -> None:
    """The conftest file beside it is also read in time."""
    project.write(
        "bench/test_it.py", "def test_search(ann_benchmark, case):\n    assert 0, 'asked'"
    )
    project.write(
        "bench/conftest.py", "def pytest_addoption(parser):\n    parser.addoption('--mine')"
    )
    before = ["--mine=1", *PLACES, "--ann-baseline=exact", "--collect-only", "-q"]
    if where == "ini file":
        project.write("pytest.ini", "[pytest]\naddopts = --ann-gate")
        result = project.run("bench", *before)
    else:
        result = project.run(*before, "--ann-gate", "bench")
    assert result.ret == 0, result.stderr.str()
    assert lines_with(result, "bench/test_it.py::test_search[")
    assert all(line.startswith("bench/") for line in lines_with(result, "::test_search["))
