"""Compares measurements with stored ones: recall and memory are gated, times only shown."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from pytest_annmodal.errors import ConfigurationError
from pytest_annmodal.finding import NO_CHANGE, NOT_GATED, WORSE, Finding, Gated
from pytest_annmodal.gate import recalls, verdict
from pytest_annmodal.gate.verdict import ROUNDING_BYTES
from pytest_annmodal.model import Dataset, Job, Search
from pytest_annmodal.outcome import Measurement, Outcome
from pytest_annmodal.queries import label_of, place
from pytest_annmodal.results.folder import folder_of
from pytest_annmodal.results.reading import Results, read_results
from pytest_annmodal.results.stored import StoredCase
from pytest_annmodal.session.keeping import Keeper
from pytest_annmodal.settings.config import LATEST, Settings
from pytest_annmodal.tolerances import TOLERANCES

ANOTHER_MINUTE = "measured at another time, so there is no verdict"
AGAIN = re.compile(r" \(\d+\)$")  # after a label: the number of a repetition
LIBRARIES = "with the files of libraries, which differ by run, so there is no verdict"
TIMES, OF_BUILD = (("speed", "qps"), ("p99", "p99_s")), (("build", "build_s"),)


class Against:
    """The stored results that ``--ann-against`` names.

    Args:
        keeper: of this session, whose own results are ignored.
        content: gives the sha256 of a dataset's file, if known.

    Raises:
        ConfigurationError: there are no results in it.
    """

    def __init__(
        self, settings: Settings, keeper: Keeper, content: Callable[[Dataset], str | None]
    ) -> None:
        self._content = content
        self._keeper, self._tolerances = keeper, {n: getattr(settings, n) for n in TOLERANCES}
        place = settings.against
        assert place is not None
        folder = folder_of(settings) if place == LATEST else Path(place)
        if folder is None:
            raise ConfigurationError(
                "--ann-against latest needs the folder of --ann-results, and --ann-results is "
                "off. Name a file or folder."
            )
        try:
            self._stored = read_results([folder])
        except ConfigurationError:
            if place != LATEST:
                raise
            self._stored = Results(cases=(), folders={})  # the first session of a project
        known = [case for case in self._stored.cases if case.session != keeper.store.session]
        self._known = sorted(known, key=lambda case: case.measured_at)

    def held(self, job: Job, outcomes: Sequence[Outcome]) -> list[Outcome]:
        """Adds to each measurement of a job the findings against the newest stored one.

        Findings on build and memory are on the job's first measurement, as in a gate.
        """
        content = self._content(job.dataset)
        measured = [outcome for outcome in outcomes if isinstance(outcome, Measurement)]
        beside = {
            one.case_id: stored
            for one, search in zip(measured, _searches(job, measured), strict=True)
            if (stored := self._stored_of(job, search)) is not None
        }
        gates = self._missing(job, [one for one in measured if one.case_id not in beside])
        for number, (case_id, stored) in enumerate(beside.items()):
            began = min(one.measured_at for one in beside.values() if one.session == stored.session)
            name = f"{stored.build_label} of {began or 'an unknown time'}"
            if content is None or stored.dataset_sha256 != content:
                why = f"0 queries in common, since {stored.dataset} has another content now"
                gates[case_id] = Gated(baseline=name, notes=(why,))
                continue
            (mine,) = (one for one in measured if one.case_id == case_id)
            found = tuple(self._findings(mine, stored, whole=number == 0))
            advice = tuple(verdict.advice(found))
            gates[case_id] = Gated(baseline=name, findings=found, advice=advice)
        return [
            replace(one, gate=gates[one.case_id]) if isinstance(one, Measurement) else one
            for one in outcomes
        ]

    def _missing(self, job: Job, measured: Sequence[Measurement]) -> dict[str, Gated]:
        searches = _searches(job, measured)
        labels = ", ".join(map(_setting, searches))
        note = f"nothing is stored to compare {labels} with"
        if any(self._stored_of(job, search, same_queries=False) for search in searches):
            note += ": 0 queries in common, since other queries were asked (--ann-queries)"
        return {one.case_id: Gated(baseline="what is stored", notes=(note,)) for one in measured}

    def _stored_of(
        self, job: Job, search: Search, *, same_queries: bool = True
    ) -> StoredCase | None:
        """Returns the newest stored case of the same setting and data, of any version."""
        own = _question(job.implementation.name, _label(job, search))
        limits, queries = job.limits, label_of(job.dataset.queries)
        which = (limits.n_queries, queries, limits.query_order)
        asked = (own, job.dataset.name, search.k, limits.subset, *which)
        for one in reversed(self._known):
            name = _question(one.implementation, one.label)
            which = (one.query_sample, one.queries, one.query_order)
            known = (name, one.dataset, one.k, one.subset, *which)
            n_asked = len(asked) if same_queries else len(asked) - len(which)
            if known[:n_asked] == asked[:n_asked] and one.failure is None and not one.is_foreign:
                return one
        return None

    def _findings(self, mine: Measurement, stored: StoredCase, *, whole: bool) -> Iterator[Finding]:
        """Yields the findings of one measurement; with ``whole``, those of build and memory too."""
        at = f"at {stored.search.label}" if stored.search.label else ""
        yield from _recall(mine, stored, self._stored, self._tolerances["max_recall_drop"], at)
        if whole and mine.index_bytes and stored.index_bytes:
            bound = self._tolerances["max_memory_rise"]
            yield _size("index", mine.index_bytes, stored.index_bytes, bound)
        if whole and mine.peak_rss_bytes and stored.peak_rss_bytes:
            yield _not_gated("peak", mine.peak_rss_bytes, stored.peak_rss_bytes, LIBRARIES, "")
        if stored.machine != self._keeper.machine:
            return
        for figure, field in (*TIMES, *(OF_BUILD if whole else ())):
            now, then = getattr(mine, field), getattr(stored, field)
            if now and then:
                of = "" if (figure, field) in OF_BUILD else at
                yield _not_gated(figure, now, then, ANOTHER_MINUTE, of)


def _searches(job: Job, measured: Sequence[Measurement]) -> list[Search]:
    by_case = {search.case_id: search for search in job.searches}
    return [by_case[one.case_id] for one in measured]


def _label(job: Job, search: Search) -> str:
    """Returns the label as the store has it, without the number of a repetition."""
    asked = place(job.dataset.name, job.limits.subset, job.dataset.queries)
    return AGAIN.sub("", search.case_id.removesuffix(f"-{asked}-k{search.k}"))


def _setting(search: Search) -> str:
    return search.arguments.label or "it"


def _question(implementation: str, label: str) -> tuple[str, str]:
    """Returns name and setting, without the version."""
    return implementation.partition("@")[0], label.removeprefix(implementation)


def _recall(
    mine: Measurement, stored: StoredCase, results: Results, bound: float, at: str
) -> Iterator[Finding]:
    samples = results.samples(stored)
    now = mine.query_hits
    then = samples.query_hits if samples is not None else None
    if now is None or then is None or len(now) != len(then) or not stored.rounds:
        if stored.recall is not None:
            yield _not_gated("recall", mine.recall, stored.recall, "not known by query", at)
        return
    # Hits per query, averaged over the rounds.
    first = np.asarray(now, np.float64) / mine.rounds
    second = np.asarray(then, np.float64) / stored.rounds
    if np.array_equal(first, second):
        yield Finding(
            figure="recall",
            word=NO_CHANGE,
            change=0.0,
            bound=bound,
            at=at,
            why=f"each of {len(now):,} queries finds as many neighbours as before",
            sessions=1,
        )
        return
    found = recalls.difference([first], [second], mine.k)
    finding = verdict.of_recalls(found, [found.mean], at=at, bound=bound)
    yield replace(finding, candidate=mine.recall, baseline=stored.recall or math.nan)


def _size(figure: str, now: float, then: float, bound: float) -> Finding:
    change = 0.0 if abs(now - then) < ROUNDING_BYTES else now / then - 1
    return Finding(
        figure=figure,
        word=WORSE if change >= bound else NO_CHANGE,
        change=change,
        low=change,
        high=change,
        bound=bound,
        p=0.0,  # sizes are exact, not sampled
        candidate=now,
        baseline=then,
        sessions=1,
    )


def _not_gated(figure: str, now: float, then: float, why: str, at: str) -> Finding:
    change = now - then if figure == "recall" else now / then - 1
    return Finding(
        figure=figure,
        word=NOT_GATED,
        change=change,
        at=at,
        why=why,
        candidate=now,
        baseline=then,
        sessions=1,
    )
