"""The lines under a table that compare its rows with the baseline, and with a recall level."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pytest_annmodal.outcome import Comparison


def comparison_lines(rows: Sequence[tuple[str, Mapping[str, Any]]]) -> Iterator[str]:
    """One line a case: ``annoy[…]  × hnswlib 0.42 [0.40, 0.44] slower``.

    Args:
        rows: labels and plain measurements.
    """
    found = [
        (label, Comparison.from_plain(outcome["comparison"]))
        for label, outcome in rows
        if outcome.get("comparison")
    ]
    width = max((len(label) for label, _ in found), default=0)
    for label, comparison in found:
        yield f"{label:{width}}  {comparison.words} · {comparison.circumstances}"


def level_lines(rows: Sequence[tuple[str, Mapping[str, Any]]]) -> Iterator[str]:
    """One line a build: its queries per second at the recall that was asked for.

    Args:
        rows: labels of builds, with their parameters, and plain measurements. The parameters are
            shown where an implementation was built in several ways.
    """
    asked = {build: outcome for build, outcome in rows if outcome.get("at_recall") is not None}
    names = [build.split("[")[0] for build in asked]
    for name, (build, outcome) in zip(names, asked.items(), strict=True):
        called = build if names.count(name) > 1 else name
        told_of = f"{called} at recall {outcome['at_recall']:g}"
        qps = outcome.get("qps_at_recall")
        if qps is None:
            yield f"{told_of}: unknown, since its settings lie all above or all below"
        else:
            yield f"{told_of}: {qps:,.0f} queries/s (between its settings)"
