"""Queries per second at a recall level, interpolated between the settings that bracket it.

``log QPS`` is interpolated linearly over ``logit recall`` between two neighbouring settings. The
speed of the best setting above the level would jump whenever a setting crosses the level: in
experiments it changed by more than 5 % in half of the rebuilds of the same index.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from pytest_annmodal.outcome import Failure, Measurement, Outcome

EQUAL_RECALL = 0.005  # recalls that differ by at most this count as equal


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """One search setting: its recall and speed, and its place in a list of settings."""

    recall: float
    qps: float
    index: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Bracket:
    """The settings around a recall level; ``share`` is the weight of the upper one, 0 to 1."""

    lower: Level
    upper: Level
    share: float

    @property
    def qps(self) -> float:
        return between(self.lower.qps, self.upper.qps, self.share)


def frontier(levels: Sequence[Level]) -> list[Level]:
    """Returns the settings that no other beats in both, in order of rising recall."""
    kept: list[Level] = []
    for level in sorted(levels, key=lambda item: (-item.recall, -item.qps)):
        if not kept or level.qps > kept[-1].qps:
            kept.append(level)
    return kept[::-1]


def bracket(levels: Sequence[Level], recall: float, *, n_answers: int) -> Bracket | None:
    """Returns the two neighbours on the frontier around the level, or the one that has it.

    Args:
        n_answers: number of ids that recall was counted over; bounds the logit of 0 and 1.

    Returns:
        None for a level that the settings do not bracket; nothing is extrapolated.
    """
    known = frontier(levels)
    for level in known:
        if level.recall == recall:
            return Bracket(lower=level, upper=level, share=0.0)
    for lower, upper in itertools.pairwise(known):
        if lower.recall < recall < upper.recall:
            share = share_of(recall, lower.recall, upper.recall, n_answers=n_answers)
            return Bracket(lower=lower, upper=upper, share=share)
    return None


def qps_at(levels: Sequence[Level], recall: float, *, n_answers: int) -> float | None:
    """Returns queries per second at a recall level, or None if no settings bracket it."""
    found = bracket(levels, recall, n_answers=n_answers)
    return None if found is None else found.qps


def opponents(levels: Sequence[Level], recall: float, *, n_answers: int) -> tuple[Level, ...]:
    """Returns the settings to compare with at this recall: those around it, else the nearest."""
    found = bracket(levels, recall, n_answers=n_answers)
    if found is None:
        return (min(frontier(levels), key=lambda level: abs(level.recall - recall)),)
    return (found.lower,) if found.lower is found.upper else (found.lower, found.upper)


def share_of(recall: float, lower: float, upper: float, *, n_answers: int) -> float:
    """Returns where a recall lies between the lower and the upper one, in logits: 0 to 1."""
    start, end = (logit(value, n_answers) for value in (lower, upper))
    if end <= start:
        return 0.0
    return min(max((logit(recall, n_answers) - start) / (end - start), 0.0), 1.0)


def logit(recall: float, n_answers: int) -> float:
    """Returns ``log(r / (1 - r))``, with 0 and 1 replaced by half an answer away from them."""
    least = 0.5 / n_answers
    bounded = min(max(recall, least), 1 - least)
    return math.log(bounded / (1 - bounded))


def between(lower: float, upper: float, share: float) -> float:
    """Returns the geometric interpolation of two rates or ratios."""
    return math.exp((1 - share) * math.log(lower) + share * math.log(upper))


def with_qps_at(outcomes: Sequence[Outcome], recall: float) -> list[Outcome]:
    """Adds ``qps_at_recall`` to the outcomes of one build, if its settings bracket the recall."""
    measured = [item for item in outcomes if isinstance(item, Measurement)]
    known = [Level(recall=item.recall, qps=item.qps) for item in measured]
    if not measured:
        return list(outcomes)
    n_answers = min(item.k * item.n_queries for item in measured)
    found = qps_at(known, recall, n_answers=n_answers)

    def with_it(outcome: Outcome) -> Outcome:
        if isinstance(outcome, Failure):
            return outcome
        return replace(outcome, at_recall=recall, qps_at_recall=found)

    return [with_it(outcome) for outcome in outcomes]
