"""The lines under a table that compare its rows with the baseline, and with a recall level."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pytest_annmodal.figures import share
from pytest_annmodal.model import from_plain
from pytest_annmodal.outcome import Comparison


def comparison_lines(rows: Sequence[tuple[str, Mapping[str, Any]]]) -> Iterator[str]:
    """One line a case: ``annoy[…]  × hnswlib 0.42 [0.40, 0.44] slower``.

    Args:
        rows: labels and plain measurements.
    """
    found = [
        (label, from_plain(Comparison, outcome["comparison"]))
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
    recalls: dict[str, list[float]] = {}
    for build, outcome in rows:
        recalls.setdefault(build, []).append(outcome["recall"])
    names = [build.split("[")[0] for build in asked]
    for name, (build, outcome) in zip(names, asked.items(), strict=True):
        called = build if names.count(name) > 1 else name
        told_of = f"{called} at recall {outcome['at_recall']:g}"
        qps = outcome.get("qps_at_recall")
        if qps is None:
            yield f"{told_of}: unknown, since {_side(recalls[build], outcome['at_recall'])}"
        else:
            yield f"{told_of}: {qps:,.0f} queries/s (between its settings)"


def _side(recalls: Sequence[float], asked: float) -> str:
    """On which side of a level the settings of a build lie, none of which bracket it."""
    if max(recalls) < asked:
        return f"the highest recall of its settings is {share(max(recalls))}"
    if min(recalls) > asked:
        return f"the lowest recall of its settings is {share(min(recalls))}"
    return "its settings of lower recall are slower than one of higher recall"
