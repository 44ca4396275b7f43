"""A measured case in the words of the formats that take one: extra_info, JUnit properties."""

from __future__ import annotations

from typing import Any

from pytest_annmodal.model import Case, to_plain
from pytest_annmodal.outcome import Comparison, Failure, Measurement, Outcome


def extra_info(measurement: Measurement, where: str) -> dict[str, Any]:
    """What goes into ``--benchmark-json`` beside the times: all figures, nothing by query."""
    plain: dict[str, Any] = to_plain(measurement)
    del plain["latencies_ns"], plain["query_hits"], plain["log_tail"]
    return {**plain, "where": where}


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
    found: list[tuple[str, float | str]] = [
        ("recall", measurement.recall),
        ("qps", measurement.qps),
        ("p50_ms", measurement.p50_s * 1e3),
        ("p95_ms", measurement.p95_s * 1e3),
        ("p99_ms", measurement.p99_s * 1e3),
        ("build_s", measurement.build_s),
        ("index_bytes", measurement.index_bytes),
    ]
    if measurement.qps_at_recall is not None:
        found.append(("qps_at_recall", measurement.qps_at_recall))
    return found + _of_comparison(measurement.comparison)


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
