"""A job in two halves: a worker is asked where the truth is absent, and scored elsewhere."""

from __future__ import annotations

import dataclasses
from typing import Protocol

from pytest_annmodal.datasets import hdf5
from pytest_annmodal.distances import exact
from pytest_annmodal.errors import ProtocolViolationError, SubmissionError
from pytest_annmodal.jobs import equal_settings, training_data
from pytest_annmodal.jobs.asking import OnPhase
from pytest_annmodal.jobs.halves.answers import Answered, pack, unpack
from pytest_annmodal.jobs.runner import ask_job
from pytest_annmodal.jobs.scorer import Scorer, Unscored
from pytest_annmodal.model import Job
from pytest_annmodal.outcome import Failure, Measurement, Outcome, failure_of
from pytest_annmodal.scoring import operating_points

SCORING = "scoring"
RACED = ("build_s", "index_bytes", "peak_rss_bytes")  # the larger of measurement and race


class Compare(Protocol):
    """Races a job's settings with its baseline: ``comparison.compare``, a room above."""

    def __call__(
        self, job: Job, data: hdf5.LoadedDataset, found: list[Outcome], on_phase: OnPhase, /
    ) -> list[Outcome]: ...


def answer(
    job: Job,
    data: hdf5.Vectors,
    *,
    compare: Compare,
    notes: tuple[str, ...] = (),
    on_phase: OnPhase,
) -> bytes:
    """Drives workers through a job and packs their answers.

    Args:
        compare: called if the job has a baseline.
        notes: added to every measurement.
    """
    found: list[Unscored | Failure] = ask_job(
        job, data, score=lambda unscored: unscored, on_phase=on_phase
    )
    found = [_noted(item, notes) for item in found]
    if job.baseline is None:
        return pack([Answered(result=item) for item in found])
    return pack(_compared(job, data, found, compare, on_phase))


def _noted(item: Unscored | Failure, notes: tuple[str, ...]) -> Unscored | Failure:
    if isinstance(item, Failure) or not notes:
        return item
    return dataclasses.replace(item, observed=item.observed.noted(notes))


def _compared(
    job: Job,
    data: hdf5.Vectors,
    found: list[Unscored | Failure],
    compare: Compare,
    on_phase: OnPhase,
) -> list[Answered]:
    """Compares the settings with the baseline's.

    Settings are paired by recall, so the truth is computed here. The answers that count for
    recall have already been given.
    """
    loaded = _with_truth(data)
    scorer = Scorer(job, loaded)
    measured = [_scored(scorer, item) for item in found]
    rows = []
    compared = compare(job, loaded, measured, on_phase)
    for item, before, after in zip(found, measured, compared, strict=True):
        if isinstance(item, Failure) or isinstance(before, Failure):
            rows.append(Answered(result=item))  # scoring it gives the same failure
        elif isinstance(after, Failure):
            rows.append(Answered(result=after))
        else:
            notes = tuple(note for note in after.notes if note not in before.notes)
            more = {name: getattr(after, name) for name in RACED}
            observed = dataclasses.replace(item.observed, **more)
            raced = dataclasses.replace(item, observed=observed)
            rows.append(Answered(result=_noted(raced, notes), comparison=after.comparison))
    return rows


def _with_truth(data: hdf5.Vectors) -> hdf5.LoadedDataset:
    info = data.info
    neighbors, distances = exact.knn(data.train, data.test, info.k_truth, info.metric)
    return hdf5.LoadedDataset(
        info=info,
        train=data.train,
        test=data.test,
        train_map=data.train_map,
        neighbors=neighbors,
        distances=distances,
        n_zero_train=0,
        n_zero_test=0,
        n_duplicates=0,
        truth_computed=True,
    )


def _scored(scorer: Scorer, item: Unscored | Failure) -> Outcome:
    if isinstance(item, Failure):
        return item
    try:
        return scorer.measurement(item)
    except SubmissionError as error:
        return failure_of(item.case_id, error, SCORING)


def score(job: Job, data: hdf5.LoadedDataset, answers: bytes) -> list[Outcome]:
    """Returns one outcome per search, from what :func:`answer` packed.

    Args:
        data: the job's, with the truth, as
            :func:`pytest_annmodal.jobs.training_data.load` returns it.
    """
    views = training_data.views(job, data)
    n_queries = {key: (len(one.test), len(many.test)) for key, (one, many) in views.items()}
    try:
        found = unpack(answers, job, n_queries)
    except ProtocolViolationError as error:
        return [failure_of(search.case_id, error, SCORING) for search in job.searches]
    scorer = Scorer(job, data)
    outcomes = []
    for item in found:
        outcome = _scored(scorer, item.result)
        if isinstance(outcome, Measurement) and item.comparison is not None:
            outcome = dataclasses.replace(outcome, comparison=item.comparison)
        outcomes.append(outcome)
    if job.limits.at_recall is not None:
        outcomes = operating_points.with_qps_at(outcomes, job.limits.at_recall)
    return equal_settings.for_all(job, outcomes, n=len(data.train), dim=data.info.dim)
