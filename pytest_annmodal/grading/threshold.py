"""One threshold of a part: the share of points that a measured figure earns, and why."""

from __future__ import annotations

import math
from dataclasses import dataclass

from pytest_annmodal.figures import CANNOT_TELL, THRESHOLDS, Figure, number
from pytest_annmodal.outcome import Measurement
from pytest_annmodal.scoring import stability
from pytest_annmodal.settings.toml_table import Table


@dataclass(frozen=True, slots=True, kw_only=True)
class Threshold:
    """Full share from ``full_at`` on, none up to ``none_at``, linear between; a step if equal."""

    name: str
    none_at: float
    full_at: float

    @property
    def figure(self) -> Figure:
        return THRESHOLDS[self.name]

    def share(self, measurement: Measurement) -> float:
        """Returns 0 to 1; 0 for a figure that was not measured."""
        value = self.figure.of(measurement)
        if value is None or math.isnan(value):
            return 0.0
        if self.figure.meets(value, self.full_at):
            return 1.0
        if self.none_at == self.full_at:
            return 0.0
        return min(max((value - self.none_at) / (self.full_at - self.none_at), 0.0), 1.0)

    def at_most(self, measurement: Measurement) -> float:
        """Returns the most it might earn on a quieter machine."""
        can_tell = not self.figure.cannot_tell(measurement)
        return self.share(measurement) if can_tell else 1.0

    def words(self, measurement: Measurement) -> str:
        """Returns the measured and the wanted value, the difference, and any doubt about it."""
        text = self._words(measurement)
        doubt = stability.doubt(self.name, measurement)
        return f"{text}; {doubt}" if doubt else text

    def _words(self, measurement: Measurement) -> str:
        figure, value = self.figure, self.figure.of(measurement)
        if value is None:
            wanted = f"{figure.relation} {figure.show(self.full_at)}"
            return f"{figure.words}: {figure.why_missing(measurement)}, wanted {wanted}"
        wanted = f"{figure.relation} {number(self.full_at)}"
        text = f"{figure.words} {figure.show(value)}, wanted {wanted}"
        if self.name == "min_ratio" and measurement.comparison is not None:
            text = f"{figure.words} at least {figure.show(value)} ({measurement.comparison.words})"
            text += f", wanted {wanted}"
        share = self.share(measurement)
        if share == 1:
            return f"{text}: reached"
        if self.figure.cannot_tell(measurement):
            return f"{text}: {CANNOT_TELL}"
        missed = f"{text}: missed by {number(abs(self.full_at - value))}"
        if self.none_at == self.full_at:
            return missed
        side = "above" if figure.better == "more" else "below"
        worth = f", worth {share:.0%}" if share else ""
        return f"{missed}{worth} (points begin {side} {number(self.none_at)})"


def read_threshold(table: Table, key: str) -> Threshold:
    """Reads ``min_recall = 0.9`` or ``min_recall = { none_at = 0.5, full_at = 0.9 }``."""
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
    rises = THRESHOLDS[key].better == "more"
    if none_at == full_at or (none_at < full_at) != rises:
        order = "below" if rises else "above"
        raise table.error(key, f"none_at must be {order} full_at, not {none_at:g} and {full_at:g}")
    return Threshold(name=key, none_at=none_at, full_at=full_at)
