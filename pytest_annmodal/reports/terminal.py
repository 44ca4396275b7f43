"""What a session prints: progress, download bars, the summary; and what needs pytest's output."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pytest_annmodal.reports.tables import printable, summary


def write_summary(
    reporter: Any,
    rows: Sequence[dict[str, Any]],
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
        width = reporter._tw.fullwidth if reporter.isatty else None
        reporter.write_line(summary(rows, width=width, color=reporter.hasmarkup))
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
