r"""Tables of stored cases for readers: Markdown, and LaTeX without packages.

One table for each dataset, k and machine, the best recall first; columns without values are left
out.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from pytest_annmodal.figures import FIGURES, Figure, share
from pytest_annmodal.reports import escape
from pytest_annmodal.reports.columns import figure_of
from pytest_annmodal.results.choice import asked_of, several_contents
from pytest_annmodal.results.stored import StoredCase

SHA_DIGITS = 8
WERE_NOISY = "were noisy: other processes used the core, and latencies may be too high."
UNITS_IN_HEADS = ("ms", "s", "MB")
ACCENTS = dict(zip("\u0300\u0301\u0302\u0303\u0308\u030a\u0327\u030c", "`'^~\"rcv", strict=True))
LATEX = {
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "''",
    **{
        sign: f"{{{sign}}}" for sign in "-`[]*"
    },  # two hyphens are a dash; [ and * follow a row's end
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Cells as unescaped text; the first column is the setting."""

    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...]  # what a reader of the figures must know
    failures: tuple[tuple[str, str], ...]  # the setting, and its error


def tables(cases: Iterable[StoredCase]) -> list[Table]:
    """Returns one table for each dataset, k and machine."""
    groups: dict[tuple[object, ...], list[StoredCase]] = {}
    for case in cases:
        groups.setdefault(asked_of(case), []).append(case)
    twice = several_contents(first for (first, *_) in groups.values())
    return [_table(members, twice) for members in groups.values()]


def _table(cases: Sequence[StoredCase], twice: Collection[str]) -> Table:
    measured = [case for case in cases if case.failure is None]
    measured.sort(key=lambda case: (-(case.recall or 0), -(case.qps or 0)))
    figures = [
        figure
        for figure in FIGURES
        if any(figure_of(figure, case) is not None for case in measured)
    ]
    n_noisy = sum(case.is_noisy for case in measured)
    noisy = f"{n_noisy} of {len(measured)} settings {WERE_NOISY}"
    return Table(
        caption=caption(cases, twice),
        head=("setting", *map(_head, figures)),
        rows=tuple(
            (case.label, *(_cell(figure, figure_of(figure, case)) for figure in figures))
            for case in measured
        ),
        notes=(noisy,) if n_noisy else (),
        failures=tuple(
            (case.label, f"{case.failure.kind}: {case.failure.message}")
            for case in cases
            if case.failure is not None
        ),
    )


def caption(cases: Sequence[StoredCase], twice: Collection[str] = ()) -> str:
    """Returns what all cases of one table have in common.

    Args:
        twice: dataset names with several contents.
    """
    known = next((case for case in cases if case.n_train), cases[0])
    size = f"{known.n_train:,} × {known.dim}" if known.n_train and known.dim else ""
    content = f"content {(known.dataset_sha256 or '?')[:SHA_DIGITS]}"
    foreign = f"measured by {known.source}" if known.is_foreign else ""
    parts = (
        known.dataset,
        content if known.dataset in twice else "",
        size,
        known.metric or "",
        f"k = {known.k}",
        f"sample of {known.subset:,} vectors" if known.subset else "",
        f"queries {known.queries}" if known.queries else "",
        f"sample of {known.query_sample:,} queries" if known.query_sample else "",
        f"queries in {known.query_order} order" if known.query_order != "file" else "",
        "after a cold first pass" if known.cold else "",
        foreign,
        known.machine or ("on another machine" if known.is_foreign else ""),
    )
    return ", ".join(part for part in parts if part)


def _head(figure: Figure) -> str:
    """Returns a heading such as ``recall``, ``QPS`` or ``p50 (ms)``."""
    return f"{figure.heading} ({figure.unit})" if figure.unit in UNITS_IN_HEADS else figure.heading


def _cell(figure: Figure, value: float | None) -> str:
    if value is None:
        return ""
    if figure.cell is share:
        return share(value)
    return figure.show(value).removesuffix(figure.unit).strip()


def markdown(cases: Iterable[StoredCase]) -> str:
    """Returns tables in GitHub's Markdown, with all text of submissions escaped."""
    return "\n".join(map(_markdown, tables(cases)))


def _markdown(table: Table) -> str:
    lines = [f"**{escape.markdown(table.caption)}**", ""]
    if table.rows:
        lines += [
            _markdown_row(table.head),
            "|---|" + "---:|" * (len(table.head) - 1),
            *map(_markdown_row, table.rows),
            "",
        ]
    lines += [f"- {note}" for note in table.notes]
    lines += [
        f"- {escape.markdown(label)}: {escape.markdown(why)}" for label, why in table.failures
    ]
    return "\n".join(lines).rstrip() + "\n"


def _markdown_row(cells: Sequence[str]) -> str:
    """Returns a row; only the first cell needs escaping, the others are ours."""
    return f"| {' | '.join((escape.markdown(cells[0]), *cells[1:]))} |"


def latex(cases: Iterable[StoredCase]) -> str:
    r"""Returns a document that compiles as it is, or can be ``\input`` into another one."""
    body = "\n".join(map(_latex, tables(cases)))
    return f"{BEGIN}\n{body}\n{END}\n"


# Whether \begin{document} was seen: after it, LaTeX's own \@nodocument is \relax.
BEGIN = r"""% Written by annmodal export. Compile it as it is, or \input it into a document.
\makeatletter
\ifx\@nodocument\relax
  \let\annmodalend\relax
\else
  \documentclass{article}
  \def\annmodalend{\end{document}}
  \begin{document}
\fi
\makeatother"""
END = r"\annmodalend"


def _latex(table: Table) -> str:
    lines = [r"\begin{table}[htbp]", rf"\caption{{{escape_latex(table.caption)}}}"]
    if table.rows:
        lines += [
            r"\centering\footnotesize\setlength{\tabcolsep}{4pt}",
            rf"\begin{{tabular}}{{l{'r' * (len(table.head) - 1)}}}",
            r"\hline",
            _latex_row(table.head),
            r"\hline",
            *map(_latex_row, table.rows),
            r"\hline",
            r"\end{tabular}",
        ]
    lines += [rf"\par {escape_latex(note)}" for note in table.notes]
    lines += [rf"\par {escape_latex(label)}: {escape_latex(why)}" for label, why in table.failures]
    return "\n".join((*lines, r"\end{table}"))


def _latex_row(cells: Sequence[str]) -> str:
    return " & ".join(escape_latex(cell) for cell in cells) + r" \\"


def escape_latex(text: str) -> str:
    """Escapes one line of text for LaTeX: no commands, only ASCII characters."""
    safe = escape.line(text).replace("×", "\0x\0")
    safe = "".join(LATEX.get(sign, sign) for sign in safe).replace("\0x\0", r"$\times$")
    return re.sub(r"[^ -~]", _beyond_ascii, safe)


def _beyond_ascii(found: re.Match[str]) -> str:
    """Returns an accented letter in LaTeX, or ``<U+6F22>`` for other characters."""
    signs = unicodedata.normalize("NFD", found[0])
    base, accents = signs[0], signs[1:]
    if base.isascii() and base.isalpha() and accents in ACCENTS:
        return rf"\{ACCENTS[accents]}{{{base}}}"
    return rf"\textless{{}}U+{ord(found[0]):04X}\textgreater{{}}"
