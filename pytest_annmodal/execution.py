"""Runs one job: measures, interpolates, compares."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from pytest_annmodal.datasets import hdf5
from pytest_annmodal.environments import making
from pytest_annmodal.errors import (
    AnnModalError,
    ConfigurationError,
    EnvironmentBuildError,
    ExecutorError,
    SubmissionError,
)
from pytest_annmodal.jobs import equal_settings, training_data
from pytest_annmodal.jobs.asking import OnPhase
from pytest_annmodal.jobs.runner import _not_to_blame, ask_job
from pytest_annmodal.jobs.scorer import Scorer
from pytest_annmodal.jobs.tuning.tuner import Tuner
from pytest_annmodal.manifests.builtin_paths import located
from pytest_annmodal.model import Baseline, Implementation, Job
from pytest_annmodal.outcome import Measurement, Outcome, failure_of
from pytest_annmodal.scoring import operating_points

A_A = "both sides have the same packages, so this compares a version with itself (an A/A test)"
GATED_A_A = f"{A_A}: any worse or better here is a false alarm"


def run_job(
    job: Job,
    path: Path,
    *,
    cache: Path | None = None,
    on_phase: OnPhase = lambda _text: None,
) -> list[Outcome]:
    """Runs one job; returns one outcome per search, in the order of ``job.searches``.

    Never raises for errors of an implementation; a dataset that cannot be used is a ``Failure``
    with blame ``infrastructure``.

    Args:
        path: the dataset's HDF5 file, already resolved.
        cache: directory for computed ground truth.
        on_phase: called with a short text for each step.
    """
    if lost := _without_environment(job, on_phase):
        return lost
    try:
        on_phase("loading")
        data = training_data.load(job, path, cache)
        tuner = Tuner(job, data)
    except SubmissionError as error:
        return [failure_of(s.case_id, error, "load") for s in job.searches]
    except AnnModalError as error:
        return [_not_to_blame(s, "dataset", str(error)) for s in job.searches]
    n, dim = len(data.train), data.info.dim
    once = equal_settings.once(job, n=n, dim=dim)
    scorer = Scorer(once, data)
    found = ask_job(
        once,
        data,
        on_phase=on_phase,
        score=lambda unscored: tuner.with_tuning(scorer.measurement(unscored)),
        choose=tuner.choose,
    )
    if job.limits.at_recall is not None:
        found = operating_points.with_qps_at(found, job.limits.at_recall)
    if job.baseline is not None:
        found = _beside(job.baseline, once, data, found, on_phase)
    return equal_settings.for_all(job, found, n=n, dim=dim)


def _beside(
    baseline: Baseline,
    job: Job,
    data: hdf5.LoadedDataset,
    found: Sequence[Outcome],
    on_phase: OnPhase,
) -> list[Outcome]:
    """Compares a measured job with its baseline, or gates it. Most jobs have none."""
    from pytest_annmodal.comparison.compare import compare, noted
    from pytest_annmodal.gate.gate import gate

    same = _is_same(job, baseline)
    if baseline.gate is not None:
        notes = [GATED_A_A] if same and job.build == baseline.build else []
        found = gate(job, data, found, on_phase, notes=notes)
    else:
        found = compare(job, data, found, on_phase)
        if same and making.key_of(job.implementation) is not None:
            found = [noted(outcome, A_A) for outcome in found]
    return _with_versions(found, baseline.implementation)


def _with_versions(found: Sequence[Outcome], baseline: Implementation) -> list[Outcome]:
    """Adds the baseline's versions to the outcomes, if it has its own environment."""
    made = making.ensure(baseline)
    if made is None:
        return list(found)
    beside = {"name": baseline.name, "versions": {**made.versions, "python": made.python}}
    return [
        dataclasses.replace(one, environment={**one.environment, "baseline": beside})
        if isinstance(one, Measurement)
        else one
        for one in found
    ]


def _is_same(job: Job, baseline: Baseline) -> bool:
    """Whether both sides are the same code with the same packages."""
    one, other = job.implementation, located(baseline.implementation)
    same_file = (located(one).path, one.class_name) == (other.path, other.class_name)
    return same_file and making.key_of(one) == making.key_of(other)


def _without_environment(job: Job, on_phase: OnPhase) -> list[Outcome]:
    """Makes the environments of both sides; returns failures of all searches if that fails."""
    phase = "environment"
    try:
        making.ensure(job.implementation, on_phase)
    except EnvironmentBuildError as error:
        return [failure_of(search.case_id, error, "") for search in job.searches]
    except (ExecutorError, ConfigurationError) as error:
        return [_not_to_blame(search, phase, str(error)) for search in job.searches]
    if job.baseline is None:
        return []
    try:
        making.ensure(job.baseline.implementation, on_phase)
    except AnnModalError as error:
        text = f"the baseline {job.baseline.label} cannot run, so there is no comparison: {error}"
        return [_not_to_blame(search, phase, text) for search in job.searches]
    return []
