"""The searches of a job with the same k, compared with the baseline's settings."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence

from pytest_annmodal.comparison.interleaving import Session
from pytest_annmodal.finding import CANNOT_TELL, Finding
from pytest_annmodal.gate import race, recalls, verdict
from pytest_annmodal.gate.points import NoPoints, Points, choose, shared
from pytest_annmodal.gate.race import Asked, Scored
from pytest_annmodal.gate.verdict import Series
from pytest_annmodal.model import Arguments, Baseline, Gate, Search
from pytest_annmodal.outcome import Measurement
from pytest_annmodal.scoring.operating_points import Level

RECALL_BUILDS = 3  # over which the recall of each query is averaged


class Contest:
    """The searches of one k: their recall at equal settings, and speed at one recall."""

    def __init__(
        self,
        searches: Sequence[Search],
        measured: Mapping[str, Measurement],
        baseline: Baseline,
        gate: Gate,
        scored: Scored,
    ) -> None:
        self._searches, self._measured = searches, measured
        self._baseline, self._gate, self._scored = baseline, gate, scored
        self._shared = shared(searches, baseline.searches)
        self._identical: set[str] = set()  # cases
        self._hits: dict[str, tuple[list[recalls.Hits], list[recalls.Hits]]] = {}
        self._points: Points | NoPoints = NoPoints(why="")
        self._speed, self._p99 = Series(figure="speed"), Series(figure="p99")

    def ask(self, session: Session, number: int, budget_s: float) -> None:
        """Asks all that one session needs."""
        theirs: dict[str, Asked] = {}
        if number < RECALL_BUILDS:
            for search in self._shared:
                if search.case_id not in self._identical:
                    theirs[search.arguments.key] = self._recall(session, search)
        if number == 0:
            self._choose(session, theirs)
        if isinstance(self._points, Points):
            rates, latencies = race.speeds(session, self._points, self._scored, budget_s)
            self._speed.add(rates)
            self._p99.add(latencies)

    def _recall(self, session: Session, search: Search) -> Asked:
        mine, theirs = (
            race.all_at_once(session, side, search, search.arguments, self._scored)
            for side in race.SIDES[:2]
        )
        known = self._hits.setdefault(search.case_id, ([], []))
        if not known[0] and recalls.identical(mine.ids, theirs.ids):
            self._identical.add(search.case_id)
        known[0].append(mine.hits)
        known[1].append(theirs.hits)
        return theirs

    def _choose(self, session: Session, known: dict[str, Asked]) -> None:
        first = self._searches[0]

        def asked(arguments: Arguments) -> Asked:
            _, number, _ = race.SIDES
            return known.get(arguments.key) or race.all_at_once(
                session, number, first, arguments, self._scored
            )

        theirs = [(arguments, _level(asked(arguments))) for arguments in self._baseline.searches]
        outcomes = [(search, self._measured[search.case_id]) for search in self._searches]
        self._points = choose(
            [(search, Level(recall=item.recall, qps=item.qps)) for search, item in outcomes],
            theirs,
            self._gate,
            name=self._baseline.label,
            n_answers=len(self._scored.view.test) * first.k,
        )
        if isinstance(self._points, Points):
            self._speed.at = self._p99.at = self._points.words

    def findings(self, n_looks: int) -> Iterator[tuple[str, Finding]]:
        tolerances = self._gate.tolerances
        drop = tolerances["max_recall_drop"] or 0.0
        for search in self._shared:
            at = f"at {search.arguments.label}" if search.arguments.label else ""
            if search.case_id in self._identical:
                n_queries = len(self._scored.view.test)
                yield search.case_id, verdict.of_identical(n_queries, at=at, bound=drop)
                continue
            mine, theirs = self._hits[search.case_id]
            found = recalls.difference(mine, theirs, search.k)
            each = [
                float((one - other).mean()) / search.k
                for one, other in zip(mine, theirs, strict=True)
            ]
            finding = verdict.of_recalls(found, each, at=at, bound=drop)
            recall = self._measured[search.case_id].recall
            yield (
                search.case_id,
                dataclasses.replace(finding, candidate=recall, baseline=recall - found.mean),
            )
        if isinstance(self._points, NoPoints):
            yield (
                self._searches[0].case_id,
                Finding(
                    figure="speed",
                    word=CANNOT_TELL,
                    change=0.0,
                    why=self._points.why,
                    bound=tolerances["max_slowdown"],
                ),
            )
            return
        for series in (self._speed, self._p99):
            bound = tolerances[series.tolerance]
            finding = verdict.of_series(series, n_looks=n_looks, bound=bound)
            yield self._points.search.case_id, finding


def _level(asked: Asked) -> Level:
    return Level(recall=asked.recall, qps=math.exp(asked.log_qps))
