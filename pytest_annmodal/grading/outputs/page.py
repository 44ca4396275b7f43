"""One student's page: the points and why, what was tried and measured, and what broke where.

HTML without scripts or links; everything that the submission said is escaped.
"""

from __future__ import annotations

from pytest_annmodal.figures import TABLE, standing
from pytest_annmodal.grading import explanations
from pytest_annmodal.grading.grade import PartGrade, Tried
from pytest_annmodal.grading.outputs.gradebook import Book, Entry, score_text
from pytest_annmodal.grading.outputs.plain import LOG_LINES, TRACEBACK_LINES
from pytest_annmodal.grading.submissions import Submission
from pytest_annmodal.outcome import Failure
from pytest_annmodal.reports import escape

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse; margin: 1rem 0 } caption { text-align: left; font-weight: 600 }
th, td { border-bottom: 1px solid #ccc; padding: .3rem .6rem; text-align: left }
th, td { vertical-align: top }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums }
pre { background: #f4f4f4; padding: .6rem; overflow-x: auto } ul { margin: 0; padding-left: 1.2rem }
.full { color: #116329 } .failed, .missed { color: #a40e26 } .incomplete { color: #7d4e00 }
"""
# The page is opened from a disk or a web server of the course: nothing in it may run or load.
POLICY = "default-src 'none'; style-src 'unsafe-inline'"
LABELS = {
    "full": "reached",
    "partial": "partly reached",
    "missed": "missed",
    "failed": "failed",
    "incomplete": "not finished",
}


def text(book: Book, entry: Entry) -> str:
    grade = entry.grade
    name = escape.html(grade.name)
    body = [
        f"<h1>{name}: {entry.points}</h1>",
        f"<p>{escape.html(book.rules.title)} · rank {entry.place} of {len(book.entries)} ·",
        f"k = {book.k} · {escape.html(book.written)}</p>",
        *_incomplete(entry),
        *(f"<p>{escape.html(escape.line(note))}</p>" for note in grade.notes),
        *_parts(grade.parts),
        *_tried(grade.tried),
        *_failures(entry, book.rules.feedback),
        f"<p><small>{escape.html(grade.path)}, sha256 {grade.digest or 'not taken'}</small></p>",
    ]
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        f"<title>{name}</title><style>{STYLE}</style></head>\n<body>\n"
        + "\n".join(body)
        + "\n</body></html>\n"
    )


def _incomplete(entry: Entry) -> list[str]:
    if entry.grade.status != "incomplete":
        return []
    return [
        '<p class="incomplete"><strong>This grade is not finished.</strong> Something was not',
        "measured, by no fault of yours; it will be measured again.</p>",
    ]


def _parts(parts: tuple[PartGrade, ...]) -> list[str]:
    rows = []
    for part in parts:
        why = "".join(f"<li>{escape.html(escape.line(item))}</li>" for item in part.why)
        possible = "" if part.possible is None else f" of {score_text(part.possible)}"
        rows.append(
            f"<tr><td>{escape.html(part.name)}</td><td>{escape.html(part.dataset)}</td>"
            f'<td class="n">{score_text(part.points)}{possible}</td>'
            f'<td class="{part.status}">{LABELS[part.status]}</td><td><ul>{why}</ul></td></tr>'
        )
    head = "<tr><th>part</th><th>dataset</th><th>points</th><th></th><th>why</th></tr>"
    return ["<table><caption>Points</caption>", head, *rows, "</table>"]


def _tried(tried: tuple[Tried, ...]) -> list[str]:
    shown = standing(TABLE)
    head = "".join(f'<th class="n">{escape.html(figure.heading)}</th>' for figure in shown)
    rows = []
    for item in tried:
        setting = escape.html(escape.line(item.case.variant.label) or "default")
        start = f"<td>{escape.html(item.case.dataset.name)}</td><td>{setting}</td>"
        measured = item.measurement
        if measured is None:
            what = "failed, see below" if item.failure else "not measured"
            rows.append(f'<tr>{start}<td colspan="{len(shown)}">{what}</td><td></td></tr>')
            continue
        cells = "".join(
            f'<td class="n">{escape.html(figure.cell(figure.measured(measured)))}</td>'
            for figure in shown
        )
        counted = "counts" if item.counted else ""
        rows.append(f"<tr>{start}{cells}<td>{counted}</td></tr>")
    columns = f"<tr><th>dataset</th><th>setting</th>{head}<th></th></tr>"
    return ["<table><caption>What was tried</caption>", columns, *rows, "</table>"]


def _failures(entry: Entry, feedback: str) -> list[str]:
    lines: list[str] = []
    for tried in entry.grade.tried:
        if tried.failure is not None:
            lines.append(f"<h2>{escape.html(escape.line(tried.case.id))}</h2>")
            lines += _failure(tried.failure, entry.submission, feedback)
    return lines


def _failure(failed: Failure, submission: Submission, feedback: str) -> list[str]:
    what = escape.html(explanations.kind_words(failed))
    lines = [f'<p class="failed"><strong>{what[:1].upper()}{what[1:]}.</strong></p>']
    hint = explanations.HINTS.get(failed.kind)
    if hint:
        lines.append(f"<p>{escape.html(hint)}</p>")
    if feedback != "full":
        return lines
    lines.append(_pre(explanations.message(failed, submission), 20))
    place = explanations.place(failed, submission)
    if place is not None:
        lines.append(f"<p>Where: <code>{escape.html(escape.line(place.words()))}</code></p>")
    traceback = explanations.traceback(failed, submission)
    if traceback:
        lines += ["<p>Traceback:</p>", _pre(traceback, TRACEBACK_LINES)]
    log = explanations.log_tail(failed)
    if log:
        lines += ["<p>Last output:</p>", _pre(log, LOG_LINES)]
    return lines


def _pre(words_: str, max_lines: int) -> str:
    return f"<pre>{escape.html(escape.block(words_, max_lines=max_lines, last=True))}</pre>"
