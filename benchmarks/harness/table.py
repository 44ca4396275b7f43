"""A row of the harness benchmark, what was taken of it, its table, and how noisy it was."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console
from rich.table import Table

from .scale import Scale

NOISY_CORES = 0.10  # of one core, used by others while this ran
Values = Mapping[str, Sequence[float]]  # of rows, by their names
Measure = Callable[[Scale, Path], Values]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One figure of the harness, and at most what it should be.

    Attributes:
        name: what ``--rows`` calls it.
        numerator, denominator: what is compared; a count or a time has no denominator.
        target: the most that it should be; None where it only explains other rows.
        how: how it is measured, in a few words.
        measure: gives the values of this row and of all others that it measures with it.
    """

    name: str
    numerator: str
    denominator: str = ""
    unit: str = "ratio"
    target: float | None = None
    how: str
    measure: Measure

    def compares(self, scale: Scale) -> str:
        """Numerator ÷ denominator, with the sizes of this run."""
        words = f"{self.numerator} ÷ {self.denominator}" if self.denominator else self.numerator
        return words.format_map(scale.words())


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """One row as it was measured: its values in the order in which they were taken.

    Attributes:
        error: why there are none, or fewer.
    """

    row: Row
    values: tuple[float, ...] = ()
    error: str = ""

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def mark(self) -> str:
        if not self.values:
            return "FAILED" if self.error else "skipped"
        if self.row.target is None:
            return "-"
        mark = "met" if self.median <= self.row.target else "MISSED"
        return mark + ("" if self.resolved else "?")

    @property
    def resolved(self) -> bool:
        """Whether the values agree on which side of the target they are.

        A cost cannot be negative: one far below zero shows that noise was measured.
        """
        target = self.row.target
        if target is None or not self.values:
            return True
        if target and min(self.values) < -target:
            return False
        ordered, quarter = sorted(self.values), len(self.values) // 4
        low, high = ordered[quarter], ordered[-1 - quarter]
        return low > target or high <= target

    def to_plain(self, scale: Scale) -> dict[str, Any]:
        return {
            "name": self.row.name,
            "compares": self.row.compares(scale),
            "unit": self.row.unit,
            "target": self.row.target,
            "how": self.row.how,
            "minimum": min(self.values) if self.values else None,
            "median": self.median if self.values else None,
            "values": list(self.values),
            "mark": self.mark,
            "error": self.error,
        }


def show(found: Sequence[Taken], scale: Scale, console: Console) -> None:
    """Print one aligned table."""
    table = Table(title="The harness, measured side by side in one run", title_justify="left")
    table.add_column("row", no_wrap=True)
    table.add_column("what is compared", overflow="fold")
    table.add_column("unit", no_wrap=True)
    for heading in ("target", "min", "median", "n"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True, min_width=7)
    for taken in found:
        row = taken.row
        target = "" if row.target is None else f"≤ {row.target:g}"
        values = (min(taken.values), taken.median) if taken.values else ()
        cells = [number(value) for value in values] or ["", ""]
        table.add_row(
            row.name,
            row.compares(scale),
            row.unit,
            target,
            *cells,
            str(len(taken.values)),
            taken.mark,
        )
    console.print(table)
    for taken in found:
        if taken.error:
            console.print(f"{taken.row.name}: {taken.error}", highlight=False, markup=False)


def number(value: float) -> str:
    """Three digits."""
    if abs(value) >= 1000:
        return f"{value:.0f}"
    return f"{value:#.3g}".rstrip(".") if abs(value) >= 0.01 else f"{value:.4f}"


class Noise:
    """What other processes took from this one while it ran."""

    def __init__(self) -> None:
        self.started = time.perf_counter()
        self.load_before = os.getloadavg()[0]
        self._busy, self._steal = _machine_s()
        self._own = _own_s()

    def report(self) -> dict[str, Any]:
        """Averages since the beginning, in cores."""
        wall_s = time.perf_counter() - self.started
        busy, steal = _machine_s()
        others = max(0.0, busy - self._busy - (_own_s() - self._own)) / wall_s
        stolen = max(0.0, steal - self._steal) / wall_s
        return {
            "seconds": round(wall_s, 1),
            "cores": os.cpu_count(),
            "load_before": round(self.load_before, 2),
            "others_cores": round(others, 2),
            "stolen_cores": round(stolen, 2),
            "noisy": others > NOISY_CORES or stolen > NOISY_CORES,
        }


def describe_noise(noise: dict[str, Any]) -> str:
    """One line under the table."""
    state = (
        "NOISY machine: trust the ratios' medians, and no single figure"
        if noise["noisy"]
        else "quiet machine"
    )
    return (
        f"{state}. While this ran ({noise['seconds']:.0f} s, {noise['cores']} cores), other "
        f"processes used {noise['others_cores']:.2f} cores and the host took "
        f"{noise['stolen_cores']:.2f}; load before: {noise['load_before']:.2f}. "
        "A question mark: the repeats do not agree, so the machine hides the answer."
    )


def _machine_s() -> tuple[float, float]:
    """Busy and stolen CPU seconds of the whole machine since it started."""
    times = psutil.cpu_times()
    busy = sum(getattr(times, name, 0.0) for name in ("user", "nice", "system", "irq", "softirq"))
    return busy, float(getattr(times, "steal", 0.0))


def _own_s() -> float:
    """CPU seconds of this process and of the children it has waited for."""
    return sum(os.times()[:4])
