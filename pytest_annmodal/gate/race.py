"""Asks every query of candidate, baseline and its copy in turn, in one session."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pytest_annmodal.comparison import schedule
from pytest_annmodal.comparison.interleaving import Entrant, Session, rows_of
from pytest_annmodal.comparison.schedule import Schedule
from pytest_annmodal.datasets import hdf5
from pytest_annmodal.errors import InvalidResultError
from pytest_annmodal.gate.points import Points, rate_at
from pytest_annmodal.model import Arguments, Search
from pytest_annmodal.scoring import scoring, validity
from pytest_annmodal.worker import measure

REPEATS = 3
MOST_AGAIN = 3  # times that disturbed queries are asked again
DISTURBED = 1.3  # times as long as usual, compared with the other sides
MOST_DISTURBED = 4  # at most one query in so many
# Untimed queries before each block. With 20 of them the first timed ones took as much longer than
# the others (a quarter, a tenth) as with 10; with 5 those after them did too.
LEAD = 10
WRONG = -1  # ns, in place of the times of a block with a wrong answer: no time is less
SIDES = (schedule.CANDIDATE, schedule.BASELINE, schedule.CONTROL)


@dataclass(slots=True, kw_only=True)
class Asked:
    """All answers of one side at one setting.

    Attributes:
        least_ns: int64 (n_queries,), the least time of each query.
        ids: int64 (n_queries, k), padded with -1.
        hits: int64 (n_queries,), how many of the k neighbours were found.
    """

    least_ns: NDArray[np.int64]
    ids: NDArray[np.int64]
    hits: NDArray[np.int64]
    recall: float

    @property
    def log_qps(self) -> float:
        return math.log(len(self.least_ns) / max(float(self.least_ns.sum()), 1.0) * 1e9)


@dataclass(slots=True)
class Scored:
    """Scores answers to the same queries; distances of true neighbours are computed once."""

    view: hdf5.LoadedDataset
    _kth: dict[int, scoring.Kth] = field(default_factory=dict)

    def asked(
        self,
        entrant: Entrant,
        times: NDArray[np.int64],
        ids: NDArray[np.int64],
        counts: NDArray[np.int64],
    ) -> Asked:
        """Checks and scores the answers of one side.

        Raises:
            SubmissionError, BaselineError: an answer of the candidate, or of the baseline or its
                copy, is wrong.
        """
        k = ids.shape[1]
        if k not in self._kth:
            self._kth[k] = scoring.kth_neighbors(self.view, k)
        with entrant.awake():  # blames a wrong answer on its side
            answers = self._checked(entrant, ids[None], counts[None])
        found = scoring.score_rounds(self.view, answers, self._kth[k])
        return Asked(least_ns=times, ids=ids, hits=found.hits, recall=found.by_distance)

    def valid(self, entrant: Entrant, ids: NDArray[np.int64], counts: NDArray[np.int64]) -> bool:
        """Whether these answers of one side, (n, k) and (n,), can be scored."""
        try:
            self._checked(entrant, ids.copy(), counts)
        except InvalidResultError:
            return False
        return True

    def _checked(
        self, entrant: Entrant, ids: NDArray[np.int64], counts: NDArray[np.int64]
    ) -> validity.Checked:
        return validity.check(
            validity.Given(ids=ids, counts=counts),
            k=ids.shape[-1],
            n_train=len(self.view.train),
            short_answers=entrant.short_answers,
        )


def side(session: Session, number: int) -> Entrant:
    return (session.candidate, session.baseline, session.control)[number]


def all_at_once(
    session: Session, number: int, search: Search, arguments: Arguments, scored: Scored
) -> Asked:
    """Asks every query of one side in a row, for recall and a first estimate of speed."""
    entrant = side(session, number)
    times, ids, counts = entrant.ask(search, arguments, scored.view.test)
    return scored.asked(entrant, times, ids, counts)


def in_turn(
    session: Session, search: Search, opponent: Arguments, scored: Scored, budget_s: float
) -> tuple[Asked, ...]:
    """Asks every query of all three sides three times, alternating every 20 queries.

    If there is too little time, asks fewer queries, spread over all. Disturbed queries are asked
    again, of all three sides.

    Returns:
        The answers of candidate, baseline and control to the queries that were asked.
    """
    settings = (search.arguments, opponent, opponent)
    warmup = session.candidate.trial.warmup
    query_s = sum(
        float(np.median(side(session, number).ask(search, settings[number], warmup)[0])) / 1e9
        for number in SIDES
    )
    view, plan = _part(scored, query_s, budget_s)
    n = plan.n_queries
    least = np.full((len(SIDES), n), np.iinfo(np.int64).max)
    ids, counts = np.zeros((len(SIDES), n, search.k), np.int64), np.zeros((len(SIDES), n), np.int64)

    def ask(number: int, rows: NDArray[np.int64]) -> None:
        """Keeps each query's least time with the answer of that time; a wrong answer stays."""
        entrant = side(session, number)
        times, found, n_found = entrant.ask(search, settings[number], view.view.test[rows])
        if not view.valid(entrant, found, n_found):
            times = np.full_like(times, WRONG)
        kept = times < least[number, rows]
        own = number, rows[kept]
        least[own], ids[own], counts[own] = times[kept], found[kept], n_found[kept]

    with measure.quiet_gc():
        for _, block, number in plan.turns():
            ask(number, np.arange(block.start, block.stop))
        for again in range(MOST_AGAIN):
            rows = disturbed(least)
            for start in range(0, len(rows), plan.block):
                for number in np.roll(SIDES, session.number + again):  # the first changes
                    ask(int(number), rows[start : start + plan.block])
    return tuple(
        view.asked(side(session, number), least[number], ids[number], counts[number])
        for number in SIDES
    )


