"""The summary table after a run.

Every row is one line. If its label does not fit, the label has its own line and the figures follow
below in the same columns, so nothing is cut off on a narrow terminal.
"""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pytest_annmodal.figures import TABLE, is_number, standing
from pytest_annmodal.outcome import Failure, Measurement
from pytest_annmodal.reports import aligned, below, cold, escape, load, ranking, stand_ins
from pytest_annmodal.reports.aligned import GAP, columns_of, left
from pytest_annmodal.reports.below import Measured
from pytest_annmodal.reports.escape import printable
from pytest_annmodal.results.rows import Row

NOISY = "~ "
MARK_WIDTH = len(NOISY)
HEAD = "implementation"
MIN_LABEL = len(HEAD)  # with less room beside the figures, labels are above them
MAX_LABEL = 72
UNBOUNDED = 160  # columns if the width is unknown: a file, a pipe, a CI log
LEADING_DIRECTORY = re.compile(r"^/[^:]*/(?=[^/:]+: )")


def summary(rows: Sequence[Row], *, width: int | None, color: bool) -> str:
    """Returns one table per dataset and k, with its notes.

    Args:
        width: columns of the terminal, or None if unknown.
        color: whether to use ANSI colours.
    """
    groups: dict[tuple[str, int], list[Row]] = {}
    for row in stand_ins.distinct(rows):
        groups.setdefault((row.dataset, row.k), []).append(row)
    tables = [
        _Table(members, width=width or UNBOUNDED, color=color).text(dataset, k)
        for (dataset, k), members in groups.items()
    ]
    return "\n\n".join(tables)


@dataclass
class _Table:
    """The lines of one dataset's table."""

    rows: Sequence[Row]
    width: int
    color: bool
    lines: list[str] = field(default_factory=list)

    def text(self, dataset: str, k: int) -> str:
        rows = sorted(stand_ins.shown(self.rows), key=_best_first)
        measured = [Measured(row, o) for row in rows if isinstance(o := row.outcome, Measurement)]
        header = [figure.heading for figure in standing(TABLE)]
        cells = [header, *(_cells(one.outcome) for one in measured)]
        head, *shown = aligned.lines(cells, ">" * len(header))
        figures = len(GAP) + len(head)
        longest = max(columns_of(label) for label in (HEAD, *map(_label, rows)))
        room = self.width - MARK_WIDTH - figures
        labels = min(longest, MAX_LABEL, room) if room >= MIN_LABEL else max(min(room, 2), 0)

        self._wrapped(_facts(dataset, k, measured), " · ", style="1")
        if measured:
            self._row(HEAD, head, labels)
            self._line("─" * min(labels + MARK_WIDTH + figures, self.width), style="2")
        for one, line in zip(measured, shown, strict=True):
            mark = NOISY if one.noisy else ""
            self._row(one.label, line, labels, mark=mark)
        for row in rows:
            if isinstance(row.outcome, Failure):
                self._failure(_label(row), row.outcome, labels)
        for line in (
            *ranking.lines(measured),
            *below.comparisons(measured),
            *below.levels(measured),
        ):
            self._wrapped(line.split(" "), " ", indent=" " * MARK_WIDTH)
        for line in (*cold.lines(measured), *load.lines(measured)):
            self._wrapped(line.split(" "), " ", indent=" " * MARK_WIDTH)
        for note in (
            *map(printable, stand_ins.lines(self.rows)),
            *below.notes(measured),
            *load.machine_notes(measured),
        ):
            self._wrapped(note.split(" "), " ", indent=" " * MARK_WIDTH, style="2")
        return "\n".join(self.lines)

    def _row(self, label: str, figures: str, labels: int, *, mark: str = "") -> None:
        start = f"{mark:{MARK_WIDTH}}"
        if columns_of(label) <= labels and labels >= MIN_LABEL:
            self._line(f"{start}{left(label, labels)}{GAP}{figures}")
        else:
            self._line(f"{start}{label}")
            self._line(" " * (MARK_WIDTH + labels) + GAP + figures)

    def _failure(self, label: str, failure: Failure, labels: int) -> None:
        first = next(iter(failure.message.splitlines()), "")
        first = LEADING_DIRECTORY.sub("", first)
        text = printable(f"failed ({failure.kind}): {first}").removesuffix(": ")
        if MARK_WIDTH + max(columns_of(label), labels) + len(GAP) + len(text) <= self.width:
            self._line(f"{'':{MARK_WIDTH}}{left(label, labels)}{GAP}{text}", style="31")
            return
        self._line(f"{'':{MARK_WIDTH}}{label}", style="31")
        indent = " " * (MARK_WIDTH + 2)
        self._line(indent + textwrap.shorten(text, self.width - len(indent), placeholder="…"), "31")

    def _wrapped(
        self, parts: Iterable[str], separator: str, *, style: str = "", indent: str = ""
    ) -> None:
        """Adds lines that break only between parts; continuations are indented."""
        line, more, end = "", indent or " " * 4, separator.rstrip()
        *others, last = parts
        for part in (*(f"{other}{end}" for other in others), last):
            candidate = f"{line} {part}" if line else f"{indent}{part}"
            if line and columns_of(candidate) > self.width:
                self._line(line, style)
                candidate = f"{more}{part}"
            line = candidate
        self._line(line, style)

    def _line(self, text: str, style: str = "") -> None:
        text = escape.told(printable(text.rstrip()))
        self.lines.append(f"\x1b[{style}m{text}\x1b[0m" if self.color and style else text)


