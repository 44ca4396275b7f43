"""The part of a gate in a session: jobs with the baseline's own build, and their verdicts."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any

from pytest_annmodal.errors import ConfigurationError
from pytest_annmodal.finding import CANNOT_TELL, WORSE, Finding, Gated
from pytest_annmodal.gate import statistics, verdict
from pytest_annmodal.model import Case, Gate, Job
from pytest_annmodal.outcome import Measurement, Outcome
from pytest_annmodal.session.baseline import choose
from pytest_annmodal.session.selection import offered_implementations
from pytest_annmodal.settings.config import Settings
from pytest_annmodal.settings.option import STRICT_GATE
from pytest_annmodal.tolerances import TOLERANCES

AT_RECALL = 0.95  # where speeds are compared by default
Tolerances = dict[str, float | None]


def is_gated(settings: Settings) -> bool:
    """Whether this session is gated; ``--ann-gate`` in an ini file needs a baseline to count."""
    return settings.gate is not None and settings.baseline is not None and settings.grade is None


def tolerances_of(settings: Settings, marker: Mapping[str, Any]) -> Tolerances:
    """Returns how much worse each figure may be, from a test's marker or else the options."""
    return {name: marker.get(name, getattr(settings, name)) for name in TOLERANCES}


class Gating:
    """Prepares the jobs of a gated session, and judges all their outcomes together.

    Attributes:
        finished: outcomes with verdicts, by case.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.finished: dict[str, Outcome] = {}
        self._strictest: dict[str, Tolerances] = {}  # by case: several tests may ask for it
        self._known: list[Finding] = []
        self._waiting: list[tuple[Job, Future[Sequence[Outcome]]]] = []

    def tolerate(self, cases: Iterable[Case], marker: Mapping[str, Any]) -> None:
        """Remembers a test's tolerances: a job runs until its strictest test is decided."""
        allowed = tolerances_of(self._settings, marker)
        for case in cases:
            known = self._strictest.get(case.id)
            self._strictest[case.id] = allowed if known is None else _stricter([known, allowed])

    def prepared(self, jobs: Sequence[Job], *, remote: bool) -> list[Job]:
        """Returns gated jobs, each against the baseline's build with the same parameters.

        Raises:
            ConfigurationError: a submission, which cannot be gated.
        """
        for job in jobs:
            if not job.implementation.trusted:
                raise ConfigurationError(
                    "--ann-gate asks every query several times, and "
                    f"{job.implementation.name} is a submission, which could remember them. "
                    "Offer its folder with --ann-implementations instead, if you trust it."
                )
        return [self._prepared(job, len(jobs), remote=remote) for job in jobs]

    def _prepared(self, job: Job, n_jobs: int, *, remote: bool) -> Job:
        settings = self._settings
        offered = offered_implementations(settings)
        baseline = choose(settings, offered, remote=remote, beside=job)
        assert baseline is not None
        defaults = tolerances_of(settings, {})
        allowed = [self._strictest.get(search.case_id, defaults) for search in job.searches]
        gate = Gate(
            at_recall=settings.at_recall or AT_RECALL,
            asked_for=settings.at_recall is not None,
            tolerances=_stricter(allowed),
            n_jobs=n_jobs,
        )
        return dataclasses.replace(job, baseline=dataclasses.replace(baseline, gate=gate))

    def expect(self, job: Job, future: Future[Sequence[Outcome]]) -> None:
        """Adds a submitted job, whose outcomes will be judged."""
        self._waiting.append((job, future))

    def settled(self) -> list[tuple[Job, list[Outcome]]]:
        """Returns the newly finished jobs and their outcomes with verdicts."""
        done = [one for one in self._waiting if one[1].done()]
        self._waiting = [one for one in self._waiting if not one[1].done()]
        found = [
            (job, future.result())
            for job, future in done
            if not future.cancelled() and future.exception() is None
        ]
        judged = self._judged([outcome for _, ones in found for outcome in ones])
        self.finished.update((outcome.case_id, outcome) for outcome in judged)
        outcomes = iter(judged)
        return [(job, [next(outcomes) for _ in ones]) for job, ones in found]

    def _judged(self, outcomes: Sequence[Outcome]) -> list[Outcome]:
        """Adds verdicts, corrected for all findings of a figure in this session (Holm)."""
        new = [finding for outcome in outcomes for finding in findings_of(outcome)]
        self._known += new
        adjusted: dict[int, float] = {}
        for figure in {finding.figure for finding in new}:
            tested = [finding for finding in self._known if finding.figure == figure]
            ps = statistics.holm([finding.p for finding in tested])
            adjusted.update(zip(map(id, tested), ps, strict=True))
        return [_settled(outcome, adjusted, self._settings.sessions) for outcome in outcomes]


def _settled(outcome: Outcome, adjusted: Mapping[int, float], max_sessions: int) -> Outcome:
    gated = outcome.gate if isinstance(outcome, Measurement) else None
    if gated is None:
        return outcome
    found = tuple(
        dataclasses.replace(
            verdict.judged(finding, finding.bound, p=adjusted[id(finding)]),
            p=adjusted[id(finding)],
        )
        for finding in gated.findings
    )
    return dataclasses.replace(outcome, gate=_advised(gated, found, max_sessions))  # type: ignore[arg-type]


def judged_by(measurement: Measurement, allowed: Tolerances, max_sessions: int) -> Measurement:
    """Returns the measurement with the verdicts by one test's tolerances."""
    gated = measurement.gate
    if gated is None:
        return measurement
    found = tuple(
        verdict.judged(finding, allowed[finding.row.tolerance]) for finding in gated.findings
    )
    return dataclasses.replace(measurement, gate=_advised(gated, found, max_sessions))


def _advised(gated: Gated, found: tuple[Finding, ...], max_sessions: int) -> Gated:
    advice = tuple(verdict.advice(found, max_sessions))
    return dataclasses.replace(gated, findings=found, advice=advice)


def findings_of(outcome: Outcome) -> tuple[Finding, ...]:
    gated = outcome.gate if isinstance(outcome, Measurement) else None
    return gated.findings if gated is not None else ()


def failures(measurement: Measurement, settings: Settings) -> list[str]:
    """Returns one line for each figure that fails the gate."""
    gated = measurement.gate
    if gated is None or not (is_gated(settings) or settings.against):
        return []
    lines = [finding.says(gated.baseline) for finding in gated.of(WORSE)]
    if settings.gate == STRICT_GATE:
        lines += [
            f"cannot tell whether {finding.name} is worse than {gated.baseline}: {finding.why}"
            for finding in gated.of(CANNOT_TELL)
        ]
    return lines


def _stricter(allowed: Iterable[Tolerances]) -> Tolerances:
    several = list(allowed)
    known = {name: [one[name] for one in several if one[name] is not None] for name in TOLERANCES}
    return {name: min(values, default=None) for name, values in known.items()}  # type: ignore[type-var]
