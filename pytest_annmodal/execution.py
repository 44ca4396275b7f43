"""Runs one job: measure, interpolate, compare."""

from __future__ import annotations

from pathlib import Path

from pytest_annmodal.comparison.compare import compare
from pytest_annmodal.errors import (
    AnnModalError,
    SubmissionError,
)
from pytest_annmodal.gate.gate import gate
from pytest_annmodal.jobs import equal_settings, training_data
from pytest_annmodal.jobs.asking import OnPhase
from pytest_annmodal.jobs.runner import _not_to_blame, ask_job
from pytest_annmodal.jobs.scorer import Scorer
from pytest_annmodal.model import Job
from pytest_annmodal.outcome import Outcome, failure_of
from pytest_annmodal.scoring import operating_points


def run_job(
    job: Job,
    path: Path,
    *,
    cache: Path | None = None,
    on_phase: OnPhase = lambda _text: None,
) -> list[Outcome]:
    """Run one job and return one outcome per search, in the order of ``job.searches``.

    Args:
        path: the dataset's HDF5 file, already resolved.
        cache: directory for computed ground truth.
        on_phase: told in a few words what is being done.

    Never raises for what an implementation does; a dataset that cannot be used is a
    ``Failure`` with blame ``infrastructure``.
    """
    try:
        on_phase("loading")
        data = training_data.load(job, path, cache)
    except SubmissionError as error:
        return [failure_of(s.case_id, error, "load") for s in job.searches]
    except AnnModalError as error:
        return [_not_to_blame(s, "dataset", str(error)) for s in job.searches]
    n, dim = data.train.shape
    once = equal_settings.once(job, n=n, dim=dim)
    found = ask_job(once, data, on_phase=on_phase, score=Scorer(once, data).measurement)
    if job.limits.at_recall is not None:
        found = operating_points.with_qps_at(found, job.limits.at_recall)
    if job.baseline is not None and job.baseline.gate is not None:
        found = gate(once, data, found, on_phase)
    elif job.baseline is not None:
        found = compare(once, data, found, on_phase)
    return equal_settings.for_all(job, found, n=n, dim=dim)
