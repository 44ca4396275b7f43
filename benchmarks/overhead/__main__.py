"""Measure the harness: ``python -m benchmarks.overhead [--quick] [--json PATH]``.

Prints one table of what the harness adds to what it measures, each figure beside its aim.
Ratios are taken side by side in one run, in turn, and given as median, minimum and maximum.
Ends with 0 even where an aim is missed: on a shared machine that is a hint, not a verdict.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from pytest_annmodal.jobs.machine import describe_machine

from . import data, searching, sessions
from .figures import QUICK, Noise, Row, Scale, describe_noise, show

WIDTH = 145  # so that a table piped into a file is not cut


def measure(scale: Scale, progress: Console) -> tuple[list[Row], dict[str, Any]]:
    """Every row, and what the machine did meanwhile."""
    noise = Noise()
    rows = []
    with tempfile.TemporaryDirectory(prefix="annmodal-overhead-") as temporary:
        for part in (searching, data, sessions):
            directory = Path(temporary) / part.__name__.rpartition(".")[2]
            directory.mkdir()
            with progress.status(f"{directory.name}...") as status:
                for row in part.rows(scale, directory):
                    rows.append(row)
                    status.update(f"after: {row.name}")
    return rows, noise.report()


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.overhead", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--quick", action="store_true", help="fewer repeats, under a minute")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write all repeats there too")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # temporary files are removed then
    machine = describe_machine()
    rows, noise = measure(QUICK if options.quick else Scale(), Console(stderr=True))
    report(rows, noise)
    if options.json:
        result = {"machine": machine, "noise": noise, "rows": [row.to_plain() for row in rows]}
        options.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return 0


def report(rows: list[Row], noise: dict[str, Any]) -> None:
    console = Console()
    if not console.is_terminal:
        console = Console(width=WIDTH)
    show(rows, console)
    console.print(describe_noise(noise), highlight=False)


if __name__ == "__main__":
    sys.exit(main())
