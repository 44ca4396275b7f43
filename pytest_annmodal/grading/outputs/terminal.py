"""Makes the table of grades at the end of a session."""

from __future__ import annotations

import textwrap

from pytest_annmodal.figures import CLASS, standing
from pytest_annmodal.grading.outputs.gradebook import Book, Entry
from pytest_annmodal.reports import aligned, escape
from pytest_annmodal.reports.aligned import GAP, columns_of

MAX_NAME = 40
UNBOUNDED = 160
MIN_REASON = 50


def table(book: Book, *, width: int | None) -> list[str]:
    """Returns one line per submission, best first; a long reason is below in up to two lines."""
    titles = (figure.heading for figure in standing(CLASS))
    header = ("rank", "submission", "score", *titles, "what went wrong")
    rows = [header, *(_row(entry) for entry in book.entries)]
    starts = aligned.lines([row[:-1] for row in rows], "><" + ">" * (len(header) - 3))
    room = (width or UNBOUNDED) - columns_of(starts[0]) - len(GAP)
    indent = " " * max(columns_of(row[0]) for row in rows) + GAP
    lines = []
    for start, cells in zip(starts, rows, strict=True):
        if columns_of(cells[-1]) <= room:
            lines.append(f"{start}{GAP}{cells[-1]}".rstrip())
        else:
            below = max((width or UNBOUNDED) - len(indent), MIN_REASON)
            reason = textwrap.wrap(cells[-1], below, max_lines=2, placeholder=" …")
            lines += [start, *(f"{indent}{line}" for line in reason)]
    return lines


def _row(entry: Entry) -> tuple[str, ...]:
    grade = entry.grade
    mark = "incomplete: " if grade.status == "incomplete" else ""
    return (
        entry.place,
        escape.line(grade.name, MAX_NAME),
        entry.points,
        *(figure.cell(grade.mean(figure)) for figure in standing(CLASS)),
        mark + escape.terminal(escape.line(grade.reason)),
    )
