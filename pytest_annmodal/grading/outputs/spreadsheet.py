"""``grades.csv``: one row per submission; no cell is a formula."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable

from pytest_annmodal.grading.outputs.gradebook import Book, Entry
from pytest_annmodal.reports import escape

Value = float | int | str | None
COLUMNS: dict[str, Callable[[Entry], Value]] = {
    "rank": lambda e: e.rank,
    "submission": lambda e: e.grade.name,
    "path": lambda e: e.grade.path,
    "status": lambda e: e.grade.status,
    "score": lambda e: round(e.grade.score, 4),
    "max_score": lambda e: e.grade.max_score,
    "recall": lambda e: e.grade.figure("recall"),
    "qps": lambda e: e.grade.figure("qps"),
    "p50_ms": lambda e: _scaled(e.grade.figure("p50_s"), 1e3),
    "p99_ms": lambda e: _scaled(e.grade.figure("p99_s"), 1e3),
    "build_s": lambda e: e.grade.figure("build_s"),
    "index_mb": lambda e: _scaled(e.grade.figure("index_bytes"), 1e-6),
    "reason": lambda e: e.grade.reason,
    "sha256": lambda e: e.grade.digest,
}


def _scaled(value: float | None, factor: float) -> float | None:
    return None if value is None else value * factor


def _cell(value: Value) -> Value:
    if isinstance(value, float):
        return f"{value:.6g}"
    return escape.csv_cell(value) if isinstance(value, str) else value


def text(book: Book) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(COLUMNS)
    for entry in book.entries:
        writer.writerow([_cell(value(entry)) for value in COLUMNS.values()])
    return stream.getvalue()