def disturbed(least: NDArray[np.int64]) -> NDArray[np.int64]:
    """Finds queries for which one side took unusually much longer than the fastest side.

    A query that was interrupted in all three repeats weighs as much as many others. If a side is
    really slower for it, asking again gives the same.

    Args:
        least: ns, int64 (3, n_queries).

    Returns:
        Their numbers in ascending order; only the most different ones, if there are many.
    """
    logs = np.log(np.maximum(least, 1))
    beyond = logs - logs.min(axis=0)
    excess = (beyond - np.median(beyond, axis=1, keepdims=True)).max(axis=0)
    worst = np.argsort(-excess, kind="stable")[: len(excess) // MOST_DISTURBED]
    return np.sort(worst[excess[worst] > math.log(DISTURBED)])


def _part(scored: Scored, query_s: float, budget_s: float) -> tuple[Scored, Schedule]:
    n = len(scored.view.test)
    block = min(schedule.BLOCK, max(n // 2, 1))
    affordable = int(budget_s / max(query_s * (block + LEAD) * REPEATS, 1e-9))
    n_blocks = min(n // block, max(affordable, 2))
    plan = Schedule(n_blocks=n_blocks - n_blocks % 2 or 1, repeats=REPEATS, block=block)
    if plan.n_queries == n:
        return scored, plan
    rows = np.linspace(0, n - 1, plan.n_queries).astype(np.int64)
    return Scored(rows_of(scored.view, rows)), plan


def speeds(
    session: Session, points: Points, scored: Scored, budget_s: float
) -> tuple[list[float], list[float]]:
    """Returns QPS and p99 latency in seconds of candidate, baseline and control.

    The latency is that of the setting with higher recall.
    """
    raced: list[Sequence[Asked]] = [
        in_turn(session, search, opponent, scored, budget_s / len(points.pairs))
        for search, opponent in points.pairs
    ]
    rates, latencies = [], []
    for number in SIDES:
        known = [(race[number].recall, race[number].log_qps) for race in raced]
        n_answers = raced[0][number].ids.size
        rates.append(math.exp(rate_at(known, points.recall, n_answers)))
        latencies.append(float(np.percentile(raced[-1][number].least_ns, 99)) / 1e9)
    return rates, latencies
