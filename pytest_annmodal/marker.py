"""What ``@pytest.mark.ann`` may say, and which of its thresholds a measurement misses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytest_annmodal.outcome import Measurement, as_counted

THRESHOLDS: Mapping[str, tuple[str, float, str]] = {
    # marker argument: (field of Measurement, factor to its unit, "at least" or "at most")
    "min_recall": ("recall", 1.0, "at least"),
    "min_qps": ("qps", 1.0, "at least"),
    "max_p50_ms": ("p50_s", 1e3, "at most"),
    "max_p95_ms": ("p95_s", 1e3, "at most"),
    "max_p99_ms": ("p99_s", 1e3, "at most"),
    "max_build_s": ("build_s", 1.0, "at most"),
    "max_index_mb": ("index_bytes", 1e-6, "at most"),
    "min_ratio": ("supported_ratio", 1.0, "at least"),
}
MARKER_ARGUMENTS = {"k", "rounds", *THRESHOLDS}


def missed_thresholds(measurement: Measurement, marker: Mapping[str, Any]) -> list[str]:
    """One line per threshold of the marker that the measurement misses."""
    lines = []
    measurement = as_counted(measurement, marker)
    for name, (field, factor, relation) in THRESHOLDS.items():
        if name not in marker:
            continue
        wanted, found = float(marker[name]), getattr(measurement, field)
        if found is None:
            lines.append(_untold_ratio(measurement, wanted))
            continue
        value = found * factor
        if not (value >= wanted if relation == "at least" else value <= wanted):  # NaN misses
            shown = name.split("_", 1)[1]
            lines.append(
                f"{shown} {value:.4g} should be {relation} {wanted:.4g} "
                f"(missed by {abs(value - wanted):.3g}; {name} of @pytest.mark.ann)"
            )
    return lines


def _untold_ratio(measurement: Measurement, wanted: float) -> str:
    """Why a ratio to the baseline is not known, or not well enough."""
    comparison = measurement.comparison
    found = "there is no comparison (--ann-baseline)" if comparison is None else comparison.words
    return (
        f"ratio should be at least {wanted:.4g}, and that cannot be told: {found} "
        "(min_ratio of @pytest.mark.ann)"
    )
