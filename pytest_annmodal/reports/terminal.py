"""Prints a session's summary through pytest's terminal reporter."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from pytest_annmodal.outcome import Measurement
from pytest_annmodal.reports import gates
from pytest_annmodal.reports.escape import printable
from pytest_annmodal.reports.tables import summary
from pytest_annmodal.results.rows import Row

if TYPE_CHECKING:
    import pytest


def width_of(reporter: pytest.TerminalReporter) -> int | None:
    """Returns the number of columns of the terminal; None for a file."""
    return shutil.get_terminal_size().columns if reporter.isatty else None


def _write_gates(reporter: pytest.TerminalReporter, rows: Sequence[Row]) -> None:
    """Writes the verdicts of a gate, one block a job."""
    found = gates.blocks(
        (f"{row.build} on {row.dataset}, k={row.k}", row.outcome.gate)
        for row in rows
        if isinstance(row.outcome, Measurement) and row.outcome.gate is not None
    )
    if found:
        reporter.section("gate", sep="-", yellow=True)
    for block in found:
        for line in gates.terminal(block, width=width_of(reporter), color=reporter.hasmarkup):
            reporter.write_line(line)


def write_summary(
    reporter: pytest.TerminalReporter,
    rows: Sequence[Row],
    *,
    libraries: Mapping[str, str],
    no_compiler: str,
    datasets: Sequence[str],
) -> None:
    """Writes the table of measurements, and how to install or download what is missing.

    Args:
        libraries: the command that installs an implementation's libraries, by its name.
        no_compiler: note that these may need a compiler; empty if one is installed.
        datasets: lines about missing datasets.
    """
    if rows:
        reporter.section("ANN benchmarks", sep="-", yellow=True)
        text = summary(rows, width=width_of(reporter), color=reporter.hasmarkup)
        reporter.write_line(text)
        _write_gates(reporter, rows)
    if libraries:
        reporter.section("libraries to install", sep="-", yellow=True)
        reporter.write_line("Tests were skipped because these libraries are not installed:")
        width = max(map(len, libraries))
        for name, command in libraries.items():
            reporter.write_line(f"    {name:{width}}  {printable(command)}")
        if no_compiler:
            reporter.write_line(no_compiler)
    if datasets:
        reporter.section("datasets to download", sep="-", yellow=True)
        for line in datasets:
            reporter.write_line(line)
