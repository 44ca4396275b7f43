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
    """One line a build: its queries per second at the recall that was asked for."""
    told = set()
    for label, outcome in rows:
        recall, qps = outcome.get("at_recall"), outcome.get("qps_at_recall")
        name = label.split("[")[0]
        if recall is not None and (name, qps) not in told:
            told.add((name, qps))
            told_of = f"{name} at recall {recall:g}"
            if qps is None:
                yield f"{told_of}: unknown, since its settings lie all above or all below"
            else:
                yield f"{told_of}: {qps:,.0f} queries/s (between its settings)"
