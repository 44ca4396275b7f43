"""The order in which the three are asked, and one figure from many times; pure numpy."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pytest_annmodal.scoring import operating_points

BLOCK = 20  # queries in a row to one entrant: shorter than speed changes of a shared machine
REPEATS = 6
MOST_BLOCKS = 40  # a repeat
CANDIDATE, BASELINE, CONTROL = range(3)
LETTERS = "ABC"  # of these, in the orders below
# In cycles, so that all wait equally long: a wait empties the processor's caches. (With A B C,
# C B A the control waited longest, which cost 6 % on a busy machine.) Each repeat has one order in
# its first half and another in its second. After three repeats each query has been asked first,
# second and third of each entrant, since the last was 1 % faster with equal code.
ORDERS = ("ABC BAC", "BCA CBA", "CAB ACB", "ACB ABC", "BAC BCA", "CBA CAB")

# The last one built was up to 5 % faster than equal ones (its memory is laid out in another way),
# so all take all places in turn; even a few sessions nearly balance that.
BUILD_ORDERS = ("ABC", "CBA", "BCA", "ACB", "CAB", "BAC")


def build_order(session: int) -> list[int]:
    """Returns the order in which the three are built."""
    return [LETTERS.index(letter) for letter in BUILD_ORDERS[session % len(BUILD_ORDERS)]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """Blocks of queries, asked of all three entrants in turn.

    Attributes:
        n_blocks: different blocks.
        repeats: times that each block is asked; 1 if no query may be asked twice.
    """

    n_blocks: int
    repeats: int
    block: int = BLOCK

    @property
    def n_queries(self) -> int:
        return self.n_blocks * self.block

    def turns(self) -> Iterator[tuple[int, slice, int]]:
        """Yields repeat, rows and entrant in the order of asking.

        The order changes in the middle of a repeat. In three repeats each query is asked first,
        second and third of each entrant, and a drift of the machine's speed affects candidate and
        baseline equally.
        """
        for repeat in range(self.repeats):
            for number in range(self.n_blocks):
                half = ORDERS[repeat % len(ORDERS)].split()[number >= self.n_blocks // 2]
                start = number * self.block
                for entrant in map(LETTERS.index, half):
                    yield repeat, slice(start, start + self.block), entrant


def plan(n_available: int, *, once: bool, block_s: float, budget_s: float) -> Schedule:
    """Returns the largest schedule for the queries and the time; with an even number of blocks.

    Args:
        once: whether no query may be asked twice; then there are more blocks and no repeats.
        block_s: seconds that one block takes of all three together.
    """
    block = min(BLOCK, max(n_available // 2, 1))
    repeats = 1 if once else REPEATS
    most = MOST_BLOCKS * REPEATS if once else MOST_BLOCKS
    affordable = int(budget_s / max(block_s * repeats, 1e-9))
    n_blocks = min(n_available // block, most, max(affordable, 2))
    return Schedule(n_blocks=n_blocks - n_blocks % 2 or 1, repeats=repeats, block=block)


def log_ratio(mine: NDArray[np.int64], theirs: NDArray[np.int64], schedule: Schedule) -> float:
    """Returns the logarithm of the opponent's time over mine: above 0, mine is faster.

    With repeats, from the sum of each query's least times. Without repeats (a submission could
    remember a query), the median of the blocks' ratios.

    Args:
        mine, theirs: ns, int64 (repeats, n_queries), of the same queries.
    """
    if schedule.repeats > 1:
        return math.log(_sum_of_least(theirs) / _sum_of_least(mine))
    return float(np.median(np.log(_blocks(theirs, schedule) / _blocks(mine, schedule))))


def qps(times: NDArray[np.int64], schedule: Schedule) -> float:
    """Returns queries per second, from the least times or from the median block."""
    if schedule.repeats > 1:
        return schedule.n_queries / _sum_of_least(times) * 1e9
    return schedule.block / float(np.median(_blocks(times, schedule))) * 1e9


def _sum_of_least(times: NDArray[np.int64]) -> float:
    return max(float(times.min(axis=0).sum()), 1.0)


def _blocks(times: NDArray[np.int64], schedule: Schedule) -> NDArray[np.float64]:
    sums = times.reshape(-1, schedule.block).sum(axis=1, dtype=np.float64)
    return np.asarray(np.maximum(sums, 1.0), np.float64)


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionResult:
    """The result of one search setting in one session.

    Attributes:
        log_ratio: of queries per second, candidate over baseline (at the candidate's recall, if
            two of the baseline's settings bracket it).
        control_log_ratio: the control's over the baseline's.
        baseline_recall: the baseline's recall that the ratio is for.
    """

    log_ratio: float
    control_log_ratio: float
    recall: float
    baseline_recall: float
    qps: float
    baseline_qps: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Race:
    """Times in ns (repeats, n_queries) of candidate, baseline, control; the candidate's recall."""

    times: tuple[NDArray[np.int64], ...]
    recall: float


def result_of(
    races: Sequence[Race], recalls: Sequence[float], plan: Schedule, *, n_answers: int
) -> SessionResult:
    """Combines the races with one or two of the baseline's settings into one result.

    Args:
        recalls: of these settings.
    """
    recall = statistics.fmean(race.recall for race in races)
    times = [race.times for race in races]
    share = operating_points.share_of(recall, recalls[0], recalls[-1], n_answers=n_answers)
    ratios = [log_ratio(mine, theirs, plan) for mine, theirs, _ in times]
    controls = [log_ratio(copy, theirs, plan) for _, theirs, copy in times]
    rates = [qps(theirs, plan) for _, theirs, _ in times]
    return SessionResult(
        log_ratio=(1 - share) * ratios[0] + share * ratios[-1],
        control_log_ratio=statistics.fmean(controls),
        recall=recall,
        baseline_recall=min(max(recall, recalls[0]), recalls[-1]),
        qps=statistics.geometric_mean(qps(mine, plan) for mine, _, _ in times),
        baseline_qps=operating_points.between(rates[0], rates[-1], share),
    )
