"""Runs sessions until every search of a job is decided; results go into its Measurements."""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

from pytest_annmodal.comparison import verdict
from pytest_annmodal.comparison.interleaving import PROBES, Session, Size
from pytest_annmodal.comparison.schedule import SessionResult
from pytest_annmodal.datasets import hdf5
from pytest_annmodal.errors import BaselineError, SubmissionError
from pytest_annmodal.jobs.asking import OnPhase
from pytest_annmodal.model import Arguments, Baseline, Job, Search
from pytest_annmodal.outcome import Comparison, Failure, Measurement, Outcome, failure_of
from pytest_annmodal.scoring import operating_points
from pytest_annmodal.scoring.operating_points import EQUAL_RECALL, Level

PHASE = "comparison"


@dataclass(slots=True, kw_only=True)
class Contest:
    """One search setting, the baseline's settings that it races, and its results so far.

    Attributes:
        opponents: the baseline's settings.
        chosen_at: the recall that the opponents were chosen for.
        recalls: of its answers in each session's race.
        sizes: of its index and build in each session.
        results: of the sessions with these opponents.
    """

    search: Search
    part: int
    measurement: Measurement
    opponents: tuple[Arguments, ...] = ()
    chosen_at: float = 0.0
    recalls: list[float] = field(default_factory=list)
    sizes: list[Size] = field(default_factory=list)
    results: list[SessionResult] = field(default_factory=list)
    result: Outcome | None = None

    @property
    def misplaced(self) -> bool:
        """Whether it races at another recall than its opponents were chosen for.

        A submission can tell a race from the measurement. If it answered well there, and fast but
        less well here, it would race slow settings of the baseline.
        """
        if not self.results:
            return False
        away = statistics.fmean(result.recall - result.baseline_recall for result in self.results)
        moved = statistics.fmean(self.recalls) - self.chosen_at
        return abs(away) > EQUAL_RECALL and abs(moved) > EQUAL_RECALL


def compare(
    job: Job, data: hdf5.LoadedDataset, outcomes: Sequence[Outcome], on_phase: OnPhase
) -> list[Outcome]:
    """Adds a :class:`Comparison` to each measurement.

    A submission that fails here gets a failure, since all its builds count. A failure of the
    baseline is blamed on the infrastructure.
    """
    baseline = job.baseline
    assert baseline is not None
    if data.info.metric not in baseline.implementation.metrics:
        note = f"not compared: {baseline.implementation.name} does not serve {data.info.metric}"
        return [noted(outcome, note) for outcome in outcomes]
    contests = [
        Contest(search=search, part=part, measurement=outcome)
        for part, (search, outcome) in enumerate(zip(job.searches, outcomes, strict=True))
        if isinstance(outcome, Measurement)
    ]
    try:
        _run(job, baseline, data, contests, on_phase)
    except (BaselineError, OSError) as error:
        for contest in _undecided(contests):
            contest.result = Failure(
                case_id=contest.search.case_id,
                kind="infrastructure",
                message=str(error),
                phase=PHASE,
                blame="infrastructure",
            )
    found = {contest.search.case_id: contest.result for contest in contests}
    return [found.get(outcome.case_id) or outcome for outcome in outcomes]


def noted(outcome: Outcome, note: str) -> Outcome:
    """Adds a note to an outcome that is a measurement."""
    if isinstance(outcome, Failure):
        return outcome
    return dataclasses.replace(outcome, notes=(*outcome.notes, note))


def _undecided(contests: Sequence[Contest]) -> list[Contest]:
    return [contest for contest in contests if contest.result is None]


def _run(
    job: Job,
    baseline: Baseline,
    data: hdf5.LoadedDataset,
    contests: Sequence[Contest],
    on_phase: OnPhase,
) -> None:
    looks = verdict.looks(baseline.max_sessions)
    for number in range(looks[-1]):
        # If a search ends the worker, the others get new builds.
        while todo := [c for c in _undecided(contests) if len(c.recalls) <= number]:
            session = f"session {number + 1} of at most {looks[-1]}"
            on_phase(f"comparison, {session}, with {baseline.label}")
            _session(job, baseline, data, todo, number)
        if number + 1 in looks:
            for contest in _undecided(contests):
                trusted = job.implementation.trusted
                _judge(contest, baseline, last=number + 1 == looks[-1], trusted=trusted)


