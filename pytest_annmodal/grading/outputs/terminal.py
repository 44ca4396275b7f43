"""The table at the end of a session."""

from __future__ import annotations

import textwrap

from pytest_annmodal.figures import CLASS, standing
from pytest_annmodal.grading.outputs.gradebook import Book, Entry
from pytest_annmodal.reports import escape

MAX_NAME = 40
UNBOUNDED = 160
MIN_REASON = 50
GAP = "  "


def table(book: Book, *, width: int | None) -> list[str]:
    """Best first, one line per submission; a reason that has no room beside it stands below it.

    There it has at most two lines of the terminal's width.
    """
    titles = (figure.heading for figure in standing(CLASS))
    header = ("rank", "submission", "score", *titles, "what went wrong")
    rows = [header, *(_row(entry) for entry in book.entries)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)][:-1]
    left = sum(widths) + len(GAP) * len(widths)
    room = (width or UNBOUNDED) - left
    indent = " " * (widths[0] + len(GAP))
    lines = []
    for cells in rows:
        first = f"{cells[0]:>{widths[0]}}{GAP}{cells[1]:{widths[1]}}"
        numbers = "".join(
            f"{GAP}{cell:>{size}}" for cell, size in zip(cells[2:-1], widths[2:], strict=True)
        )
        if len(cells[-1]) <= room:
            lines.append(f"{first}{numbers}{GAP}{cells[-1]}".rstrip())
        else:
            below = max((width or UNBOUNDED) - len(indent), MIN_REASON)
            reason = textwrap.wrap(cells[-1], below, max_lines=2, placeholder=" …")
            lines += [f"{first}{numbers}", *(f"{indent}{line}" for line in reason)]
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
