"""Makes ``grades.csv``: one row per submission; no cell is read as a formula."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable

from pytest_annmodal.figures import CSV, standing
from pytest_annmodal.grading.outputs.gradebook import Book, Entry
from pytest_annmodal.reports import escape

Value = float | int | str | None
BEFORE: dict[str, Callable[[Entry], Value]] = {
    "rank": lambda e: e.rank,
    "submission": lambda e: e.grade.name,
    "path": lambda e: e.grade.path,
    "status": lambda e: e.grade.status,
    "score": lambda e: round(e.grade.score, 4),
    "max_score": lambda e: e.grade.max_score,
}  # the figures stand between
AFTER: dict[str, Callable[[Entry], Value]] = {
    "reason": lambda e: e.grade.reason,
    "sha256": lambda e: e.grade.digest,
}


def _cell(value: Value) -> Value:
    if isinstance(value, float):
        return f"{value:.6g}"
    return escape.csv_cell(value) if isinstance(value, str) else value


def text(book: Book) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([*BEFORE, *(figure.name for figure in standing(CSV)), *AFTER])
    for entry in book.entries:
        values = [value(entry) for value in BEFORE.values()]
        values += [figure.scaled(entry.grade.mean(figure)) for figure in standing(CSV)]
        values += [value(entry) for value in AFTER.values()]
        writer.writerow(map(_cell, values))
    return stream.getvalue()