def _session(
    job: Job,
    baseline: Baseline,
    data: hdf5.LoadedDataset,
    contests: Sequence[Contest],
    number: int,
) -> None:
    with ExitStack() as stack:
        session = Session(job, baseline, data, stack, number=number)
        try:
            session.build(lambda _text: None)
        except SubmissionError as error:
            for contest in contests:
                contest.result = failure_of(contest.search.case_id, error, PHASE)
            session.candidate.trial.worker.abandon()
            return
        for contest in contests:
            if not contest.opponents or contest.misplaced:
                _choose_opponents(session, baseline, contest)
            try:
                result = session.compare(contest.search, contest.part, contest.opponents)
            except SubmissionError as error:
                contest.result = failure_of(contest.search.case_id, error, PHASE)
                session.candidate.trial.worker.abandon()
                return
            contest.results.append(result)
            contest.recalls.append(result.recall)
            contest.sizes.append(session.size())


def _choose_opponents(session: Session, baseline: Baseline, contest: Contest) -> None:
    """Sets the opponents: the baseline's settings around this recall, or its only one.

    Bouts with other opponents are discarded.
    """
    recalls = contest.recalls or [contest.measurement.recall]
    contest.chosen_at, before = statistics.fmean(recalls), contest.opponents
    contest.opponents = baseline.searches
    if len(baseline.searches) > 1:
        found: list[Level] = session.levels(contest.search, baseline.searches)
        chosen = operating_points.opponents(
            found, contest.chosen_at, n_answers=PROBES * contest.search.k
        )
        contest.opponents = tuple(baseline.searches[level.index] for level in chosen)
    if contest.opponents != before:
        contest.results.clear()


def _judge(contest: Contest, baseline: Baseline, *, last: bool, trusted: bool) -> None:
    """Sets the result, unless more sessions are needed to decide."""
    results = contest.results
    ratios = [result.log_ratio for result in results]
    controls = [result.control_log_ratio for result in results]
    found = None
    if len(results) > 1:
        found = verdict.judge(
            ratios,
            controls,
            difference=baseline.difference,
            max_sessions=baseline.max_sessions,
        )
        if found.word == "cannot tell" and not last:
            return
    comparison = _comparison(contest, baseline, found)
    measured = contest.measurement if trusted else _with_larger(contest.measurement, contest.sizes)
    contest.result = dataclasses.replace(measured, comparison=comparison)


def _with_larger(measured: Measurement, sizes: Sequence[Size]) -> Measurement:
    """Returns the larger build time and sizes of the measurement and the race.

    A submission can tell one from the other. For seconds the sessions' median is used, which one
    disturbed session does not change; for memory the maximum.
    """
    return dataclasses.replace(
        measured,
        build_s=max(measured.build_s, statistics.median(size.build_s for size in sizes)),
        index_bytes=max(measured.index_bytes, *(size.index_bytes for size in sizes)),
        peak_rss_bytes=max(measured.peak_rss_bytes, *(size.peak_rss_bytes for size in sizes)),
    )


def _comparison(contest: Contest, baseline: Baseline, found: verdict.Verdict | None) -> Comparison:
    results = contest.results
    ratios = [result.log_ratio for result in results]
    controls = [result.control_log_ratio for result in results]
    recall = statistics.fmean(result.recall for result in results)
    baseline_recall = statistics.fmean(result.baseline_recall for result in results)
    return Comparison(
        baseline=baseline.label,
        baseline_settings=tuple(arguments.label for arguments in contest.opponents),
        sessions=len(results),
        ratio=verdict.geometric_mean(ratios),
        low=found.interval.low if found else None,
        high=found.interval.high if found else None,
        verdict=found.word if found else None,
        why=found.why if found else "",
        difference=baseline.difference,
        recall=recall,
        baseline_recall=baseline_recall,
        equal_recall=abs(recall - baseline_recall) <= EQUAL_RECALL,
        qps=statistics.geometric_mean(result.qps for result in results),
        baseline_qps=statistics.geometric_mean(result.baseline_qps for result in results),
        ratios=tuple(map(math.exp, ratios)),
        control_ratio=verdict.geometric_mean(controls),
        control_low=found.control.low if found else None,
        control_high=found.control.high if found else None,
        control_ok=found.control_ok if found else True,
        control_ratios=tuple(map(math.exp, controls)),
    )
