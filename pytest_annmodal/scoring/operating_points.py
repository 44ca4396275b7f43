"""Queries per second at a recall level, between the settings that bracket it.

``log QPS`` is taken as linear over ``logit recall`` between two neighbouring settings. "The best
setting above the level" would jump whenever a setting crosses it: in experiments it moved by
more than 5 % in half of the rebuilds of one and the same index.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from pytest_annmodal.outcome import Failure, Measurement, Outcome

EQUAL_RECALL = 0.005  # closer than this is the same recall


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """One search setting: its recall and speed, and its place in a list of settings."""

    recall: float
    qps: float
    index: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Bracket:
    """The settings around a recall level; ``share`` is the upper one's, 0 to 1."""

    lower: Level
    upper: Level
    share: float

    @property
    def qps(self) -> float:
        return between(self.lower.qps, self.upper.qps, self.share)


def frontier(levels: Sequence[Level]) -> list[Level]:
    """The settings that no other beats in recall and speed: recall rises, speed falls."""
    kept: list[Level] = []
    for level in sorted(levels, key=lambda item: (-item.recall, -item.qps)):
        if not kept or level.qps > kept[-1].qps:
            kept.append(level)
    return kept[::-1]


def bracket(levels: Sequence[Level], recall: float, *, n_answers: int) -> Bracket | None:
    """The two neighbours on the frontier that the level lies between, or the one it is on.

    Args:
        n_answers: how many ids recall was counted over: what a recall of 1 could have missed.

    Returns:
        None outside of what the settings reach; nothing is extrapolated.
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
    """Queries per second at a recall level, or None where no settings bracket it."""
    found = bracket(levels, recall, n_answers=n_answers)
    return None if found is None else found.qps


def opponents(levels: Sequence[Level], recall: float, *, n_answers: int) -> tuple[Level, ...]:
    """Whom to compare with at this recall: the bracketing settings, else the nearest one."""
    found = bracket(levels, recall, n_answers=n_answers)
    if found is None:
        return (min(frontier(levels), key=lambda level: abs(level.recall - recall)),)
    return (found.lower,) if found.lower is found.upper else (found.lower, found.upper)


def share_of(recall: float, lower: float, upper: float, *, n_answers: int) -> float:
    """How far a recall lies from the lower to the upper one, in logits: 0 to 1."""
    start, end = (logit(value, n_answers) for value in (lower, upper))
    if end <= start:
        return 0.0
    return min(max((logit(recall, n_answers) - start) / (end - start), 0.0), 1.0)


def logit(recall: float, n_answers: int) -> float:
    """``log(r / (1 - r))``, with 0 and 1 taken as half an answer away from them."""
    least = 0.5 / n_answers
    bounded = min(max(recall, least), 1 - least)
    return math.log(bounded / (1 - bounded))


def between(lower: float, upper: float, share: float) -> float:
    """Geometric interpolation of two rates or ratios."""
    return math.exp((1 - share) * math.log(lower) + share * math.log(upper))


def with_qps_at(outcomes: Sequence[Outcome], recall: float) -> list[Outcome]:
    """The outcomes of one build's settings with ``qps_at_recall``, where two of them bracket it."""
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
