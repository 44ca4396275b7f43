"""Measure the harness: ``python -m benchmarks.harness [--rows NAME…] [--alternations N]``.

Prints one table of what the harness costs beside what it measures, each figure beside its target.
Ratios are taken side by side in one run, in turn; minimum and median of the alternations.
Ends with 0 even where a target is missed: on a shared machine that is a hint, not a verdict.
"""

from __future__ import annotations

import argparse
import dataclasses
import fnmatch
import functools
import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from pytest_annmodal.jobs.machine import describe_machine

from .rows import ROWS
from .scale import QUICK, Scale
from .table import Measure, Noise, Row, Taken, describe_noise, number, show

WIDTH = 150  # so that a table piped into a file is not cut


def measure(
    rows: Sequence[Row],
    scale: Scale,
    progress: Console,
    told: Callable[[list[Taken]], None] = lambda _found: None,
) -> list[Taken]:
    """These rows as they were taken; what several rows share is measured once.

    Args:
        told: what there is so far, after each measurement.
    """
    say = functools.partial(progress.print, highlight=False, markup=False, soft_wrap=True)
    found: dict[str, Taken] = {}
    measures: dict[Measure, list[Row]] = {}
    for row in rows:
        measures.setdefault(row.measure, []).append(row)
    for taker, wanted in measures.items():
        start = time.perf_counter()
        say(f"measuring {', '.join(row.name for row in wanted)}")
        with tempfile.TemporaryDirectory(prefix="annmodal-harness-") as temporary:
            found |= _taken(taker, wanted, scale, Path(temporary))
        for row in wanted:
            taken = found[row.name]
            words = " ".join(number(value) for value in taken.values) or taken.error or "skipped"
            say(f"  {row.name}: {words}")
        say(f"  took {time.perf_counter() - start:.0f} s")
        told([found[row.name] for row in rows if row.name in found])
    return [found[row.name] for row in rows]


def _taken(taker: Measure, rows: Sequence[Row], scale: Scale, place: Path) -> dict[str, Taken]:
    """What a measurement gives of its rows; one that fails costs no other one."""
    try:
        values = taker(scale, place / "data")
    except (RuntimeError, OSError, AssertionError, MemoryError, subprocess.SubprocessError) as why:
        error = f"{type(why).__name__}: {why}"
        return {row.name: Taken(row=row, error=error) for row in rows}
    return {row.name: Taken(row=row, values=tuple(values.get(row.name, ()))) for row in rows}


def chosen(patterns: Sequence[str]) -> list[Row]:
    """Rows by name or glob; all of them without any.

    Raises:
        SystemExit: one names no row.
    """
    for pattern in patterns:
        if not any(fnmatch.fnmatchcase(row.name, pattern) for row in ROWS):
            names = ", ".join(row.name for row in ROWS)
            raise SystemExit(f"there is no row {pattern!r}. Rows: {names}")
    return [
        row
        for row in ROWS
        if not patterns or any(fnmatch.fnmatchcase(row.name, pattern) for pattern in patterns)
    ]


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="python -m benchmarks.harness", description=__doc__)
    made.formatter_class = argparse.RawDescriptionHelpFormatter
    made.add_argument("--rows", nargs="+", metavar="NAME", default=[], help="names or globs")
    made.add_argument("--alternations", type=int, metavar="N", help="of both sides (5)")
    made.add_argument("--quick", action="store_true", help="less data, two alternations")
    made.add_argument("--json", type=Path, metavar="FILE", help="write all values there too")
    made.add_argument("--list", action="store_true", help="show the rows and measure nothing")
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    rows, scale = chosen(options.rows), QUICK if options.quick else Scale()
    if options.alternations:
        scale = dataclasses.replace(scale, alternations=options.alternations)
    if options.list:
        report([Taken(row=row) for row in rows], scale)
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # temporary files are removed then
    machine, noise = describe_machine(), Noise()

    def write(found: list[Taken]) -> None:
        if options.json:
            plain = [taken.to_plain(scale) for taken in found]
            result: dict[str, Any] = {"machine": machine, "noise": noise.report(), "rows": plain}
            options.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")

    found = measure(rows, scale, Console(stderr=True), write)
    report(found, scale)
    Console(width=WIDTH).print(describe_noise(noise.report()), highlight=False)
    return 0


def report(found: Sequence[Taken], scale: Scale) -> None:
    console = Console()
    show(found, scale, console if console.is_terminal else Console(width=WIDTH))


if __name__ == "__main__":
    sys.exit(main())
