"""The summary table after a run. Each public function here is one output format, or a unit of it.

Every row is one line, unless its label does not fit: then the label has a line of its own and
the figures follow below, in the same columns. Nothing is cut off on a narrow terminal.
"""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pytest_annmodal import surprises
from pytest_annmodal.figures import TABLE, counted, duration, is_number, share, standing
from pytest_annmodal.reports import escape, stand_ins
from pytest_annmodal.reports.comparisons import comparison_lines, level_lines

Row = Mapping[str, Any]  # as replay.row makes it; outcome is a plain Measurement or Failure

NOISY = "~ "
MARK_WIDTH = len(NOISY)
GAP = "  "
HEAD = "implementation"
MIN_LABEL = len(HEAD)  # with less room beside the figures, every label stands above them
MAX_LABEL = 72
UNBOUNDED = 160  # columns where nobody says how many there are: a file, a pipe, a CI log
MAX_NAMES = 3  # of rows that a note is for
BATCH_RECALL_DIFFERS = 0.005
LEADING_DIRECTORY = re.compile(r"^/[^:]*/(?=[^/:]+: )")
# Notes of a measurement that the table tells in its own way.
TOLD_OTHERWISE = ("noisy:", "answers had fewer ids")


def summary(rows: Sequence[Row], *, width: int | None, color: bool) -> str:
    """One table per dataset and k: recall, QPS, latency, batch, build, memory; then its notes.

    Args:
        width: columns of the terminal, or None where long lines do no harm.
        color: whether to use ANSI colours.
    """
    groups: dict[tuple[str, int], list[Row]] = {}
    for row in stand_ins.distinct(rows):
        groups.setdefault((row["dataset"], row["k"]), []).append(row)
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
        measured = [row for row in rows if not _failed(row)]
        cells = {id(row): _cells(row["outcome"]) for row in measured}
        header = [figure.heading for figure in standing(TABLE)]
        widths = [max(map(len, column)) for column in zip(header, *cells.values(), strict=True)]
        figures = sum(widths) + len(GAP) * len(widths)
        longest = max(len(label) for label in (HEAD, *map(_label, rows)))
        room = self.width - MARK_WIDTH - figures
        labels = min(longest, MAX_LABEL, room) if room >= MIN_LABEL else max(min(room, 2), 0)

        self._wrapped(_facts(dataset, k, measured), " · ", style="1")
        if measured:
            self._row(HEAD, _joined(header, widths), labels)
            self._line("─" * min(labels + MARK_WIDTH + figures, self.width), style="2")
        for row in rows:
            if _failed(row):
                self._failure(row, labels)
            else:
                mark = NOISY if _noisy(row) else ""
                self._row(_label(row), _joined(cells[id(row)], widths), labels, mark=mark)
        named = [(_label(row), row["outcome"]) for row in measured]
        builds = [(printable(row["build"]), row["outcome"]) for row in measured]
        for line in (*comparison_lines(named), *level_lines(builds)):
            self._wrapped(line.split(" "), " ", indent=" " * MARK_WIDTH)
        for note in (*map(printable, stand_ins.lines(self.rows)), *_notes(measured)):
            self._wrapped(note.split(" "), " ", indent=" " * MARK_WIDTH, style="2")
        return "\n".join(self.lines)

    def _row(self, label: str, figures: str, labels: int, *, mark: str = "") -> None:
        start = f"{mark:{MARK_WIDTH}}"
        if len(label) <= labels and labels >= MIN_LABEL:
            self._line(f"{start}{label:{labels}}{figures}")
        else:
            self._line(f"{start}{label}")
            self._line(" " * (MARK_WIDTH + labels) + figures)

    def _failure(self, row: Row, labels: int) -> None:
        outcome = row["outcome"]
        first = next(iter(str(outcome.get("message", "")).splitlines()), "")
        first = LEADING_DIRECTORY.sub("", first)
        text = printable(f"failed ({outcome['kind']}): {first}").removesuffix(": ")
        label = _label(row)
        if MARK_WIDTH + max(len(label), labels) + len(GAP) + len(text) <= self.width:
            self._line(f"{'':{MARK_WIDTH}}{label:{labels}}{GAP}{text}", style="31")
            return
        self._line(f"{'':{MARK_WIDTH}}{label}", style="31")
        indent = " " * (MARK_WIDTH + 2)
        self._line(indent + textwrap.shorten(text, self.width - len(indent), placeholder="…"), "31")

    def _wrapped(
        self, parts: Iterable[str], separator: str, *, style: str = "", indent: str = ""
    ) -> None:
        """Break only between parts; a continuation is indented."""
        line, more, end = "", indent or " " * 4, separator.rstrip()
        *others, last = parts
        for part in (*(f"{other}{end}" for other in others), last):
            candidate = f"{line} {part}" if line else f"{indent}{part}"
            if line and len(candidate) > self.width:
                self._line(line, style)
                candidate = f"{more}{part}"
            line = candidate
        self._line(line, style)

    def _line(self, text: str, style: str = "") -> None:
        text = escape.told(printable(text.rstrip()))
        self.lines.append(f"\x1b[{style}m{text}\x1b[0m" if self.color and style else text)


