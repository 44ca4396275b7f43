"""The state of one pytest session: selected cases, jobs, outcomes, executor."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pytest_annmodal.datasets import locate
from pytest_annmodal.errors import AnnModalError, ConfigurationError, ReloadError
from pytest_annmodal.model import Case, Dataset, Implementation, Job
from pytest_annmodal.outcome import Failure, Outcome
from pytest_annmodal.protocols import Executor, Stored
from pytest_annmodal.sandbox import isolation
from pytest_annmodal.session import fitting, planning, selection
from pytest_annmodal.session import marker as markers
from pytest_annmodal.session.against import Against
from pytest_annmodal.session.availability import lacking, missing_dataset_hint, not_had, waits
from pytest_annmodal.session.gating import Gating, is_gated
from pytest_annmodal.session.listener import Listener
from pytest_annmodal.settings.config import Settings

if TYPE_CHECKING:
    from pytest_annmodal.datasets.volume.volume import LocalVolume
    from pytest_annmodal.session.keeping import Keeper

LOCAL = "local"  # the executor of this machine
Held = Callable[[Job, Sequence[Outcome]], Sequence[Outcome]]


class BenchSession:
    """Selects cases, plans jobs and stores outcomes, independently of pytest.

    Args:
        extra_datasets: datasets of the hook ``pytest_annmodal_datasets``.
        make_executor: makes the executor of a name; called on first use.
        listeners: called at the beginning, for each outcome, and at the end.
        make_keeper: makes the object that stores outcomes; called on first use.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        extra_datasets: Iterable[Dataset] = (),
        make_executor: Callable[[str], Executor],
        listeners: Iterable[Listener] = (),
        make_keeper: Callable[[BenchSession], Keeper | None] = lambda _session: None,
    ) -> None:
        self.settings = settings
        self.known = locate.known_datasets(extra_datasets)
        self.cases: dict[str, Case] = {}
        self.left_out: dict[fitting.LeftOut, None] = {}  # each once, in their order
        self.skipped_datasets: dict[str, Dataset] = {}
        self.skipped_implementations: dict[str, str] = {}  # name: the command to install it
        self._make_executor = make_executor
        self._jobs: dict[str, Job] = {}
        self._futures: dict[int, Future[Sequence[Outcome]]] = {}
        self._outcomes: dict[str, Outcome] = {}
        self._asked: Counter[tuple[str, str]] = Counter()  # test function and case
        self._further: Counter[str] = Counter()  # measurements of a case after its first
        self._retired: list[Job] = []  # kept alive, since futures are found by their jobs' id()
        self.n_repeated = 0  # how often a graded case was asked for again
        self._make_keeper = make_keeper
        self._held: Held = lambda _job, outcomes: outcomes  # compares with stored results
        self.gating = Gating(settings) if is_gated(settings) else None
        self._listeners = tuple(listeners)

    @cached_property
    def keeper(self) -> Keeper | None:
        return self._make_keeper(self)

    @property
    def kept(self) -> Keeper | None:
        """The keeper, if one was made already."""
        return self.keeper if "keeper" in self.__dict__ else None

    @cached_property
    def implementations(self) -> list[Implementation]:
        return selection.select_implementations(self.settings)

    @cached_property
    def offered(self) -> list[Implementation]:
        """All implementations that a test may name; selected ones have their selected settings."""
        offered = selection.offered_implementations(self.settings)
        named = {(item.name, item.path): item for item in (*offered, *self.implementations)}
        return list(named.values())

    @cached_property
    def datasets(self) -> list[Dataset]:
        return selection.select_datasets(self.settings, self.known, self.stored)

    @cached_property
    def stored(self) -> Stored | None:
        """The contents of the volume where this session runs."""
        return self.executor.stored

    @cached_property
    def volume(self) -> LocalVolume:
        from pytest_annmodal.datasets.volume.volume import local_volume

        return local_volume(self.settings.volume_dir)

    def check_volume(self) -> None:
        """Checks early that the local volume can be used.

        Raises:
            ConfigurationError: there is no usable folder for datasets.
        """
        if self.executor.remote:
            return
        volume = self.volume
        try:
            if self.settings.volume_dir is not None:
                volume.reload()
        except ReloadError as error:
            raise ConfigurationError(
                f"--ann-volume-dir {error}. Name a folder that can be made and read, or leave "
                "the option out."
            ) from error

    @cached_property
    def local(self) -> Executor:
        """The executor for work on this machine, wherever jobs run."""
        return self._make_executor(LOCAL) if self.settings.executor != LOCAL else self.executor

    @cached_property
    def executor(self) -> Executor:
        return self._make_executor(self.settings.executor)

    def content(self, dataset: Dataset) -> str | None:
        """Returns the sha256 of the dataset's file where this session runs, if known."""
        return self.executor.content(dataset)

    def generate(self, marker: Mapping[str, Any]) -> list[Case]:
        """Returns the cases of a test that takes ``case``: all that are selected."""
        k, rounds = self.marked(marker)
        settings, items = self.settings, self.with_values(self.implementations, marker)
        grading = settings.grade is not None
        cases = fitting.expand(
            items,
            self.datasets,
            k=k,
            rounds=rounds,
            subset=settings.subset,
            default_variant_only=settings.download_only,
            constrained=not grading,
        )
        if not grading:  # where the grades say which datasets do not fit
            if not cases:
                why = fitting.nothing_fits(items, self.datasets, k=k, subset=settings.subset)
                raise ConfigurationError(why)
            left_out = fitting.left_out(items, self.datasets, k=k, subset=settings.subset)
            self.left_out.update(dict.fromkeys(left_out))
        return self.remember(cases, marker)

    def named(self, implementation: str, dataset: str, marker: Mapping[str, Any]) -> Case | None:
        """Returns the case of two names, or None if the pair does not fit or is not selected."""
        k, rounds = self.marked(marker)
        case = selection.find_case(
            implementation,
            dataset,
            settings=self.settings,
            offered=self.with_values(self.offered, marker),
            known={**self.known, **{own.name: own for own in self.datasets}},
            k=k,
            rounds=rounds,
            stored=self.stored,
        )
        if case is None or (self.settings.impl and not self._is_selected(case.implementation)):
            return None
        if self.settings.dataset and case.dataset not in self.datasets:
            return None
        return self.remember([case], marker)[0]

    def _is_selected(self, implementation: Implementation) -> bool:
        chosen = {(item.name, item.path) for item in self.implementations}
        return (implementation.name, implementation.path) in chosen

    def remember(self, cases: list[Case], marker: Mapping[str, Any]) -> list[Case]:
        self.cases.update((case.id, case) for case in cases)
        if self.gating is not None:
            self.gating.tolerate(cases, marker)
        return cases

    def marked(self, marker: Mapping[str, Any]) -> tuple[int, int]:
        """Returns k and rounds, from the marker or else the settings.

        Raises:
            ConfigurationError: the marker has unknown arguments or wrong values.
        """
        markers.check(marker)
        if self.settings.grade is not None:  # the same for all tests
            return self.settings.k, self.settings.rounds
        return marker.get("k", self.settings.k), marker.get("rounds", self.settings.rounds)

    def with_values(
        self, items: Sequence[Implementation], marker: Mapping[str, Any]
    ) -> list[Implementation]:
        """Returns implementations with a marker's parameter values; unchanged in grading."""
        if self.settings.grade is not None:
            return list(items)
        return markers.with_values(items, marker, self.offered)

    def begin(self, cases: Mapping[str, Case]) -> None:
        """Passes the selected cases, by test id, to the listeners, before jobs are planned.

        Raises:
            ConfigurationError: a listener refuses them, or ``--ann-against`` has no results.
        """
        if self.settings.against is not None and self.settings.grade is None and self.keeper:
            self._held = Against(self.settings, self.keeper, self.content).held
        for listener in self._listeners:
            listener.begin(self, cases)

    def seed_queries(self, seed: int) -> None:
        """Sets the seed of fresh queries, unless the options name one."""
        if self.settings.fresh_queries and not self.settings.fresh_seed:
            self.settings = self.settings.replaced(fresh_seed=seed)

    def plan(self, cases: Iterable[Case]) -> list[Job]:
        """Makes jobs of the cases that can run and have no outcome yet.

        Raises:
            ConfigurationError: the requested isolation does not work; no folder for datasets.
        """
        self.check_volume()
        open_cases = [
            case
            for case in cases
            if case.id not in self._outcomes and not (self.why_skip(case) or self.why_unable(case))
        ]
        jobs = self._new(open_cases)
        for job in jobs:
            self._jobs.update((search.case_id, job) for search in job.searches)
            if problem := planning.too_few_vectors(job):
                self.know(not_had(search.case_id, problem) for search in job.searches)
        jobs = [job for job in jobs if job.searches[0].case_id not in self._outcomes]
        if not (self.executor.remote or all(job.implementation.trusted for job in jobs)):
            isolation.choose(self.settings.isolation, trusted=False)  # before anything runs
        return jobs

    def _new(self, cases: Sequence[Case]) -> list[Job]:
        """Makes jobs of the cases, without those that ``--ann-reuse`` takes from the store."""
        remote = self.executor.remote
        jobs = planning.jobs(cases, self.settings, remote=remote)
        if self.gating is not None:
            return self.gating.prepared(jobs, remote=remote)
        if not self.settings.reuse or self.keeper is None:
            return jobs
        for job in jobs:
            self.know(self._held(job, self.keeper.reusable([job])))
        missing = (case for case in cases if case.id not in self._outcomes)
        return planning.jobs(missing, self.settings, remote=remote)

    def submit_all(self, jobs: Iterable[Job]) -> None:
        """Starts every job now; only for an executor that runs them in parallel."""
        for job in jobs:
            if job.searches[0].case_id not in self._outcomes:
                self._futures[id(job)] = self._submit(job)

    def _submit(self, job: Job) -> Future[Sequence[Outcome]]:
        if self.keeper is not None:
            self.keeper.look_at(job)
        future = self.executor.submit(job)
        if self.gating is None:
            future.add_done_callback(lambda done: self._pass_on(job, done))
        else:
            self._futures[id(job)] = future
            self.gating.expect(job, future)
        return future

    def _pass_on(self, job: Job, future: Future[Sequence[Outcome]]) -> None:
        """Passes on a finished job's outcomes at once, even if no test has asked for them yet."""
        if not future.cancelled() and future.exception() is None:
            self._notify(job, self._held(job, future.result()))

    def _notify(self, job: Job, outcomes: Sequence[Outcome]) -> None:
        for outcome in outcomes:
            for listener in self._listeners:
                listener.hear(outcome)
        if self.keeper is not None:
            self.keeper.keep(job, outcomes)

    def _settle(self) -> None:
        """Judges all newly finished gated jobs together, and passes their outcomes on."""
        for job, outcomes in self.gating.settled() if self.gating is not None else ():
            self.know(outcomes)
            self._notify(job, outcomes)

    def know(self, outcomes: Iterable[Outcome]) -> None:
        """Takes known outcomes; their cases are not run."""
        self._outcomes.update((outcome.case_id, outcome) for outcome in outcomes)

    def give_up(self, dataset: Dataset, error: AnnModalError) -> None:
        """Fails every case on an unavailable dataset; the others go on."""
        for case_id, job in self._jobs.items():
            if job.dataset.name == dataset.name:
                self._outcomes[case_id] = not_had(case_id, str(error))

    def next_measurement(self, case: Case, test: str) -> Case:
        """Returns the case, numbered as the measurement that this call of a test function gets.

        All functions share the first measurement. A function that asks for the same case again
        (a parameter of its own, ``--count``, ``--reruns``) gets a new one. In grading each
        setting is measured once, so that all submissions have equally many tries.
        """
        n_before = self._asked[test, case.id]
        self._asked[test, case.id] += 1
        if self.settings.grade is not None:
            self.n_repeated += n_before > 0
            return case
        if n_before == 0:
            return case
        self._further[case.id] += 1
        return dataclasses.replace(case, repetition=self._further[case.id])

    def forget_fault(self, case: Case) -> None:
        """Forgets a failure of the infrastructure, so that the case is measured again."""
        known = self._outcomes.get(case.id)
        if isinstance(known, Failure) and known.blame == "infrastructure":
            del self._outcomes[case.id]
            if case.id in self._jobs:
                self._retired.append(self._jobs.pop(case.id))

    def outcome(self, case: Case) -> Outcome:
        """Returns the outcome of a case; runs its job if it has not run."""
        if case.id not in self._outcomes:
            job = self._jobs.get(case.id)
            if job is None:
                jobs = self._new([case])
                if not jobs:
                    return self._outcomes[case.id]
                (job,) = jobs
                self._jobs[case.id] = job
            # Gated jobs are judged together, so all of them run before the first test ends.
            for one in [job] if self.gating is None else [job, *self._planned]:
                future = self._futures.get(id(one)) or self._submit(one)
                self.executor.pump(future)
                self.know(self._held(one, future.result()))
            self._settle()
        return self._outcomes[case.id]

    @property
    def _planned(self) -> list[Job]:
        """Jobs without outcomes."""
        jobs = {id(job): job for job in self._jobs.values()}
        return [job for job in jobs.values() if job.searches[0].case_id not in self._outcomes]

    def why_skip(self, case: Case) -> str | None:
        """Returns why a case is skipped here, with the command that would change it."""
        if self.executor.remote or case.id in self._outcomes:
            return None
        if self._waits_for_dataset(case):
            if self._gates_named(self.settings.dataset):
                return None
            self.skipped_datasets[case.dataset.name] = case.dataset
            return missing_dataset_hint(case.dataset)
        if self._is_asked_for(case):
            return None
        return lacking(case.implementation, self.skipped_implementations)

    def why_unable(self, case: Case) -> str | None:
        """Returns why an explicitly named case cannot be measured; its test fails, not skips."""
        if self.executor.remote or case.id in self._outcomes:
            return None
        if self._gates_named(self.settings.dataset) and self._waits_for_dataset(case):
            return missing_dataset_hint(case.dataset)
        return lacking(case.implementation, {}) if self._is_asked_for(case) else None

    def _waits_for_dataset(self, case: Case) -> bool:
        return waits(case.dataset, self.settings, self.known, lambda: self.volume)

    def _gates_named(self, names: Sequence[str]) -> bool:  # they must not pass unmeasured
        return self.gating is not None and bool(names)

    def _is_asked_for(self, case: Case) -> bool:
        submitted = bool(self.settings.submission) and not case.implementation.trusted
        return submitted or self._gates_named(self.settings.impl)

    def container_log(self, case: Case) -> str:
        """Returns the log of the container that ran the case's job; empty for a local one."""
        job = self._jobs.get(case.id)
        return self.executor.log_of(job.searches[0].case_id) if job else ""

    def close(self) -> None:
        """Ends all jobs, passes on finished outcomes, and closes the store."""
        try:
            if "executor" in self.__dict__:
                self.executor.shutdown(cancel=True)
            self._settle()  # jobs that finished before the session was interrupted
        finally:
            for listener in self._listeners:
                listener.end()
            if self.kept is not None:
                self.kept.store.close()