def _cells(measurement: Measurement) -> list[str]:
    return [figure.cell(figure.measured(measurement)) for figure in standing(TABLE)]


def _label(row: Row) -> str:
    return printable(row.label)


def _best_first(row: Row) -> tuple[int, float]:
    """Returns the sort key: fastest first, then those below the target recall, then failures."""
    if isinstance(row.outcome, Failure):
        return 2, 0.0
    qps, tuned = row.outcome.qps, row.outcome.tuned
    missed = tuned is not None and not tuned.reached
    return int(missed), -qps if is_number(qps) else math.inf


def _facts(dataset: str, k: int, measured: Sequence[Measured]) -> list[str]:
    """Returns the heading of a table: what its rows have in common."""
    if not measured:
        return [dataset, f"k={k}"]
    outcomes = [one.outcome for one in measured]
    first = outcomes[0]
    rounds = sorted({outcome.rounds for outcome in outcomes})
    return [
        dataset,
        f"{first.n_train:,} × {first.dim}",
        first.metric,
        f"k={k}",
        f"{first.n_queries:,} quer{'y' if first.n_queries == 1 else 'ies'} × {_span(rounds)}",
        _threads([outcome.environment for outcome in outcomes]),
        "/".join(sorted({one.row.where for one in measured})),
        "clock: " + "/".join(sorted({outcome.clock for outcome in outcomes})),
    ]


def _threads(environments: Sequence[Mapping[str, Any]]) -> str:
    """Returns the number of threads, and the cores of builds and batches and of single queries."""
    threads = sorted({seen.get("threads", 1) for seen in environments})
    if threads == [1]:
        return "1 thread"
    given = sorted({len(seen.get("worker_cores", ())) for seen in environments})
    single = sorted({seen.get("query_cores", 0) for seen in environments})
    few = f" on {_cores(given)}" if given[0] > 0 and given[-1] < threads[0] else ""
    alone = f" (single queries: {_cores(single)})" if single[0] else ""
    return f"{_span(threads)} threads{few}{alone}"


def _cores(numbers: Sequence[int]) -> str:
    return f"{_span(numbers)} core{'' if numbers == [1] else 's'}"


def _span(values: Sequence[int]) -> str:
    return str(values[0]) if len(values) == 1 else f"{values[0]}–{values[-1]}"
