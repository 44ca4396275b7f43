"""What a session prints: progress, download bars, the summary; and what needs pytest's output."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from pytest_annmodal.reports.escape import printable
from pytest_annmodal.reports.tables import summary
from pytest_annmodal.results.rows import Row

if TYPE_CHECKING:
    import pytest


def width_of(reporter: pytest.TerminalReporter) -> int | None:
    """How many columns a table may have; None where a file takes any number of them."""
    return shutil.get_terminal_size().columns if reporter.isatty else None


def write_summary(
    reporter: pytest.TerminalReporter,
    rows: Sequence[Row],
    *,
    libraries: Mapping[str, str],
    datasets: Sequence[str],
) -> None:
    """The table of what was measured, and how to get what was skipped.

    Args:
        libraries: the command that installs what an implementation needs, by its name.
        datasets: lines about those that are missing.
    """
    if rows:
        reporter.section("ANN benchmarks", sep="-", yellow=True)
        text = summary(rows, width=width_of(reporter), color=reporter.hasmarkup)
        reporter.write_line(text)
    if libraries:
        reporter.section("libraries to install", sep="-", yellow=True)
        reporter.write_line("Not installed, so the tests of what needs them were skipped:")
        width = max(map(len, libraries))
        for name, command in libraries.items():
            reporter.write_line(f"    {name:{width}}  {printable(command)}")
    if datasets:
        reporter.section("datasets to download", sep="-", yellow=True)
        for line in datasets:
            reporter.write_line(line)
