"""What one session asks: every query of candidate, baseline and its copy, in turn."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pytest_annmodal.comparison import schedule
from pytest_annmodal.comparison.interleaving import LEAD, Entrant, Session, rows_of
from pytest_annmodal.comparison.schedule import Schedule
from pytest_annmodal.datasets import hdf5
from pytest_annmodal.gate.points import Points, rate_at
from pytest_annmodal.model import Arguments, Search
from pytest_annmodal.scoring import scoring
from pytest_annmodal.worker import measure

REPEATS = 3
SIDES = (schedule.CANDIDATE, schedule.BASELINE, schedule.CONTROL)


@dataclass(slots=True, kw_only=True)
class Asked:
    """All answers of one side at one setting.

    Attributes:
        times_ns: int64 (repeats, n_queries).
        ids: int64 (n_queries, k), padded with -1.
        hits: int64 (n_queries,), how many of the k neighbours were found.
    """

    times_ns: NDArray[np.int64]
    ids: NDArray[np.int64]
    hits: NDArray[np.int64]
    recall: float

    @property
    def least_ns(self) -> NDArray[np.int64]:
        return np.asarray(self.times_ns.min(axis=0), np.int64)

    @property
    def log_qps(self) -> float:
        return math.log(len(self.least_ns) / max(float(self.least_ns.sum()), 1.0) * 1e9)


@dataclass(slots=True)
class Scored:
    """Scores answers to the same queries; what belongs to the truth is computed once."""

    view: hdf5.LoadedDataset
    _kth: dict[int, scoring.Kth] = field(default_factory=dict)

    def asked(
        self,
        entrant: Entrant,
        times: NDArray[np.int64],
        ids: NDArray[np.int64],
        counts: NDArray[np.int64],
    ) -> Asked:
        """Raises what is wrong with an answer, on its side's behalf."""
        k = ids.shape[1]
        if k not in self._kth:
            self._kth[k] = scoring.kth_neighbors(self.view, k)
        with entrant.awake():  # whose fault a wrong answer is
            _, found = scoring.score_rounds(
                self.view,
                ids[None],
                counts[None],
                k=k,
                short_answers=entrant.short_answers,
                kth=self._kth[k],
            )
        return Asked(times_ns=times, ids=ids, hits=found.hits, recall=found.by_distance)


def side(session: Session, number: int) -> Entrant:
    return (session.candidate, session.baseline, session.control)[number]


def all_at_once(
    session: Session, number: int, search: Search, arguments: Arguments, scored: Scored
) -> Asked:
    """Every query of one side, one after the other: for recall, and for a first idea of speed."""
    entrant = side(session, number)
    times, ids, counts = entrant.ask(search, arguments, scored.view.test)
    return scored.asked(entrant, times[None], ids, counts)


def in_turn(
    session: Session, search: Search, opponent: Arguments, scored: Scored, budget_s: float
) -> tuple[Asked, ...]:
    """Every query of all three sides, alternating every 20 queries, three times.

    As many queries as there is time for, spread over all of them.

    Returns:
        What candidate, baseline and control answered, of the queries that were asked.
    """
    settings = (search.arguments, opponent, opponent)
    warmup = session.candidate.trial.warmup
    query_s = sum(
        float(np.median(side(session, number).ask(search, settings[number], warmup)[0])) / 1e9
        for number in SIDES
    )
    view, plan = _part(scored, query_s, budget_s)
    shape = (plan.repeats, plan.n_queries)
    times = [np.zeros(shape, np.int64) for _ in SIDES]
    ids = [np.zeros((plan.n_queries, search.k), np.int64) for _ in SIDES]
    counts = [np.zeros(plan.n_queries, np.int64) for _ in SIDES]
    with measure.quiet_gc():
        for repeat, rows, number in plan.turns():
            answer = side(session, number).ask(search, settings[number], view.view.test[rows])
            times[number][repeat, rows] = answer[0]
            if repeat == 0:
                ids[number][rows], counts[number][rows] = answer[1:]
    return tuple(
        view.asked(side(session, number), times[number], ids[number], counts[number])
        for number in SIDES
    )


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
    """Of candidate, baseline and control: queries per second, and the 99 % latency in seconds.

    The latency is of the setting with more recall.
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
