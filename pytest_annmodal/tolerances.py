"""The table of the figures that a gate compares, and how much worse each may be.

Verdicts, options, markers and reports read it. Every pytest run on the machine imports it, so it
imports nothing heavy.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class GateFigure(NamedTuple):
    """One figure that a gate compares.

    Attributes:
        subject: the beginning of a sentence about it.
        less, more: words for a candidate with less, or more, of it.
        more_is_better: whether more of it is better.
        tolerance: name of the option and marker argument for how much worse it may be.
        default: its default; None: the figure is shown but not gated.
        is_ratio: whether changes are shares of the baseline's value, or else differences.
    """

    name: str
    subject: str
    less: str
    more: str
    more_is_better: bool
    tolerance: str
    default: float | None
    is_ratio: bool = True


GATED: tuple[GateFigure, ...] = (
    GateFigure("speed", "", "slower", "faster", True, "max_slowdown", 0.03),
    GateFigure("recall", "recall ", "lower", "higher", True, "max_recall_drop", 0.002, False),
    GateFigure("build", "build ", "shorter", "longer", False, "max_build_rise", 0.1),
    GateFigure("index", "index ", "smaller", "larger", False, "max_memory_rise", 0.02),
    GateFigure("peak", "peak memory ", "lower", "higher", False, "max_memory_rise", 0.02),
    GateFigure("p99", "p99 ", "lower", "higher", False, "max_p99_rise", None),
)
BY_NAME: Mapping[str, GateFigure] = {figure.name: figure for figure in GATED}
TOLERANCES: Mapping[str, float | None] = {figure.tolerance: figure.default for figure in GATED}
