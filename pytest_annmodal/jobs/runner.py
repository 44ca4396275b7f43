"""Drives workers through a job and returns an outcome for each search.

The code is the same on this machine and in a container.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from typing import TypeVar

from pytest_annmodal.datasets import hdf5
from pytest_annmodal.errors import (
    AnnModalError,
    ConfigurationError,
    DatasetError,
    ExecutorError,
    SubmissionError,
    large_k,
)
from pytest_annmodal.jobs.asking import OnPhase
from pytest_annmodal.jobs.cold import with_first_pass
from pytest_annmodal.jobs.load.levels import under_load
from pytest_annmodal.jobs.scorer import Unscored
from pytest_annmodal.jobs.trial import Trial
from pytest_annmodal.model import Job, Search
from pytest_annmodal.outcome import Failure, failure_of

INTERRUPTED = "not run: the session was interrupted in an earlier level of load"
T = TypeVar("T")
Choose = Callable[[Trial, Search, OnPhase], Search]


def ask_job(
    job: Job,
    data: hdf5.Vectors,
    *,
    score: Callable[[Unscored], T],
    on_phase: OnPhase = lambda _text: None,
    choose: Choose = lambda _trial, search, _on_phase: search,
) -> list[T | Failure]:
    """Drives workers through a job; each search is scored before the next begins.

    Args:
        choose: finds the arguments of a search that has a target.
    """
    outcomes: dict[str, T | Failure] = {}

    asked = _Asked(choose)

    def scored(trial: Trial, search: Search, on_phase: OnPhase) -> T:
        return score(asked(trial, search, on_phase))

    if job.limits.fresh_seed is not None:  # each fresh query is asked once
        once = tuple(dataclasses.replace(search, rounds=1) for search in job.searches)
        job = dataclasses.replace(job, searches=once)
    try:
        _check_job(job, data)
    except AnnModalError as error:
        return [_not_to_blame(s, "dataset", str(error)) for s in job.searches]
    if job.implementation.error:
        return [*unusable(job)]
    if data.info.metric not in job.implementation.metrics:
        return [_not_served(job, s, data.info.metric) for s in job.searches]
    while todo := [s for s in job.searches if s.case_id not in outcomes]:
        # If a search ends the worker, the others get a new worker and a new build.
        try:
            for search, outcome in _drive(job, data, todo, on_phase, scored):
                outcomes[search.case_id] = outcome
        except (OSError, ExecutorError, ConfigurationError) as error:
            # Memory, a process, the compiler or bubblewrap is missing: not the submission's fault.
            text = f"the worker could not be run here: {error}"
            lost = [s for s in todo if s.case_id not in outcomes]
            outcomes.update((s.case_id, _not_to_blame(s, "infrastructure", text)) for s in lost)
    return [outcomes[s.case_id] for s in job.searches]


class _Asked:
    """Measures searches; a setting that serves several targets is measured once."""

    def __init__(self, choose: Choose) -> None:
        self._choose = choose
        self._known: dict[tuple[str, int, int], Unscored] = {}

    def __call__(self, trial: Trial, search: Search, on_phase: OnPhase) -> Unscored:
        chosen = self._choose(trial, search, on_phase)
        if search.target is None:
            return self._measured(trial, chosen, on_phase)
        key = chosen.arguments.key, chosen.k, chosen.rounds
        if key not in self._known:
            self._known[key] = self._measured(trial, chosen, on_phase)
        return dataclasses.replace(self._known[key], case_id=search.case_id)

    @staticmethod
    def _measured(trial: Trial, chosen: Search, on_phase: OnPhase) -> Unscored:
        def ask() -> Unscored:
            return trial.ask(chosen, on_phase)

        asked = with_first_pass(trial, chosen, on_phase, ask)
        return under_load(trial, chosen, asked, on_phase)


def unusable(job: Job) -> list[Failure]:
    """Returns a failure for every search of a submission whose text is wrong; it is not run."""
    error = SubmissionError(job.implementation.error or "", kind="unusable")
    return [failure_of(search.case_id, error, "read") for search in job.searches]


def _check_job(job: Job, data: hdf5.Vectors) -> None:
    k = max(search.k for search in job.searches)
    if k > len(data.train):
        raise DatasetError(large_k(f"k={k}", len(data.train), job.dataset.name))


def _drive(
    job: Job,
    data: hdf5.Vectors,
    searches: Sequence[Search],
    on_phase: OnPhase,
    scored: Callable[[Trial, Search, OnPhase], T],
) -> Iterator[tuple[Search, T | Failure]]:
    """Runs one worker through one build and as many searches as it survives."""
    with ExitStack() as stack:
        trial = Trial(job, data, stack)
        try:
            trial.load(on_phase)
            trial.build(on_phase)
        except SubmissionError as error:
            yield from ((s, failure_of(s.case_id, error, trial.worker.phase)) for s in searches)
            trial.worker.abandon()
            return
        for number, search in enumerate(searches, 1):
            if trial.interrupted:
                yield search, _not_to_blame(search, "interrupted", INTERRUPTED)
                continue
            if trial.worker.abandoned:  # it ended in a level of load
                return
            on_phase(f"queries, setting {number} of {len(searches)}")
            try:
                yield search, scored(trial, search, on_phase)
            except SubmissionError as error:
                error.evidence.setdefault("log_tail", trial.worker.log_tail())
                yield search, failure_of(search.case_id, error, trial.worker.phase)
                if not trial.worker.in_step(error):
                    trial.worker.abandon()
                    return


def _not_served(job: Job, search: Search, metric: str) -> Failure:
    """Returns the failure for a metric that became known only when the file was loaded."""
    served = ", ".join(job.implementation.metrics)
    text = (
        f"{job.implementation.name} does not serve {metric}, the metric of {job.dataset.name}; "
        f"it serves {served}"
    )
    return Failure(case_id=search.case_id, kind="metric", message=text, phase="load")


def _not_to_blame(search: Search, kind: str, message: str) -> Failure:
    return Failure(
        case_id=search.case_id,
        kind=kind,
        message=message,
        phase="load" if kind == "dataset" else "start",
        blame="infrastructure",
    )
