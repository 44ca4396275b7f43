"""Joins rows that are shown once: of several tests, and of settings that a library equates."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from pytest_annmodal import surprises
from pytest_annmodal.outcome import Measurement
from pytest_annmodal.results.rows import Row


def distinct(rows: Iterable[Row]) -> list[Row]:
    """Returns each measurement once, with the notes of all its tests."""
    found: dict[str, Row] = {}
    for each in rows:
        bare: Row = each
        notes: tuple[str, ...] = ()
        if isinstance(each.outcome, Measurement):
            bare, notes = _with_notes(each, ()), each.outcome.notes
        same = json.dumps(bare.plain(), sort_keys=True)  # NaN equals itself in a text only
        first = found.setdefault(same, bare)
        if isinstance(first.outcome, Measurement):
            found[same] = _with_notes(first, dict.fromkeys((*first.outcome.notes, *notes)))
    return list(found.values())


def _with_notes(row: Row, notes: Iterable[str]) -> Row:
    assert isinstance(row.outcome, Measurement)
    return replace(row, outcome=replace(row.outcome, notes=tuple(notes)))


def shown(rows: Sequence[Row]) -> list[Row]:
    """Returns the rows without those whose measurement is another row's."""
    there = {row.outcome.case_id for row in rows}
    return [row for row in rows if not (_measured_as(row) and _measured_as(row) in there)]


def lines(rows: Sequence[Row]) -> Iterator[str]:
    """Yields ``hnswlib[ef=100] also stands for ef=10, ef=30: the library makes these ef=100``."""
    for row in shown(rows):
        others = [other for other in rows if _measured_as(other) == row.outcome.case_id]
        if others:
            names = ", ".join(other.search or other.label for other in others)
            measured = [o.outcome for o in others if isinstance(o.outcome, Measurement)]
            made = _made(measured)
            text = f"{row.label} also stands for {names}: the library makes these {made}"
            yield f"{text} {_seen_in(measured)}".rstrip()


def _seen_in(measured: Iterable[Measurement]) -> str:
    """Returns the surprise in the notes of settings that count as another one; else empty."""
    notes = [note for each in measured for note in each.notes]
    return next((surprises.named_in(note) for note in notes if " counts as " in note), "")


def _measured_as(row: Row) -> str | None:
    """Returns the case id of the measurement that this row shares; None if it has its own."""
    return (row.outcome.measured_as or None) if isinstance(row.outcome, Measurement) else None


def _made(measured: Iterable[Measurement]) -> str:
    """Returns the parameters that the library changes, with their effective values."""
    made = {
        name: value
        for each in measured
        for name, value in each.effective.items()
        if each.asked[name] != value
    }
    return ", ".join(f"{name}={value}" for name, value in made.items())
