"""``--ann-isolation``: refused before anything runs, or noted where it is weak."""

from __future__ import annotations

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
    """Whoever runs only what they trust needs no bubblewrap."""
    own = ("--ann-implementations=mine", "--impl=exact")
    project.run(*DATA, *own, "--ann-isolation=strict").assert_outcomes(passed=2)


def test_a_weak_level_is_said(project: Project) -> None:
    """Beside the result."""
    project.write("subs/mine.py", EXACT)
    result = project.run(*DATA, "--submission=subs/mine.py", "--ann-isolation=process")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["*isolation: only 'process'*"])
