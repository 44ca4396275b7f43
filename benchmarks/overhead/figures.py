"""What the harness benchmark gives: rows with an aim, their table, and how noisy it was."""

from __future__ import annotations

import os
import statistics
import time
from dataclasses import dataclass
from typing import Any

import psutil
from rich.console import Console
from rich.table import Table

NOISY_CORES = 0.10  # of one core, used by others while this ran


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """How much is measured; a tiny one exercises everything in seconds."""

    n_train: int = 20_000
    n_queries: int = 500
    implementations: tuple[str, ...] = ("bruteforce", "hnswlib", "annoy")
    processes: int = 2  # builds of each index on either side
    alternations: int = 20  # tight loop and product in turn, within one pair of processes
    slope_queries: int = 40_000
    slope_pairs: int = 5
    replayed: int = 30_000
    resolve_bytes: int = 4 * 2**30
    resolve_calls: int = 30
    fresh_processes: int = 9
    load_bytes: int = 500_000_000
    load_pairs: int = 5
    plugin_groups: int = 5
    plugin_pairs: int = 6  # of which the fastest on either side count, per group
    exact_train: int = 100_000
    exact_queries: int = 200
    exact_pairs: int = 5


QUICK = Scale(
    processes=1,
    alternations=15,
    slope_queries=20_000,
    slope_pairs=3,
    replayed=10_000,
    fresh_processes=3,
    load_pairs=2,
    plugin_groups=2,
    plugin_pairs=4,
    exact_pairs=2,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One figure: its repeats in the order they were taken, and at most what they should be."""

    name: str
    values: tuple[float, ...]
    unit: str
    aim: float | None = None

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def mark(self) -> str:
        if not self.values:
            return "skipped"
        if self.aim is None:
            return "-"
        mark = "pass" if self.median <= self.aim else "MISS"
        return mark + ("" if self.resolved else "?")

    @property
    def resolved(self) -> bool:
        """Whether the repeats agree on which side of the aim they are.

        A cost cannot be negative: one far below zero shows that noise was measured.
        """
        if self.aim is None or not self.values:
            return True
        if self.aim and min(self.values) < -self.aim:
            return False
        ordered, quarter = sorted(self.values), len(self.values) // 4
        low, high = ordered[quarter], ordered[-1 - quarter]
        return low > self.aim or high <= self.aim

    def to_plain(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "unit": self.unit,
            "aim": self.aim,
            "median": self.median if self.values else None,
            "values": list(self.values),
            "mark": self.mark,
        }


def show(rows: list[Row], console: Console) -> None:
    """Print one aligned table."""
    table = Table(title="The harness, measured side by side in one run", title_justify="left")
    for heading in ("figure", "unit"):
        table.add_column(heading, no_wrap=True)
    for heading in ("aim", "median", "min", "max", "repeats"):
        table.add_column(heading, justify="right", no_wrap=True, min_width=6)
    table.add_column("", no_wrap=True, min_width=5)
    for row in rows:
        aim = "" if row.aim is None else f"<= {row.aim:g}"
        spread = (row.median, min(row.values), max(row.values)) if row.values else ()
        cells = [_number(value) for value in spread] or ["", "", ""]
        table.add_row(row.name, row.unit, aim, *cells, str(len(row.values)), row.mark)
    console.print(table)


def _number(value: float) -> str:
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
