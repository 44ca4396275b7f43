"""A measured case in the words of the formats that take one: extra_info, JUnit properties."""

from __future__ import annotations

from typing import Any

from pytest_annmodal.figures import JUNIT, RECORD, standing
from pytest_annmodal.model import Case, to_plain
from pytest_annmodal.outcome import Comparison, Failure, Measurement, Outcome


def extra_info(measurement: Measurement, where: str) -> dict[str, Any]:
    """What goes into ``--benchmark-json`` beside the times: all figures, nothing by query."""
    plain: dict[str, Any] = to_plain(measurement)
    del plain["latencies_ns"], plain["query_hits"], plain["log_tail"]
    more = {figure.key: figure.measured(measurement) for figure in standing(RECORD)}
    return {**plain, **more, "where": where}


def row(case: Case, outcome: Outcome, where: str) -> dict[str, Any]:
    """What the summary table will show of a case."""
    plain = to_plain(outcome) if isinstance(outcome, Failure) else extra_info(outcome, where)
    return {
        "label": case.label,
        "build": case.build_label,
        "search": case.variant.search.label,
        "dataset": case.dataset.name,
        "k": case.k,
        "where": where,
        "outcome": plain,
    }


def properties(measurement: Measurement) -> list[tuple[str, float | str]]:
    """For JUnit XML: the figures that a CI dashboard would plot."""
    values = [(figure.name, figure.of(measurement)) for figure in standing(JUNIT)]
    found = [(name, value) for name, value in values if value is not None]
    return [*found, *_of_comparison(measurement.comparison)]


def _of_comparison(comparison: Comparison | None) -> list[tuple[str, float | str]]:
    if comparison is None:
        return []
    found: list[tuple[str, float | str]] = [
        ("baseline", comparison.baseline),
        ("ratio", comparison.ratio),
    ]
    if comparison.low is not None and comparison.high is not None:
        found += [("ratio_low", comparison.low), ("ratio_high", comparison.high)]
        found.append(("verdict", comparison.verdict or ""))
    return found
