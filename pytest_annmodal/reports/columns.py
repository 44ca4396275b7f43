"""The columns of stored cases, the same in every format that has columns.

Figures have the names of :mod:`pytest_annmodal.figures`, which end in the unit.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from pytest_annmodal.figures import FIGURES, Figure
from pytest_annmodal.results.stored import StoredCase

Value = str | int | float | bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column: its name, its value for a case, and the value's type."""

    name: str
    of: Callable[[StoredCase], Value]
    kind: type[str | int | float | bool]


def figure_of(figure: Figure, case: StoredCase) -> float | None:
    """Returns a figure of a stored case in its unit; None if it is missing or not finite."""
    if case.failure is not None:
        return None
    value = figure.of(cast("Any", case))  # a stored case has the fields of a measurement
    return value if value is not None and math.isfinite(value) else None


def _field(name: str, kind: type[str | int | bool] = str) -> Column:
    return Column(name=name, of=lambda case: getattr(case, name), kind=kind)


def _figure(figure: Figure) -> Column:
    return Column(name=figure.name, of=lambda case: figure_of(figure, case), kind=float)


def _as_json(values: Mapping[str, Any]) -> str:
    return json.dumps(values, sort_keys=True, default=str)


COLUMNS: tuple[Column, ...] = (
    _field("dataset"),
    _field("implementation"),
    _field("label"),
    _field("k", int),
    *map(_figure, FIGURES),
    Column(
        name="failure",
        of=lambda case: None if case.failure is None else case.failure.kind,
        kind=str,
    ),
    Column(
        name="message",
        of=lambda case: None if case.failure is None else case.failure.message,
        kind=str,
    ),
    Column(name="parameters", of=lambda case: _as_json(case.asked), kind=str),
    Column(name="effective", of=lambda case: _as_json(case.effective), kind=str),
    Column(
        name="ratio_low",
        of=lambda case: case.comparison.low if case.comparison is not None else None,
        kind=float,
    ),
    Column(
        name="ratio_high",
        of=lambda case: case.comparison.high if case.comparison is not None else None,
        kind=float,
    ),
    _field("metric"),
    _field("dim", int),
    _field("n_train", int),
    _field("n_queries", int),
    _field("subset", int),
    _field("queries"),
    _field("query_sample", int),
    _field("query_order"),
    _field("cold", bool),
    _field("rounds", int),
    _field("threads", int),
    _field("clock"),
    _field("trusted", bool),
    _field("dataset_sha256"),
    _field("source"),
    _field("version"),
    _field("where"),
    _field("machine"),
    _field("session"),
    _field("measured_at"),
    _field("case_id"),
    _field("key"),
    Column(name="notes", of=lambda case: "; ".join(case.notes), kind=str),
)


def record(case: StoredCase) -> dict[str, Value]:
    """Returns a case as one flat row, with None for numbers that are not finite."""
    row = {}
    for column in COLUMNS:
        value = column.of(case)
        odd = isinstance(value, float) and not math.isfinite(value)
        row[column.name] = None if odd else value
    return row
