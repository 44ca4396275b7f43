"""Checks a measurement against the thresholds of ``@pytest.mark.ann``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytest_annmodal.figures import CANNOT_TELL, THRESHOLDS, Figure, number
from pytest_annmodal.outcome import Measurement, as_counted


def missed_thresholds(
    measurement: Measurement, marker: Mapping[str, Any]
) -> tuple[list[str], list[str]]:
    """Returns one line per threshold that the measurement misses.

    Returns:
        Missed thresholds, and those that cannot be decided because the machine was too busy.
    """
    counted = as_counted(measurement, marker)
    missed: list[str] = []
    undecided: list[str] = []
    for name, figure in THRESHOLDS.items():
        line = _missed(figure, counted, float(marker[name])) if name in marker else ""
        if line:
            (undecided if figure.cannot_tell(counted) else missed).append(line)
    return missed, [f"{line}: {CANNOT_TELL}" for line in undecided]


def doubts(measurement: Measurement, marker: Mapping[str, Any]) -> list[str]:
    """Returns warnings about the marker's thresholds, whether reached or missed."""
    from pytest_annmodal.scoring import stability

    return [text for name in marker if (text := stability.doubt(name, measurement))]


def _missed(figure: Figure, measurement: Measurement, bound: float) -> str:
    """Returns the message about one threshold; empty if it is reached."""
    value = figure.of(measurement)
    wanted = f"{figure.relation} {number(bound)}"
    source = f"{figure.threshold} of @pytest.mark.ann"
    if value is None:
        return f"{figure.name} should be {wanted}: {figure.why_missing(measurement)} ({source})"
    if figure.meets(value, bound):
        return ""
    missed_by = f"missed by {number(abs(value - bound))}"
    return f"{figure.name} {number(value)} should be {wanted} ({missed_by}; {source})"
