"""A measurement beside a stored one: recall and memory are gated, times are shown."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from pytest_annmodal.errors import ConfigurationError
from pytest_annmodal.finding import NO_CHANGE, NOT_GATED, WORSE, Finding, Gated
from pytest_annmodal.gate import recalls, verdict
from pytest_annmodal.gate.verdict import ROUNDING_BYTES
from pytest_annmodal.model import Case
from pytest_annmodal.outcome import Measurement
from pytest_annmodal.results.folder import folder_of
from pytest_annmodal.results.reading import Results, read_results
from pytest_annmodal.results.stored import StoredCase
from pytest_annmodal.session.keeping import Keeper
from pytest_annmodal.settings.config import LATEST, Settings
from pytest_annmodal.tolerances import TOLERANCES

ANOTHER_MINUTE = "measured in another minute, so it is no verdict"
SIZES = (("index", "index_bytes"), ("peak", "peak_rss_bytes"))
TIMES = (("speed", "qps"), ("build", "build_s"), ("p99", "p99_s"))


class Against:
    """What ``--ann-against`` names.

    Args:
        keeper: of now, whose own results do not count.

    Raises:
        ConfigurationError: it names nothing that holds results.
    """

    def __init__(self, settings: Settings, keeper: Keeper) -> None:
        self._keeper, self._tolerances = keeper, {n: getattr(settings, n) for n in TOLERANCES}
        place = settings.against
        assert place is not None
        folder = folder_of(settings) if place == LATEST else Path(place)
        if folder is None:
            raise ConfigurationError(
                "--ann-against latest looks in the folder that --ann-results names, and that is "
                "off. Name a file or folder."
            )
        try:
            self._stored = read_results([folder])
        except ConfigurationError:
            if place != LATEST:
                raise
            self._stored = Results(cases=(), folders={})  # the first session of a project
        known = [case for case in self._stored.cases if case.session != keeper.store.session]
        if place == LATEST and known:
            newest = max(known, key=lambda case: case.measured_at).session
            known = [case for case in known if case.session == newest]
        self._known = sorted(known, key=lambda case: case.measured_at)

    def held(self, measurement: Measurement, case: Case, content: str | None) -> Measurement:
        """The measurement with what is found beside the newest stored one of the same question."""
        stored = next((one for one in reversed(self._known) if _is_asked(one, case)), None)
        if stored is None:
            return _with(measurement, "what is stored", "nothing is stored to compare with")
        if content is None or stored.dataset_sha256 != content:
            why = f"0 queries in common, since {case.dataset.name} has another content now"
            return _with(measurement, _name(stored), why)
        found = tuple(self._findings(measurement, stored))
        gated = Gated(baseline=_name(stored), findings=found, advice=tuple(verdict.advice(found)))
        return dataclasses.replace(measurement, gate=gated)

    def _findings(self, mine: Measurement, stored: StoredCase) -> Iterator[Finding]:
        yield from _recall(mine, stored, self._stored, self._tolerances["max_recall_drop"])
        for figure, field in SIZES:
            now, then = getattr(mine, field), getattr(stored, field)
            if now and then:
                yield _size(figure, now, then, self._tolerances["max_memory_rise"])
        if stored.machine == self._keeper.machine:
            for figure, field in TIMES:
                now, then = getattr(mine, field), getattr(stored, field)
                if now and then:
                    yield _only_told(figure, now, then, ANOTHER_MINUTE)


def _with(measurement: Measurement, baseline: str, note: str) -> Measurement:
    return dataclasses.replace(measurement, gate=Gated(baseline=baseline, notes=(note,)))


def _is_asked(stored: StoredCase, case: Case) -> bool:
    """Whether it was the same question, whatever version answered it."""
    if stored.failure is not None or stored.is_foreign:
        return False
    name, setting = stored.implementation, stored.label.removeprefix(stored.implementation)
    own = case.implementation.name
    return (name.partition("@")[0], setting, stored.dataset, stored.k, stored.subset) == (
        own.partition("@")[0],
        dataclasses.replace(case, repetition=0).label.removeprefix(own),
        case.dataset.name,
        case.k,
        case.subset,
    )


def _name(stored: StoredCase) -> str:
    return f"{stored.label} of {stored.measured_at or 'an unknown time'}"


def _recall(
    mine: Measurement, stored: StoredCase, results: Results, bound: float
) -> Iterator[Finding]:
    samples = results.samples(stored)
    now = mine.query_hits
    then = samples.query_hits if samples is not None else None
    if now is None or then is None or len(now) != len(then) or not stored.rounds:
        if stored.recall is not None:
            yield _only_told("recall", mine.recall, stored.recall, "not known by query")
        return
    # Hits of all rounds together, as if each round were some of k neighbours more.
    first = np.asarray(now, np.float64) / mine.rounds
    second = np.asarray(then, np.float64) / stored.rounds
    if np.array_equal(first, second):
        yield Finding(
            figure="recall",
            word=NO_CHANGE,
            change=0.0,
            bound=bound,
            why=f"every one of {len(now):,} queries finds as much as it did",
            sessions=1,
        )
        return
    found = recalls.difference([first], [second], mine.k)
    finding = verdict.of_recalls(found, [found.mean], at="", bound=bound)
    yield dataclasses.replace(finding, candidate=mine.recall, baseline=stored.recall or math.nan)


def _size(figure: str, now: float, then: float, bound: float) -> Finding:
    change = 0.0 if abs(now - then) < ROUNDING_BYTES else now / then - 1
    return Finding(
        figure=figure,
        word=WORSE if change >= bound else NO_CHANGE,
        change=change,
        low=change,
        high=change,
        bound=bound,
        p=0.0,  # sizes are counted, not drawn
        candidate=now,
        baseline=then,
        sessions=1,
    )


def _only_told(figure: str, now: float, then: float, why: str) -> Finding:
    change = now - then if figure == "recall" else now / then - 1
    return Finding(
        figure=figure,
        word=NOT_GATED,
        change=change,
        why=why,
        candidate=now,
        baseline=then,
        sessions=1,
    )
