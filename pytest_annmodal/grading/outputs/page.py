"""Makes one student's page: points and reasons, measured settings, and failures with their place.

HTML without scripts or links; ``page.html.j2`` is its template.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_annmodal.figures import TABLE, standing
from pytest_annmodal.grading import explanations
from pytest_annmodal.grading.outputs.gradebook import Book, Entry, score_text
from pytest_annmodal.grading.submissions import Submission
from pytest_annmodal.outcome import Failure, Measurement
from pytest_annmodal.page import student
from pytest_annmodal.page.files import can_draw
from pytest_annmodal.reports import escape

if TYPE_CHECKING:
    import jinja2
    import markupsafe

LABELS = {
    "full": "reached",
    "partial": "partly reached",
    "missed": "missed",
    "failed": "failed",
    "incomplete": "not finished",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """A failure as the page shows it; without a message if the rules show only its kind."""

    what: str
    hint: str
    message: str | None = None
    place: str = ""
    traceback: str = ""
    log: str = ""


def text(book: Book, entry: Entry, classes: Mapping[str, student.Class] | None = None) -> str:
    """Returns the page of one entry.

    Args:
        classes: from :func:`classes_of`, to share it between the pages of one book.
    """
    feedback = book.rules.feedback
    return (
        environment()
        .get_template("page.html.j2")
        .render(
            book=book,
            entry=entry,
            grade=entry.grade,
            figures=standing(TABLE),
            pictures=_pictures(entry, classes_of(book) if classes is None else classes),
            labels=LABELS,
            failures=[
                (tried.case.id, _failed(tried.failure, entry.submission, feedback))
                for tried in entry.grade.tried
                if tried.failure is not None
            ],
            log_lines=explanations.LOG_LINES,
            traceback_lines=explanations.TRACEBACK_LINES,
        )
    )


def classes_of(book: Book) -> dict[str, student.Class]:
    """Returns the results of all submissions by dataset; empty if pictures cannot be drawn."""
    if not can_draw():
        return {}
    return {
        dataset: student.class_of(
            [list(_measured(entry, dataset).values()) for entry in book.entries]
        )
        for dataset in book.datasets
    }


def _pictures(
    entry: Entry, classes: Mapping[str, student.Class]
) -> list[tuple[str, markupsafe.Markup, bool]]:
    """Returns for each dataset its name, picture, and whether that shows the best of the class."""
    import markupsafe

    drawn = []
    for dataset, others in classes.items():
        own = _measured(entry, dataset)
        if not own:
            continue
        counted = [
            escape.line(tried.case.variant.label)
            for tried in entry.grade.tried
            if tried.counted and tried.case.dataset.name == dataset
        ]
        svg = student.picture(own, counted, others)  # which escapes all texts
        drawn.append((dataset, markupsafe.Markup(svg), bool(others.best)))  # noqa: S704
    return drawn


def _measured(entry: Entry, dataset: str) -> dict[str, Measurement]:
    return {
        escape.line(tried.case.variant.label): tried.measurement
        for tried in entry.grade.tried
        if tried.case.dataset.name == dataset
        and tried.measurement is not None
        and math.isfinite(tried.measurement.qps)
    }


@lru_cache(maxsize=1)
def environment() -> jinja2.Environment:
    """Makes the environment of the templates, which escapes all values."""
    import jinja2

    found = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        finalize=_visible,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
    )
    found.filters |= {"line": escape.line, "block": _block, "points": score_text}
    return found


def _visible(value: Any) -> Any:
    """Escapes unprintable characters of a text, before HTML's own escaping."""
    plain = isinstance(value, str) and not hasattr(value, "__html__")  # our own markup has it
    return escape.visible(value, keep="\n") if plain else value


def _block(text: str, max_lines: int) -> str:
    return escape.block(text, max_lines=max_lines, last=True)


def _failed(failure: Failure, submission: Submission, feedback: str) -> Failed:
    what = explanations.kind_words(failure)
    texts = {"what": what[:1].upper() + what[1:], "hint": explanations.HINTS.get(failure.kind, "")}
    if feedback != "full":
        return Failed(**texts)
    place = explanations.place(failure, submission)
    return Failed(
        **texts,
        message=explanations.message(failure, submission),
        place=place.words() if place is not None else "",
        traceback=explanations.traceback(failure, submission),
        log=explanations.log_tail(failure),
    )
