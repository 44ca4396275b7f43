"""Rows of the load chart: latency over queries per second, for each level."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pytest_annmodal.levels import Level, Loaded
from pytest_annmodal.reports import escape
from pytest_annmodal.results.stored import StoredCase

LOOPS = {"open": "open loop", "closed": "closed loop"}


def rows(cases: Iterable[StoredCase]) -> Iterable[Mapping[str, Any]]:
    """Yields two rows of the chart ``load``, p50 and p99, for each level that has figures.

    ``rate`` is the offered rate in an open loop and the answered rate in a closed one.
    """
    for case in cases:
        for level in case.load.levels if case.load is not None else ():
            if level.failure or level.qps is None:
                continue
            assert case.load is not None
            for name, seconds in (("p50", level.p50_s), ("p99", level.p99_s)):
                if seconds:
                    yield {
                        "implementation": escape.line(case.implementation),
                        "label": escape.line(case.label),
                        "loop": LOOPS[level.kind],
                        "words": level.words,
                        "percentile": name,
                        "rate": level.offered_qps or level.qps,
                        "ms": seconds * 1e3,
                        "knee": _is_knee(level, case.load),
                        "recall": level.recall,
                        "marks": ", ".join(level.marks),
                    }


def _is_knee(level: Level, loaded: Loaded) -> bool:
    if level.kind == "open":
        return loaded.knee_qps is not None and level.offered_qps == loaded.knee_qps
    return level.clients == loaded.knee_clients
