"""Ranks builds by speed at a target recall (``--ann-target-recall``)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pytest_annmodal.figures import rate, share
from pytest_annmodal.outcome import Measurement, Tuned
from pytest_annmodal.reports import aligned
from pytest_annmodal.reports.below import Measured
from pytest_annmodal.reports.escape import printable


def lines(measured: Sequence[Measured]) -> Iterator[str]:
    """Yields, for each recall, the builds that reached it, the fastest first; then the others."""
    goals: dict[float, list[tuple[Measured, Tuned]]] = {}
    for one in measured:
        if one.outcome.tuned is not None:
            pair = one, one.outcome.tuned
            goals.setdefault(one.outcome.tuned.target_recall, []).append(pair)
    for goal, members in sorted(goals.items()):
        yield f"At recall {goal:g}, by queries per second (95 % over queries):"
        ranked = sorted(members, key=lambda pair: (not pair[1].reached, -pair[0].outcome.qps))
        n_reached = sum(tuned.reached for _, tuned in ranked)
        rows = [
            (
                f"  {place}." if place <= n_reached else "  –",
                one.build,
                printable(tuned.arguments.label),
                share(one.outcome.recall),
                _speed(one.outcome, tuned),
            )
            for place, (one, tuned) in enumerate(ranked, 1)
        ]
        yield from (line.rstrip() for line in aligned.lines(rows, "><<>>"))


def _speed(outcome: Measurement, tuned: Tuned) -> str:
    if not tuned.reached:
        return "not reached" if tuned.tried else "not looked for"
    if tuned.qps_low is None or tuned.qps_high is None:
        return rate(outcome.qps)
    return f"{rate(outcome.qps)} [{rate(tuned.qps_low)}, {rate(tuned.qps_high)}]"
