"""The table at the end of a session."""

from __future__ import annotations

import textwrap

from pytest_annmodal.figures import CLASS, standing
from pytest_annmodal.grading.outputs.gradebook import Book, Entry, out_of
from pytest_annmodal.reports import escape

MAX_NAME = 40
UNBOUNDED = 160
MIN_REASON = 50
GAP = "  "


def table(book: Book, *, width: int | None) -> list[str]:
    """Best first, one line per submission, or two where its reason has too little room beside it.

    Long reasons are cut to the terminal's width.
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
        if room >= MIN_REASON or len(cells[-1]) <= room:
            reason = textwrap.shorten(cells[-1], room, placeholder="…")
            lines.append(f"{first}{numbers}{GAP}{reason}".rstrip())
        else:
            below = max((width or UNBOUNDED) - len(indent), MIN_REASON)
            reason = textwrap.shorten(cells[-1], below, placeholder="…")
            lines += [f"{first}{numbers}", f"{indent}{reason}"]
    return lines


def _row(entry: Entry) -> tuple[str, ...]:
    grade = entry.grade
    mark = "incomplete: " if grade.status == "incomplete" else ""
    return (
        str(entry.rank),
        escape.line(grade.name, MAX_NAME),
        out_of(grade),
        *(figure.cell(grade.mean(figure)) for figure in standing(CLASS)),
        mark + escape.terminal(escape.line(grade.reason)),
    )
