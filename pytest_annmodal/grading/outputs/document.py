"""Makes ``grades.json``, version 1; its schema is in docs/grading.md."""

from __future__ import annotations

import json
from typing import Any

from pytest_annmodal.figures import RECORD, standing
from pytest_annmodal.grading import explanations
from pytest_annmodal.grading.grade import Grade, Tried
from pytest_annmodal.grading.outputs.gradebook import Book, Entry
from pytest_annmodal.grading.submissions import Submission
from pytest_annmodal.model import finite, to_plain
from pytest_annmodal.outcome import Failure, Measurement
from pytest_annmodal.reports import escape

SCHEMA = "pytest-annmodal/grades"
VERSION = 1
MAX_WARNING = 2000
FACTS = (  # beside the figures
    "mean_s", "batch_recall", "reported_index_bytes", "rounds", "n_queries", "n_train", "dim",
    "metric", "clock", "n_short_answers", "at_recall",
)  # fmt: skip


def text(book: Book) -> str:
    """Returns strict ASCII JSON: NaN becomes null, unprintable characters are escaped."""
    return json.dumps(finite(document(book)), indent=1, allow_nan=False) + "\n"


def document(book: Book) -> dict[str, Any]:
    rules = book.rules
    return {
        "schema": SCHEMA,
        "version": VERSION,
        "title": rules.title,
        "session": book.session,
        "written": book.written,
        "finished": book.finished,
        "complete": not book.incomplete,
        "where": book.where,
        "warnings": [escape.line(text, MAX_WARNING) for text in book.warnings],
        "rules": {
            "file": rules.path.name,
            "sha256": rules.sha256,
            "formula": rules.score.formula,
            "max_score": rules.max_score,
            "datasets": list(book.datasets),
            "k": book.k,
            "rounds": book.rounds,
        },
        "submissions": [_submission(entry) for entry in book.entries],
    }


def _submission(entry: Entry) -> dict[str, Any]:
    grade: Grade = entry.grade
    return {
        "rank": entry.rank,
        "name": grade.name,
        "path": escape.line(grade.path),
        "sha256": grade.digest,
        "status": grade.status,
        "score": grade.score,
        "max_score": grade.max_score,
        "reason": escape.line(grade.reason),
        "notes": [escape.line(note) for note in grade.notes],
        "parts": [
            {
                "name": part.name,
                "dataset": part.dataset,
                "points": part.points,
                "possible": part.possible,
                "status": part.status,
                "why": [escape.line(why) for why in part.why],
            }
            for part in grade.parts
        ],
        "cases": [_case(tried, entry.submission) for tried in grade.tried],
    }


def _case(tried: Tried, submission: Submission) -> dict[str, Any]:
    case = tried.case
    status = "open" if tried.outcome is None else "failed" if tried.failure else "measured"
    row: dict[str, Any] = {
        "id": escape.line(case.id),
        "dataset": case.dataset.name,
        "k": case.k,
        "setting": escape.line(case.variant.label),
        "status": status,
        "counted": tried.counted,
    }
    if tried.problem is not None:
        row["problem"] = escape.line(tried.problem)
    if tried.measurement is not None:
        row["figures"] = _figures(tried.measurement)
    if tried.failure is not None:
        row["failure"] = _failure(tried.failure, submission)
    return row


def _figures(measurement: Measurement) -> dict[str, Any]:
    figures = {figure.key: figure.measured(measurement) for figure in standing(RECORD)}
    facts = {name: getattr(measurement, name) for name in FACTS}
    notes = [escape.line(note) for note in measurement.notes]
    figures["comparison"] = _harmless(to_plain(measurement.comparison))
    return {**figures, **facts, "notes": notes, "environment": _harmless(measurement.environment)}


def _failure(failure: Failure, submission: Submission) -> dict[str, Any]:
    place = explanations.place(failure, submission)
    return {
        "kind": escape.line(failure.kind),
        "phase": escape.line(failure.phase),
        "message": escape.block(explanations.message(failure, submission), max_lines=20),
        "file": escape.line(place.file) if place else None,
        "line": place.line if place else None,
    }


def _harmless(value: Any) -> Any:
    """Returns plain data with every text escaped."""
    if isinstance(value, dict):
        return {escape.line(key): _harmless(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_harmless(item) for item in value]
    return escape.line(value) if isinstance(value, str) else value
