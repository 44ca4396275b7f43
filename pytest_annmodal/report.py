"""The summary table after a run. Each function here is one output format."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

MIN_WIDTH = 132  # what the longest usual row needs; rich would cut columns off
Row = Mapping[str, Any]  # label, dataset, where, and outcome: a plain Measurement or Failure


def duration(seconds: float) -> str:
    """Three digits and the unit that fits: ``12.3 µs``."""
    for unit, factor in (("ns", 1e9), ("µs", 1e6), ("ms", 1e3)):
        if abs(seconds) * factor < 1000:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds:.3g} s" if seconds < 1000 else f"{seconds:,.0f} s"


def size(n_bytes: float) -> str:
    """Decimal megabytes, as disks and clouds count: ``1.2 MB``."""
    return f"{n_bytes / 1e6:,.1f} MB"


def rate(per_s: float | None) -> str:
    """``12,345``, or a dash where there is none."""
    if per_s is None:
        return "–"
    return f"{per_s:,.0f}" if per_s >= 10 else f"{per_s:.2g}"


def summary(rows: Sequence[Row], *, width: int, color: bool) -> str:
    """One table per dataset: recall, QPS, latency, batch, build, memory; then the notes."""
    from rich.console import Console

    buffer = io.StringIO()
    console = Console(
        file=buffer,
        width=max(width, MIN_WIDTH),
        force_terminal=color,
        color_system="standard" if color else None,
        highlight=False,
        legacy_windows=False,
    )
    groups: dict[tuple[str, int], list[Row]] = {}
    for row in rows:
        groups.setdefault((row["dataset"], row["k"]), []).append(row)
    for (dataset, k), members in groups.items():
        console.print()
        console.print(_table(dataset, k, members))
        for note in _notes(members):
            console.print(f"  {note}", style="dim", markup=False)
    return "\n".join(line.rstrip() for line in buffer.getvalue().splitlines())


def _table(dataset: str, k: int, rows: Sequence[Row]) -> Any:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(
        title=_title(dataset, k, rows),
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=(0, 2, 0, 0),
    )
    table.add_column("implementation", overflow="fold", min_width=24)
    for name in ("recall", "QPS", "p50", "p95", "p99", "batch QPS", "build", "index"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in sorted(rows, key=_best_first):
        outcome = row["outcome"]
        if "kind" in outcome:
            table.add_row(Text(row["label"]), Text(f"failed: {outcome['kind']}", style="red"))
        else:
            table.add_row(Text(row["label"]), *_cells(outcome))
    return table


def _cells(outcome: Mapping[str, Any]) -> list[str]:
    return [
        f"{outcome['recall']:.4f}",
        rate(outcome["qps"]),
        *(duration(outcome[name]) for name in ("p50_s", "p95_s", "p99_s")),
        rate(outcome["batch_qps"]),
        duration(outcome["build_s"]),
        size(outcome["index_bytes"]),
    ]


def _best_first(row: Row) -> tuple[bool, float]:
    outcome = row["outcome"]
    return "kind" in outcome, -outcome.get("qps", 0.0)


def _title(dataset: str, k: int, rows: Sequence[Row]) -> str:
    parts = [dataset]
    measured = [row for row in rows if "kind" not in row["outcome"]]
    if measured:
        first = measured[0]["outcome"]
        threads = first["environment"].get("threads", 1)
        parts += [
            f"{first['n_train']:,} × {first['dim']}",
            first["metric"],
            f"k={k}",
            f"{first['n_queries']:,} queries × {first['rounds']}",
            f"{threads} thread{'s' if threads != 1 else ''}",
            "/".join(sorted({row["where"] for row in measured})),
            "clock: " + "/".join(sorted({row["outcome"]["clock"] for row in measured})),
        ]
    return " · ".join(parts)


def _notes(rows: Sequence[Row]) -> list[str]:
    """Each note once, with the rows it holds for unless it holds for all."""
    holders: dict[str, list[str]] = {}
    measured = [row for row in rows if "kind" not in row["outcome"]]
    for row in measured:
        for note in row["outcome"]["notes"]:
            holders.setdefault(note, []).append(row["label"])
    return [
        note if len(names) == len(measured) else f"{', '.join(names)}: {note}"
        for note, names in holders.items()
    ]
