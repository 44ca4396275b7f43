"""Rows that are shown once: of several tests, and of settings that a library makes one of."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from pytest_annmodal import surprises

Row = Mapping[str, Any]


def distinct(rows: Iterable[Row]) -> list[Row]:
    """Each measurement once, with the notes of all tests that it was shown for."""
    found: dict[str, dict[str, Any]] = {}
    for each in rows:
        bare = {**each, "outcome": {**each["outcome"], "notes": ()}}
        first = found.setdefault(repr(bare), bare)["outcome"]  # NaN equals itself in a text only
        told = dict.fromkeys((*first["notes"], *each["outcome"].get("notes", ())))
        first["notes"] = tuple(told)
    return list(found.values())


def shown(rows: Sequence[Row]) -> list[Row]:
    """Without those that were measured as another one that is there."""
    there = {row["outcome"].get("case_id") for row in rows}
    return [row for row in rows if not (_measured_as(row) and _measured_as(row) in there)]


def lines(rows: Sequence[Row]) -> Iterator[str]:
    """``hnswlib[ef=100] stands for ef=10, ef=30 too, which the library makes ef=100``."""
    for row in shown(rows):
        case_id = row["outcome"].get("case_id")
        others = [other for other in rows if case_id and _measured_as(other) == case_id]
        if others:
            names = ", ".join(other["search"] or other["label"] for other in others)
            made = _made(others)
            text = f"{row['label']} stands for {names} too, which the library makes {made}"
            yield f"{text} {_seen_in(others)}".rstrip()


def _seen_in(rows: Sequence[Row]) -> str:
    """The surprise that their notes name, for a setting that is taken as another."""
    notes = [note for row in rows for note in row["outcome"].get("notes", ())]
    return next((surprises.named_in(note) for note in notes if " counts as " in note), "")


def _measured_as(row: Row) -> str | None:
    return row["outcome"].get("measured_as") or None


def _made(rows: Sequence[Row]) -> str:
    """The values that the library makes, of the parameters that it changes."""
    made = {
        name: value
        for outcome in (row["outcome"] for row in rows)
        for name, value in outcome["effective"].items()
        if outcome["asked"][name] != value
    }
    return ", ".join(f"{name}={value}" for name, value in made.items())
