"""What a session on Modal would take at most."""

from __future__ import annotations

import dataclasses

import pytest
from jobs import EXACT, make_job, write

from pytest_annmodal.errors import ConfigurationError
from pytest_annmodal.executors.modal.plan import plan_of, refuse_too_large
from pytest_annmodal.model import Dataset
from pytest_annmodal.settings.config import Settings

SETTINGS = Settings(
    modal_cpu=4.0,
    modal_memory_mb=8192,
    modal_timeout_s=1800,
    modal_usd_core_hour=0.1,
    modal_usd_gib_hour=0.01,
    modal_max_minutes=60.0,
)


@pytest.fixture
def job(tmp_path):
    dataset = Dataset(name="x", source="generate:euclidean")
    return make_job(dataset, write(tmp_path / "mine.py", EXACT), settings=[1, 2])


def test_a_job_is_a_container_however_many_settings_it_has(job):
    plan = plan_of([job, job], SETTINGS)
    assert plan.containers == 2
    assert plan.container_minutes == 60
    assert plan.usd_at_most == pytest.approx(0.48)


def test_one_container_more_scores_all_submissions(job):
    theirs = dataclasses.replace(job.implementation, trusted=False)
    submission = dataclasses.replace(job, implementation=theirs)
    assert plan_of([job, submission, submission], SETTINGS).containers == 4


def test_the_line_has_all_that_it_is_made_of(job):
    assert plan_of([job], SETTINGS).line() == (
        "Modal: 1 container of 4 cores and 8 GiB, at most 30 min each: at most 30 "
        "container-minutes, $0.24 ($0.480 per container-hour)"
    )


def test_the_line_says_how_many_run_at_once_where_not_all_do(job):
    limited = SETTINGS.replaced(modal_max_containers=2)
    assert "and 8 GiB, 2 at once, at most 30 min each" in plan_of([job] * 3, limited).line()
    assert "at once" not in plan_of([job] * 2, limited).line()


def test_nothing_to_run_costs_nothing():
    assert "0 containers" in plan_of([], SETTINGS).line()
    assert plan_of([], SETTINGS).usd_at_most == 0


def test_a_plan_as_large_as_allowed_is_not_refused(job):
    refuse_too_large(plan_of([job, job], SETTINGS), SETTINGS)


def test_a_larger_plan_is_refused_with_what_to_do(job):
    plan = plan_of([job] * 3, SETTINGS)
    with pytest.raises(ConfigurationError, match="more than --modal-max-minutes 60: select less"):
        refuse_too_large(plan, SETTINGS)
