"""Runs sessions until a job is decided; the findings go into its Measurements."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from contextlib import ExitStack

from pytest_annmodal.comparison.interleaving import BUDGET_S, Session
from pytest_annmodal.datasets import hdf5
from pytest_annmodal.errors import BaselineError, SubmissionError
from pytest_annmodal.finding import CANNOT_TELL, Finding, Gated
from pytest_annmodal.gate import conditions, race, statistics, verdict
from pytest_annmodal.gate.contest import Contest
from pytest_annmodal.gate.race import Scored
from pytest_annmodal.gate.verdict import Series
from pytest_annmodal.jobs.asking import OnPhase
from pytest_annmodal.model import Baseline, Gate, Job
from pytest_annmodal.outcome import Failure, Measurement, Outcome, failure_of

PHASE = "gate"
Found = dict[str, list[Finding]]  # by case


def gate(
    job: Job,
    data: hdf5.LoadedDataset,
    outcomes: Sequence[Outcome],
    on_phase: OnPhase,
    *,
    notes: Sequence[str] = (),
) -> list[Outcome]:
    """Adds a :class:`~pytest_annmodal.finding.Gated` to each measurement.

    A candidate that fails here gets a failure and is not called worse. A failure of the baseline
    is blamed on the infrastructure.

    Args:
        notes: about both sides.
    """
    baseline = job.baseline
    assert baseline is not None
    assert baseline.gate is not None
    measured = [item for item in outcomes if isinstance(item, Measurement)]
    if not measured:
        return list(outcomes)
    if data.info.metric not in baseline.implementation.metrics:
        note = f"no gate: {baseline.implementation.name} does not serve {data.info.metric}"
        return [_with(item, Gated(baseline=baseline.label, notes=(note,))) for item in outcomes]
    before, run = conditions.read(), _Run(job, baseline, baseline.gate, data, measured)
    try:
        run.until_decided(on_phase)
    except SubmissionError as error:
        failed = failure_of("", error, PHASE)
        return _all_failed(outcomes, lambda case: dataclasses.replace(failed, case_id=case))
    except (BaselineError, OSError) as error:
        text = str(error)
        return _all_failed(outcomes, lambda case: _not_to_blame(case, text))
    notes = [*notes, *conditions.notes(before, conditions.read())]
    return [_gated(item, baseline, run.findings(), notes) for item in outcomes]


def _with(outcome: Outcome, gated: Gated) -> Outcome:
    if isinstance(outcome, Failure):
        return outcome
    return dataclasses.replace(outcome, gate=gated)


def _gated(outcome: Outcome, baseline: Baseline, found: Found, notes: Sequence[str]) -> Outcome:
    own = tuple(found.get(outcome.case_id, ()))
    return _with(outcome, Gated(baseline=baseline.label, findings=own, notes=tuple(notes)))


def _all_failed(outcomes: Sequence[Outcome], failure: Callable[[str], Failure]) -> list[Outcome]:
    return [item if isinstance(item, Failure) else failure(item.case_id) for item in outcomes]


def _not_to_blame(case_id: str, text: str) -> Failure:
    return Failure(
        case_id=case_id,
        kind="infrastructure",
        message=text,
        phase=PHASE,
        blame="infrastructure",
    )


class _Run:
    """The results of one job's sessions so far."""

    def __init__(
        self,
        job: Job,
        baseline: Baseline,
        gate: Gate,
        data: hdf5.LoadedDataset,
        measured: Sequence[Measurement],
    ) -> None:
        by_case = {item.case_id: item for item in measured}
        searches = tuple(search for search in job.searches if search.case_id in by_case)
        self._job, self._baseline, self._gate = (
            dataclasses.replace(job, searches=searches),
            baseline,
            gate,
        )
        self._data, self._scored = data, Scored(data)
        self._looks = statistics.looks(baseline.max_sessions)
        self._first = searches[0].case_id
        self._sizes = [Series(figure=name) for name in ("build", "index", "peak")]
        self._contests = [
            Contest([s for s in searches if s.k == k], by_case, baseline, gate, self._scored)
            for k in dict.fromkeys(search.k for search in searches)
        ]

    def until_decided(self, on_phase: OnPhase) -> None:
        for number in range(self._looks[-1]):
            on_phase(
                f"gate, session {number + 1} of at most {self._looks[-1]}, "
                f"against {self._baseline.label}"
            )
            self._session(number)
            if number + 1 in self._looks and self._is_decided():
                return

    def _session(self, number: int) -> None:
        with ExitStack() as stack:
            session = Session(
                self._job, self._baseline, self._data, stack, number=number, lead=race.LEAD
            )
            session.build(lambda _text: None)
            trials = [race.side(session, side).trial for side in race.SIDES]
            sizes: list[list[float]] = [
                [t.build_s for t in trials],
                [t.index_bytes for t in trials],
            ]
            for contest in self._contests:
                contest.ask(session, number, min(BUDGET_S, self._job.limits.max_search_s))
            sizes.append([trial.own_peak_bytes for trial in trials])
        for series, values in zip(self._sizes, sizes, strict=True):
            series.add(values)

    def _is_decided(self) -> bool:
        """Whether no more sessions are needed, with p adjusted for all jobs (Holm's worst case).

        Sessions are run for speed; another figure asks for more of them only if it looks worse.
        """
        found = [finding for ones in self.findings().values() for finding in ones]
        return all(
            verdict.judged(one, one.bound, p=one.p * self._gate.n_jobs).word != CANNOT_TELL
            for one in found
            if one.figure != "recall" and one.low is not None
            if one.figure == "speed" or (one.bound is not None and one.worse_by >= one.bound)
        )

    def findings(self) -> Found:
        """Returns findings by case; those of the whole job belong to its first case."""
        found: Found = {}
        for contest in self._contests:
            for case_id, finding in contest.findings(len(self._looks)):
                found.setdefault(case_id, []).append(finding)
        for series in self._sizes:
            if series.usable:
                bound = self._gate.tolerances[series.tolerance]
                finding = verdict.of_series(series, n_looks=len(self._looks), bound=bound)
                found.setdefault(self._first, []).append(finding)
        return found