def _joined(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "".join(f"{GAP}{cell:>{width}}" for cell, width in zip(cells, widths, strict=True))


def _cells(outcome: Mapping[str, Any]) -> list[str]:
    return [figure.cell(outcome.get(figure.key)) for figure in standing(TABLE)]


def _failed(row: Row) -> bool:
    return "kind" in row["outcome"]


def _noisy(row: Row) -> bool:
    return any(note.startswith("noisy:") for note in row["outcome"].get("notes", ()))


def _label(row: Row) -> str:
    return printable(str(row["label"]))


def printable(text: str) -> str:
    """A submission's parameters and messages are somebody's words: no control characters."""
    return "".join(char if char.isprintable() else "?" for char in text)


def _best_first(row: Row) -> tuple[bool, float]:
    qps = row["outcome"].get("qps")
    return _failed(row), -qps if is_number(qps) else math.inf


def _facts(dataset: str, k: int, measured: Sequence[Row]) -> list[str]:
    """What heads a table: everything that its rows have in common."""
    if not measured:
        return [dataset, f"k={k}"]
    outcomes = [row["outcome"] for row in measured]
    first = outcomes[0]
    rounds = sorted({outcome["rounds"] for outcome in outcomes})
    return [
        dataset,
        f"{first['n_train']:,} × {first['dim']}",
        first["metric"],
        f"k={k}",
        f"{first['n_queries']:,} quer{'y' if first['n_queries'] == 1 else 'ies'} × {_span(rounds)}",
        _threads([outcome["environment"] for outcome in outcomes]),
        "/".join(sorted({row["where"] for row in measured})),
        "clock: " + "/".join(sorted({outcome["clock"] for outcome in outcomes})),
    ]


def _threads(environments: Sequence[Mapping[str, Any]]) -> str:
    """How many were asked for, on how many cores builds and batches ran, and single queries."""
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


def _notes(measured: Sequence[Row]) -> list[str]:
    """One line per kind of note, with the rows it is for unless it is for all."""
    holders: dict[str, list[str]] = {}
    for row in measured:
        for note in row["outcome"].get("notes", ()):
            if not any(words in note for words in TOLD_OTHERWISE):
                holders.setdefault(printable(note), []).append(_label(row))
    plain = [
        note if len(labels) == len(measured) else f"{_some(labels)}: {note}"
        for note, labels in holders.items()
    ]
    return [*_noise(measured), *_clocks(measured), *_short(measured), *_batch(measured), *plain]


def _some(labels: Sequence[str]) -> str:
    """The first few of them."""
    distinct = list(dict.fromkeys(labels))
    shown = ", ".join(distinct[:MAX_NAMES])
    rest = len(distinct) - MAX_NAMES
    return f"{shown} and {rest} more" if rest > 0 else shown


def _noise(measured: Sequence[Row]) -> list[str]:
    noisy = [row["outcome"]["environment"] for row in measured if _noisy(row)]
    if not noisy:
        return []

    def most(name: str) -> float:
        return max(float(seen.get(name, 0.0)) for seen in noisy)

    uncertain = max(float(row["outcome"].get("uncertain_share") or 0.0) for row in measured)
    held_up = most("throttled_s")
    waited = duration(most("worker_waited"))  # of all its threads
    cores = noisy[0].get("affinity_cores", noisy[0].get("cores", "?"))
    n_switches = int(most("involuntary_switches") + most("parent_switches"))
    switches = counted(n_switches, "involuntary context switch", "involuntary context switches")
    facts = (
        (n_switches, f"up to {switches} while queries were timed"),
        (most("worker_waited") >= 0.005, f"up to {waited} waiting for a core in each second"),
        (uncertain >= 0.0005, f"{uncertain:.1%} of the samples uncertain"),
        (held_up > 0, f"held up for {duration(held_up)} by the CPU quota"),
        (True, f"load average up to {most('load_1min'):.1f} on {cores} cores"),
    )
    told = ", ".join(text for holds, text in facts if holds)
    return [f"~ noisy: {told}; latencies may be too high"]


def _clocks(measured: Sequence[Row]) -> list[str]:
    by_parent = [row for row in measured if row["outcome"]["clock"] == "parent"]
    if len(by_parent) in (0, len(measured)):
        return []
    names = _some([_label(row).split("[")[0] for row in by_parent])
    return [f"clock: the parent's for {names} (its figures include the mailbox), else the worker's"]


def _short(measured: Sequence[Row]) -> list[str]:
    by_bound: dict[str, list[Row]] = {}
    for row in measured:
        if row["outcome"].get("n_short_answers"):
            by_bound.setdefault(row["outcome"].get("bounded_by", ""), []).append(row)
    return [_short_by(bound, rows) for bound, rows in by_bound.items()]


def _short_by(bound: str, rows: Sequence[Row]) -> str:
    """Of the rows whose answers one parameter bounds."""
    worst = max((row["outcome"] for row in rows), key=lambda seen: seen["n_short_answers"])
    total = worst["n_queries"] * worst["rounds"]
    by = f" ({printable(bound)} bounds them)" if bound else ""
    return (
        f"short answers: up to {worst['n_short_answers']:,} of {total:,} had fewer than k ids{by}, "
        f"and recall counts what is missing as missed ({_some([_label(row) for row in rows])}) "
        f"{surprises.see('missing-answers')}"
    )


def _batch(measured: Sequence[Row]) -> list[str]:
    notes = []
    for row in measured:
        alone, batch = row["outcome"]["recall"], row["outcome"].get("batch_recall")
        if batch is not None and abs(batch - alone) > BATCH_RECALL_DIFFERS:
            notes.append(f"{_label(row)}: the batch's answers have recall {share(batch)}")
    return notes
