"""Makes Gradescope's ``results.json`` of one submission; all its texts are plain text."""

from __future__ import annotations

import json
from typing import Any

from pytest_annmodal.figures import BY_NAME, SENTENCE, standing
from pytest_annmodal.grading import explanations
from pytest_annmodal.grading.grade import Grade, PartGrade, Tried
from pytest_annmodal.grading.outputs.gradebook import Book, Entry, out_of
from pytest_annmodal.grading.submissions import Submission
from pytest_annmodal.outcome import Failure, Measurement
from pytest_annmodal.reports import escape


def text(book: Book, entry: Entry) -> str:
    return json.dumps(results(book, entry), indent=1, allow_nan=False) + "\n"


def results(book: Book, entry: Entry) -> dict[str, Any]:
    """Returns the results; Gradescope's own log, with the submission's output, is hidden."""
    grade, rules = entry.grade, book.rules
    several = len(book.datasets) > 1
    found: dict[str, Any] = {
        "score": round(grade.score, 4),
        "output": _overview(grade),
        "output_format": "text",
        "test_output_format": "text",
        "test_name_format": "text",
        "visibility": rules.visibility,
        "stdout_visibility": "hidden",
        "tests": [
            *(_test(part, rules.visibility, several=several) for part in grade.parts),
            _what_happened(entry, rules.feedback, rules.visibility),
        ],
    }
    if rules.leaderboard:
        found["leaderboard"] = [_standing(name, grade) for name in rules.leaderboard]
    return found


def _overview(grade: Grade) -> str:
    lines = [f"Score: {out_of(grade)}"]
    if grade.status == "incomplete":
        lines.append(
            "INCOMPLETE: something went wrong that is not your fault; you will be graded again."
        )
    if grade.reason:
        lines.append(escape.line(grade.reason))
    return "\n".join(lines)


def _test(part: PartGrade, visibility: str, *, several: bool) -> dict[str, Any]:
    found: dict[str, Any] = {
        "name": f"{part.name} ({part.dataset})" if several else part.name,
        "score": round(part.points, 4),
        "status": "passed" if part.status == "full" else "failed",
        "output": "\n".join(escape.line(why) for why in part.why),
        "visibility": part.visibility or visibility,
    }
    if part.possible is not None:
        found["max_score"] = round(part.possible, 4)
    return found


def _what_happened(entry: Entry, feedback: str, visibility: str) -> dict[str, Any]:
    """Returns a test without points that shows the measured settings and the errors."""
    failed = any(tried.failure for tried in entry.grade.tried)
    return {
        "name": "What was measured",
        "status": "failed" if failed else "passed",
        "output": _details(entry, feedback=feedback),
        "visibility": visibility,
    }


def _standing(name: str, grade: Grade) -> dict[str, Any]:
    if name == "score":
        return {"name": name, "value": round(grade.score, 4)}
    figure = BY_NAME[name]
    value = figure.scaled(grade.mean(figure))
    order = {"order": "asc"} if figure.better == "less" else {}
    shown = "–" if value is None else round(value, 4)
    return {"name": name, "value": shown, **order}


def _details(entry: Entry, *, feedback: str) -> str:
    """Returns one paragraph for each setting."""
    return "\n\n".join(
        "\n".join(_tried(tried, entry.submission, feedback)) for tried in entry.grade.tried
    )


def _tried(tried: Tried, submission: Submission, feedback: str) -> list[str]:
    setting = escape.line(tried.case.variant.label)
    head = f"{tried.case.dataset.name}{f', {setting}' if setting else ''}"
    if tried.measurement is not None:
        return [
            f"{head}{' (this one counts)' if tried.counted else ''}: {_figures(tried.measurement)}"
        ]
    if tried.failure is None:
        return [f"{head}: {escape.line(tried.problem or '')}"]
    return [f"{head}:", *_failure(tried.failure, submission, feedback)]


def _figures(measurement: Measurement) -> str:
    phrases = [figure.say(measurement) for figure in standing(SENTENCE)]
    compared = [] if measurement.comparison is None else [measurement.comparison.words]
    return ", ".join(phrases + compared)


def _failure(failed: Failure, submission: Submission, feedback: str) -> list[str]:
    """Returns kind, message, place, traceback and last output, or only the kind by the rules."""
    lines = [explanations.kind_words(failed)]
    hint = explanations.HINTS.get(failed.kind)
    if feedback != "full":
        return [*lines, *([hint] if hint else [])]
    lines.append(escape.quoted(explanations.message(failed, submission), max_lines=20))
    place = explanations.place(failed, submission)
    if place is not None:
        lines.append(f"at {escape.line(place.words())}")
    lines += [hint] if hint else []
    traceback = explanations.traceback(failed, submission)
    if traceback:
        lines += ["", escape.quoted(traceback, max_lines=explanations.TRACEBACK_LINES, last=True)]
    log = explanations.log_tail(failed)
    if log:
        lines += [
            "",
            "last output:",
            escape.quoted(log, max_lines=explanations.LOG_LINES, last=True),
        ]
    return lines
