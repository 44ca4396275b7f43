"""Converts a measured case to a row of the summary, to extra_info and to JUnit properties."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from pytest_annmodal.figures import JUNIT, RECORD, standing
from pytest_annmodal.model import Case, Plain, to_plain
from pytest_annmodal.outcome import (
    Comparison,
    Measurement,
    Outcome,
    outcome_from_plain,
    outcome_to_plain,
)
from pytest_annmodal.queries import place


def extra_info(measurement: Measurement, where: str) -> dict[str, Any]:
    """Returns all figures for ``--benchmark-json``, without values of single queries."""
    plain: dict[str, Any] = to_plain(measurement)
    del plain["latencies_ns"], plain["query_hits"], plain["log_tail"]
    more = {figure.key: figure.measured(measurement) for figure in standing(RECORD)}
    return {**plain, **more, "where": where}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A row of the summary: a case and its outcome.

    Attributes:
        label, build, search: the case, its build and its search setting, with their parameters.
        where: the executor's name.
        outcome: without values of single queries, and without the log.
    """

    label: str
    build: str
    search: str
    dataset: str
    k: int
    where: str
    outcome: Outcome

    @property
    def parts(self) -> dict[str, Any]:
        """The parts of the case that pytest-benchmark can group by."""
        return {
            "implementation": self.label.partition("[")[0],
            "dataset": self.dataset,
            "k": self.k,
        }

    def plain(self) -> dict[str, Any]:
        """Returns plain data for JSON: pytest-xdist sends it with a test's report."""
        return {**to_plain(self), "outcome": outcome_to_plain(self.outcome)}

    @classmethod
    def of_plain(cls, data: Mapping[str, Plain]) -> Row:
        return cls(**{**data, "outcome": outcome_from_plain(data["outcome"])})


def row(case: Case, outcome: Outcome, where: str) -> Row:
    label = case.label
    if isinstance(outcome, Measurement):
        outcome = replace(outcome, latencies_ns=(), query_hits=None, log_tail="")
        if outcome.tuned is not None:
            parts = filter(None, (case.variant.build.label, outcome.tuned.words))
            label = f"{case.implementation.name}[{','.join(parts)}]"
    return Row(
        label=label,
        build=case.build_label,
        search=case.variant.search.label,
        dataset=place(case.dataset.name, None, case.dataset.queries),
        k=case.k,
        where=where,
        outcome=outcome,
    )


def properties(measurement: Measurement) -> list[tuple[str, float | str]]:
    """Returns the figures for JUnit XML, which CI dashboards plot."""
    values = [(figure.name, figure.of(measurement)) for figure in standing(JUNIT)]
    found = [(name, value) for name, value in values if value is not None]
    verdicts = [
        (f"gate_{finding.figure}", finding.word)
        for finding in (measurement.gate.findings if measurement.gate is not None else ())
    ]
    return [*found, *_of_comparison(measurement.comparison), *verdicts]


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
