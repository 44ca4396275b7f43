"""What every Executor must do. A member subclasses it in test_executor_contract.py.

A member gives three fixtures: ``executor``; ``dataset``, a Dataset of 300 × 8 euclidean
vectors with 20 queries and ten true neighbours that the executor can get; and
``bad_dataset``, one that nobody can get. ``source`` makes a submission's file.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path

import pytest
from jobs import EXACT, failed, index, make_job, measured, nothing_left_behind, write

from pytest_annmodal.errors import DatasetError, VolumeError
from pytest_annmodal.model import Dataset, Job
from pytest_annmodal.outcome import Outcome
from pytest_annmodal.protocols import Executor

TIMEOUT_S = 120


class ExecutorContract:
    @pytest.fixture
    def executor(self) -> Executor:
        raise NotImplementedError

    @pytest.fixture
    def dataset(self) -> Dataset:
        raise NotImplementedError

    @pytest.fixture
    def bad_dataset(self) -> Dataset:
        raise NotImplementedError

    @pytest.fixture
    def source(self, tmp_path: Path) -> Callable[[str], Path]:
        def source(text: str) -> Path:
            return write(tmp_path / f"mine{len(list(tmp_path.glob('mine*')))}.py", text)

        return source

    @pytest.fixture(autouse=True)
    def _clean_up(self, executor):
        with nothing_left_behind():
            yield
            executor.shutdown(cancel=True)

    @staticmethod
    def outcomes(executor: Executor, *jobs: Job) -> list[Sequence[Outcome]]:
        """Runs jobs as a session does: expect, submit, pump, result."""
        executor.expect(jobs)
        futures = [executor.submit(job) for job in jobs]
        for future in futures:
            assert isinstance(future, Future)
            executor.pump(future)
        return [future.result(timeout=TIMEOUT_S) for future in futures]

    def test_it_says_whether_all_jobs_may_be_submitted_at_once(self, executor):
        """``remote`` is set, since it decides when a session starts jobs."""
        assert isinstance(executor.concurrent, bool)

    def test_preparing_twice_is_preparing_once(self, executor, dataset):
        """A second ``prepare`` returns the same and does no work."""
        executor.expect([])
        assert executor.prepare(dataset) == executor.prepare(dataset)

    def test_preparing_what_cannot_be_had_raises_each_time(self, executor, bad_dataset):
        """An unavailable dataset raises one of the documented errors each time."""
        executor.expect([])
        for _ in range(2):
            with pytest.raises((DatasetError, VolumeError), match=bad_dataset.name):
                executor.prepare(bad_dataset)

    def test_a_job_gives_one_outcome_per_search_in_order(self, executor, dataset, source):
        """A job returns measurements and failures in the order of its searches."""
        text = index("""
            def query(self, v, k):
                if self.setting == 2:
                    os._exit(5)
                if self.setting == 3:
                    raise ValueError("three")
                return self.near(v, k)
        """)
        job = make_job(dataset, source(text), settings=[1, 2, 3, 4])
        (outcomes,) = self.outcomes(executor, job)
        first, second, third, fourth = outcomes
        assert [o.case_id for o in outcomes] == [s.case_id for s in job.searches]
        assert measured(first).recall == measured(fourth).recall == 1
        assert failed(second).kind == "crashed"
        assert failed(third).message.startswith("search raised ValueError: three")

    def test_jobs_are_done_whatever_becomes_of_the_others(self, executor, dataset, source):
        """A failing build affects its own job only."""
        bad = make_job(dataset, source(index("def fit(self, X): os.abort()")), settings=[1, 2])
        good = make_job(dataset, source(EXACT))
        one, two, three = self.outcomes(executor, good, bad, good)
        assert measured(one[0]).recall == measured(three[0]).recall == 1
        assert [(failed(o).kind, o.phase, o.blame) for o in two] == [
            ("crashed", "build", "submission")
        ] * 2

    def test_a_submissions_failure_is_a_value(self, executor, dataset, tmp_path):
        """A job's future never raises for a submission, even if its file is missing."""
        job = make_job(dataset, tmp_path / "nowhere.py", settings=[1, 2])
        (outcomes,) = self.outcomes(executor, job)
        assert [o.case_id for o in outcomes] == ["case-0", "case-1"]
        assert all(failed(o) for o in outcomes)

    def test_a_broken_dataset_is_an_infrastructure_failure(self, executor, bad_dataset, source):
        """A broken dataset is one infrastructure failure per search, with the reason."""
        job = make_job(bad_dataset, source(EXACT), settings=[1, 2])
        (outcomes,) = self.outcomes(executor, job)
        assert [o.case_id for o in outcomes] == ["case-0", "case-1"]
        for outcome in outcomes:
            assert (failed(outcome).kind, outcome.blame) == ("dataset", "infrastructure")
            assert bad_dataset.name in outcome.message

    def test_k_beyond_train_is_a_datasets_failure(self, executor, dataset, source):
        """k above the rows of train fails where the file is."""
        (outcomes,) = self.outcomes(executor, make_job(dataset, source(EXACT), k=301))
        assert failed(outcomes[0]).blame == "infrastructure"
        assert "300 training vectors" in outcomes[0].message

    def test_it_may_be_shut_down_twice(self, executor, dataset, source):
        """A second ``shutdown`` changes nothing; finished futures keep their results."""
        executor.expect([])
        future = executor.submit(make_job(dataset, source(EXACT)))
        executor.pump(future)
        executor.shutdown()
        for _ in range(2):
            executor.shutdown(cancel=True)
        assert measured(future.result(timeout=TIMEOUT_S)[0]).recall == 1

    def test_it_may_be_shut_down_unused(self, executor):
        """An unused executor can be shut down."""
        executor.shutdown(cancel=True)
        executor.shutdown(cancel=True)
