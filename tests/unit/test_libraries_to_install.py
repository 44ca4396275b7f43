"""The lines below the tables on libraries that are not installed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pytest_annmodal.reports.terminal import write_summary
from pytest_annmodal.session.availability import no_compiler


class Reporter:
    """The methods of pytest's reporter that are used."""

    isatty = hasmarkup = False

    def __init__(self) -> None:
        self.lines: list[str] = []

    def section(self, title: str, **_: Any) -> None:
        self.lines.append(title)

    def write_line(self, line: str) -> None:
        self.lines.append(line)


@pytest.mark.parametrize("there", [True, False])
def test_a_compiler_that_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, there: bool
) -> None:
    """If there is no compiler, the command that installs one follows."""
    if there:
        (tmp_path / "g++").write_text("#!/bin/sh\n")
        (tmp_path / "g++").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    reporter = Reporter()
    write_summary(
        reporter,  # type: ignore[arg-type]
        (),
        libraries={"annoy": "pip install 'annoy>=1.17'"},
        no_compiler=no_compiler(),
        datasets=(),
    )
    assert "    annoy  pip install 'annoy>=1.17'" in reporter.lines
    assert any("apt install g++" in line for line in reporter.lines) != there
