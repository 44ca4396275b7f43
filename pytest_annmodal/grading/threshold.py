"""One threshold of a part: what share of the points a measured figure is worth, and in words."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from pytest_annmodal.grading.table import Table
from pytest_annmodal.outcome import Measurement


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """What a threshold is about: a field of Measurement in a unit that people use."""

    words: str
    field: str
    factor: float = 1.0
    unit: str = ""

    def of(self, measurement: Measurement) -> float | None:
        value: float | None = getattr(measurement, self.field)
        return None if value is None else value * self.factor

    def show(self, value: float) -> str:
        text = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
        return f"{text} {self.unit}".rstrip()


THRESHOLDS: Mapping[str, Figure] = {
    "min_recall": Figure(words="recall", field="recall"),
    "min_qps": Figure(words="speed", field="qps", unit="queries/s"),
    "min_qps_at_recall": Figure(
        words="speed at the recall level", field="qps_at_recall", unit="queries/s"
    ),
    "min_ratio": Figure(words="speed over the baseline's", field="supported_ratio"),
    "min_batch_qps": Figure(words="batch speed", field="batch_qps", unit="queries/s"),
    "max_p50_ms": Figure(words="median latency", field="p50_s", factor=1e3, unit="ms"),
    "max_p95_ms": Figure(words="95 % latency", field="p95_s", factor=1e3, unit="ms"),
    "max_p99_ms": Figure(words="99 % latency", field="p99_s", factor=1e3, unit="ms"),
    "max_build_s": Figure(words="build time", field="build_s", unit="s"),
    "max_index_mb": Figure(words="index size", field="index_bytes", factor=1e-6, unit="MB"),
    "max_peak_mb": Figure(words="peak memory", field="peak_rss_bytes", factor=1e-6, unit="MB"),
}


UNMEASURED = {
    "min_batch_qps": " (there is no batch_query)",
    "min_qps_at_recall": " (no two settings of one build bracket that recall)",
    "min_ratio": " (the baseline does not serve this metric)",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Threshold:
    """Full share from ``full_at``, none up to ``none_at``, linear between; a step if equal."""

    name: str
    none_at: float
    full_at: float

    @property
    def at_least(self) -> bool:
        return self.name.startswith("min_")

    @property
    def figure(self) -> Figure:
        return THRESHOLDS[self.name]

    def share(self, measurement: Measurement) -> float:
        """0 to 1; a figure that was not measured is worth nothing."""
        value = self.figure.of(measurement)
        if value is None or math.isnan(value):
            return 0.0
        if value >= self.full_at if self.at_least else value <= self.full_at:
            return 1.0
        if self.none_at == self.full_at:
            return 0.0
        return min(max((value - self.none_at) / (self.full_at - self.none_at), 0.0), 1.0)

    def words(self, measurement: Measurement) -> str:
        """What was wanted, what was measured, and by how much it missed."""
        figure, value = self.figure, self.figure.of(measurement)
        wanted = f"{'at least' if self.at_least else 'at most'} {figure.show(self.full_at)}"
        if value is None:
            return f"{figure.words}: {self._unknown(measurement)}, wanted {wanted}"
        text = f"{figure.words} {figure.show(value)}, wanted {wanted}"
        if self.name == "min_ratio" and measurement.comparison is not None:
            text = f"{figure.words} at least {figure.show(value)} ({measurement.comparison.words})"
            text += f", wanted {wanted}"
        share = self.share(measurement)
        if share == 1:
            return f"{text}: reached"
        missed = f"{text}: missed by {figure.show(abs(self.full_at - value))}"
        if self.none_at == self.full_at:
            return missed
        none = (
            f"nothing is given {'up to' if self.at_least else 'from'} {figure.show(self.none_at)}"
        )
        return f"{missed}, worth {share:.0%} ({none})"

    def _unknown(self, measurement: Measurement) -> str:
        """Why there is no such figure."""
        if self.name == "min_ratio" and measurement.comparison is not None:
            return f"cannot be told ({measurement.comparison.words})"
        return f"not measured{UNMEASURED.get(self.name, '')}"


def read_threshold(table: Table, key: str) -> Threshold:
    """``min_recall = 0.9``, or ``min_recall = { none_at = 0.5, full_at = 0.9 }``."""
    value = table.anything(key)
    if not isinstance(value, dict):
        inner = Table({key: value}, table.where)
        level = inner.take(key, float)
        return Threshold(name=key, none_at=level, full_at=level)
    levels = Table(value, f"{table.where}: {key}")
    none_at, full_at = levels.number("none_at"), levels.number("full_at")
    levels.finish()
    if none_at is None or full_at is None:
        raise table.error(key, "expected both levels: { none_at = …, full_at = … }")
    if none_at == full_at or (none_at < full_at) != key.startswith("min_"):
        order = "below" if key.startswith("min_") else "above"
        raise table.error(key, f"none_at must be {order} full_at, not {none_at:g} and {full_at:g}")
    return Threshold(name=key, none_at=none_at, full_at=full_at)
