"""README.md's commands for a fresh machine."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import needs
import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
MAIN, TESTS, WHEELS = re.findall(r"```console\n\$ (.*)\n```", README)[:3]


def test_each_line_makes_its_own_environment():
    for line in (MAIN, TESTS, WHEELS):
        assert "python3 -m venv .venv && . .venv/bin/activate && pip install" in line
    assert "apt-get" not in WHEELS


def test_packages():
    """The line for tests installs what the tests need, that of the main job a compiler."""
    for package in needs.NEEDS.values():
        assert f" {package}" in TESTS
    assert " g++ " in MAIN


@pytest.mark.parametrize("line", [MAIN, TESTS], ids=["main", "tests"])
@pytest.mark.parametrize("before", ["sudo ", ""], ids=["sudo", "root"])
def test_root_or_sudo(tmp_path, line, before):
    """``sh -c`` runs by sudo if there is one, else directly."""
    for name in ("sudo", "sh") if before else ("sh",):
        (tmp_path / name).write_text(f'#!/bin/sh\necho {name} "$@"\n')
        (tmp_path / name).chmod(0o755)
    done = subprocess.run(
        ["/bin/sh", "-c", line.split(" && ")[0]],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith(f"{before}sh -c apt-get update; apt-get install -y g++ ")


def test_ci_calls_the_tests_line():
    """``.ci/run`` finds exactly one command in README.md."""
    (pattern,) = re.findall(r"sed -n '(.*)' README.md", (ROOT / ".ci/run").read_text())
    found = subprocess.run(
        ["sed", "-n", pattern, ROOT / "README.md"], capture_output=True, text=True, check=True
    )
    assert found.stdout.splitlines() == [TESTS]


def test_what_is_missing_is_one_line(monkeypatch, tmp_path):
    """Missing programs are one line with the command that installs them."""
    monkeypatch.setenv("PATH", str(tmp_path))
    problem = needs.problem()
    assert "\n" not in problem
    assert "apt-get install -y g++ bubblewrap chromium" in problem


def test_missing_before_the_tests(tmp_path):
    """``pytest tests`` ends before the collection if programs are missing."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "tests", "-p", "no:cacheprovider"],
        cwd=ROOT,
        env={**os.environ, "PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "The tests need g++ and bubblewrap and chromium" in done.stdout + done.stderr
    assert "collected" not in done.stdout


def test_wheels_need_no_compiler():
    """The extra ``wheels`` has no library that must be compiled."""
    extras = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    (wheels,) = re.findall(r"^wheels = (.*)$", extras, flags=re.MULTILINE)
    assert "[wheels]" in WHEELS
    assert "annoy" not in wheels.replace("pytest-annmodal", "")
    assert "hnswlib" not in wheels
