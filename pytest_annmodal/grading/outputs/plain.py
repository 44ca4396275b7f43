"""What was tried and what happened, as plain text: for Gradescope."""

from __future__ import annotations

from pytest_annmodal.figures import SENTENCE, standing
from pytest_annmodal.grading import explanations
from pytest_annmodal.grading.grade import Tried
from pytest_annmodal.grading.outputs.gradebook import Entry
from pytest_annmodal.grading.submissions import Submission
from pytest_annmodal.outcome import Failure, Measurement
from pytest_annmodal.reports import escape

LOG_LINES = 20
TRACEBACK_LINES = 60


def details(entry: Entry, *, feedback: str) -> str:
    """Every setting that was tried, one paragraph each."""
    return "\n\n".join(
        "\n".join(_tried(tried, entry.submission, feedback)) for tried in entry.grade.tried
    )


def _tried(tried: Tried, submission: Submission, feedback: str) -> list[str]:
    setting = escape.line(tried.case.variant.label)
    head = f"{tried.case.dataset.name}{f', {setting}' if setting else ''}"
    if tried.measurement is not None:
        return [
            f"{head}{' (this one counts)' if tried.counted else ''}: {figures(tried.measurement)}"
        ]
    if tried.failure is None:
        return [f"{head}: {escape.line(tried.problem or '')}"]
    return [f"{head}:", *failure(tried.failure, submission, feedback)]


def figures(measurement: Measurement) -> str:
    phrases = [figure.say(measurement) for figure in standing(SENTENCE)]
    compared = [] if measurement.comparison is None else [measurement.comparison.words]
    return ", ".join(phrases + compared)


def failure(failed: Failure, submission: Submission, feedback: str) -> list[str]:
    """What happened, where, the traceback and the last output; only the kind where so ruled."""
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
        lines += ["", escape.quoted(traceback, max_lines=TRACEBACK_LINES, last=True)]
    log = explanations.log_tail(failed)
    if log:
        lines += ["", "last output:", escape.quoted(log, max_lines=LOG_LINES, last=True)]
    return lines
