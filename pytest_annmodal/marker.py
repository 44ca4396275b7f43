"""What ``@pytest.mark.ann`` may say, and which of its thresholds a measurement misses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytest_annmodal.figures import THRESHOLDS, Figure
from pytest_annmodal.outcome import Measurement, as_counted

MARKER_ARGUMENTS = {"k", "rounds", *THRESHOLDS}


def missed_thresholds(measurement: Measurement, marker: Mapping[str, Any]) -> list[str]:
    """One line per threshold of the marker that the measurement misses."""
    counted = as_counted(measurement, marker)
    lines = (
        _missed(figure, counted, float(marker[name]))
        for name, figure in THRESHOLDS.items()
        if name in marker
    )
    return [line for line in lines if line]


def _missed(figure: Figure, measurement: Measurement, bound: float) -> str:
    """What is said of one threshold; nothing where it is reached."""
    value = figure.of(measurement)
    wanted = f"{figure.relation} {bound:.4g}"
    source = f"{figure.threshold} of @pytest.mark.ann"
    if value is None:
        return f"{figure.name} should be {wanted}: {figure.why_missing(measurement)} ({source})"
    if figure.meets(value, bound):
        return ""
    missed_by = f"missed by {abs(value - bound):.3g}"
    return f"{figure.name} {value:.4g} should be {wanted} ({missed_by}; {source})"
