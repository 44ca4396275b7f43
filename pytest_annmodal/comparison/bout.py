"""One figure from one session's races; pure numpy."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pytest_annmodal.comparison import schedule
from pytest_annmodal.comparison.schedule import Schedule
from pytest_annmodal.scoring import operating_points


@dataclass(frozen=True, slots=True, kw_only=True)
class Bout:
    """What one search setting gave in one session.

    Attributes:
        log_ratio: of queries per second, mine over the baseline's (at my recall, where two of its
            settings bracket it).
        control_log_ratio: the copy's over the baseline's.
        baseline_recall: that the ratio stands for.
    """

    log_ratio: float
    control_log_ratio: float
    recall: float
    baseline_recall: float
    qps: float
    baseline_qps: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Race:
    """Times in ns (repeats, n_queries) of candidate, baseline and control; my recall."""

    times: tuple[NDArray[np.int64], ...]
    recall: float


def bout_of(
    races: Sequence[Race], recalls: Sequence[float], plan: Schedule, *, n_answers: int
) -> Bout:
    """From the races with one or two of the baseline's settings, and the recalls of these."""
    recall = statistics.fmean(race.recall for race in races)
    times = [race.times for race in races]
    share = operating_points.share_of(recall, recalls[0], recalls[-1], n_answers=n_answers)
    ratios = [schedule.log_ratio(mine, theirs, plan) for mine, theirs, _ in times]
    controls = [schedule.log_ratio(copy, theirs, plan) for _, theirs, copy in times]
    rates = [schedule.qps(theirs, plan) for _, theirs, _ in times]
    return Bout(
        log_ratio=(1 - share) * ratios[0] + share * ratios[-1],
        control_log_ratio=statistics.fmean(controls),
        recall=recall,
        baseline_recall=min(max(recall, recalls[0]), recalls[-1]),
        qps=statistics.geometric_mean(schedule.qps(mine, plan) for mine, _, _ in times),
        baseline_qps=operating_points.between(rates[0], rates[-1], share),
    )
