"""``--ann-isolation``: refused before anything runs, or noted where it is weak."""

from __future__ import annotations

import json
import os

import pytest
from plugin_project import EXACT, Project

from pytest_annmodal.sandbox import isolation

DATA = ("--dataset=small-8-euclidean.hdf5", "--ann-rounds=1")


@pytest.fixture
def _no_bubblewrap(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory):
    monkeypatch.setenv("PATH", str(tmp_path_factory.mktemp("empty")))
    isolation.strongest.cache_clear()
    yield
    isolation.strongest.cache_clear()


@pytest.mark.usefixtures("_no_bubblewrap")
def test_strict_without_bubblewrap(project: Project) -> None:
    """One usage error, and no test of any implementation has run."""
    project.write("subs/mine.py", EXACT + "\nprint('was run')\n")
    result = project.run(*DATA, "--submission=subs/mine.py", "--ann-isolation=strict")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    text = result.stdout.str() + result.stderr.str()
    assert text.count("--ann-isolation=strict needs bubblewrap") == 1
    assert "Traceback" not in text
    assert "was run" not in text


@pytest.mark.usefixtures("_no_bubblewrap")
def test_strict_without_submissions(project: Project) -> None:
    """A session without submissions needs no bubblewrap."""
    own = ("--ann-implementations=mine", "--impl=exact")
    project.run(*DATA, *own, "--ann-isolation=strict").assert_outcomes(passed=2)


def test_grades_below_bubblewrap(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """A warning with bubblewrap's error is above the grades, in the summary and in grades.json."""
    project.write("subs/mine.py", EXACT)
    fake = project.write("bin/bwrap", "#!/bin/sh\necho 'bwrap: no luck' >&2\nexit 1\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{fake.parent}:{os.environ['PATH']}")
    project.write(
        "grading.toml",
        """
        datasets = ["small-8-euclidean.hdf5"]
        rounds = 1
        fresh_queries = false
        [[parts]]
        name = "Finds"
        points = 1
        min_recall = 0.5
        """,
    )
    result = project.run("--submission=subs/mine.py", "--ann-grade=grading.toml")
    assert result.ret == 0, result.stdout.str()
    lines = result.outlines
    (at,) = [n for n, line in enumerate(lines) if line.startswith("Isolation: only ")]
    assert (
        "so a submission could read files: bubblewrap is installed but does not work" in lines[at]
    )
    assert "does not work: 'bwrap: no luck'" in lines[at]
    assert lines[at].endswith("not safe against a submission that cheats.")
    assert lines[at + 2].startswith("rank  submission")
    (warning,) = json.loads((project.path / "grades/grades.json").read_text())["warnings"]
    assert warning == lines[at]
    assert "no luck" in (project.path / "grades/summary.md").read_text()


def test_a_weak_level_is_noted(project: Project) -> None:
    """It is a note of the result."""
    project.write("subs/mine.py", EXACT)
    result = project.run(*DATA, "--submission=subs/mine.py", "--ann-isolation=process")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["*isolation: only 'process'*"])
