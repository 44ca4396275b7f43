"""Makes the table of all grades in GitHub's Markdown: ``summary.md`` and the step summary."""

from __future__ import annotations

from pytest_annmodal.figures import CLASS, counted, standing
from pytest_annmodal.grading.outputs.document import MAX_WARNING
from pytest_annmodal.grading.outputs.gradebook import Book, Entry
from pytest_annmodal.reports import escape


def text(book: Book, *, max_rows: int | None = None) -> str:
    rules = book.rules
    titles = [figure.heading for figure in standing(CLASS)]
    datasets = ", ".join(escape.markdown(name) for name in book.datasets)
    lines = [
        f"## Grades: {escape.markdown(rules.title)}",
        "",
        f"{counted(len(book.entries), 'submission')} on {datasets}, k = {book.k}, {book.where}.",
        "",
        *(f"**{escape.markdown(text, MAX_WARNING)}**\n" for text in book.warnings),
        f"| rank | submission | score | {' | '.join(titles)} | what went wrong |",
        f"|---:|---|---:|{'---:|' * len(titles)}---|",
        *(_row(entry) for entry in book.entries[:max_rows]),
    ]
    left_out = len(book.entries) - len(book.entries[:max_rows])
    if left_out:
        lines += ["", f"{left_out} more are in grades.csv."]
    if book.incomplete:
        lines += [
            "",
            f"**{len(book.incomplete)} incomplete:** something was not measured, for a reason",
            "outside the submission. Run the same command with `--ann-resume`.",
        ]
    return "\n".join(lines) + "\n"


def _row(entry: Entry) -> str:
    grade = entry.grade
    reason = "incomplete: " if grade.status == "incomplete" else ""
    cells = (
        entry.place,
        escape.markdown(grade.name),
        entry.points,
        *(figure.cell(grade.mean(figure)) for figure in standing(CLASS)),
        reason + escape.markdown(grade.reason, limit=200),
    )
    return f"| {' | '.join(cells)} |"
