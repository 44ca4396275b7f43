"""One session: builds candidate, baseline and a copy of the baseline, and asks them in turn."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_annmodal.comparison import schedule
from pytest_annmodal.comparison.schedule import Race, Schedule, SessionResult, result_of
from pytest_annmodal.datasets import hdf5
from pytest_annmodal.errors import BaselineError, SubmissionError
from pytest_annmodal.jobs import delayed_build, training_data
from pytest_annmodal.jobs.asking import OnPhase
from pytest_annmodal.jobs.trial import Trial
from pytest_annmodal.manifests.builtin_paths import located
from pytest_annmodal.model import Arguments, Baseline, Clock, Job, Search, to_plain
from pytest_annmodal.sandbox import cores
from pytest_annmodal.sandbox.worker_process import Worker
from pytest_annmodal.scoring import scoring, validity
from pytest_annmodal.scoring.operating_points import Level
from pytest_annmodal.worker import measure

LEAD = 20  # untimed queries before each block, since another worker has used the caches
PROBES = 100  # queries to estimate the recall of each of the baseline's settings
BUDGET_S = 20.0  # for one search setting in one session
SEED = 20_240_229


class Awake:
    """Lets a worker run in a block; a submission error of the baseline becomes BaselineError.

    It is a class because from Python 3.12 on contextlib keeps an exception that a generator
    replaces, with every file and map in its frames, until the garbage collector runs.
    """

    def __init__(self, worker: Worker, baseline: Baseline | None) -> None:
        self._worker, self._baseline = worker, baseline

    def __enter__(self) -> None:
        try:
            self._worker.wake()
        except SubmissionError as error:
            self.__exit__(type(error), error, error.__traceback__)
            raise

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        try:
            if isinstance(error, SubmissionError):
                error.evidence.setdefault("log_tail", self._worker.log_tail())
                if self._baseline is not None:
                    raise BaselineError(
                        f"the baseline {self._baseline.label} failed, so there is no comparison: "
                        f"{error}"
                    ) from error
        finally:
            self._worker.rest(trusted=True)


class Entrant:
    """One of the three, with its worker, which is stopped while another is asked."""

    def __init__(self, trial: Trial, *, baseline: Baseline | None, lead: int = LEAD) -> None:
        self.trial, self._baseline = trial, baseline
        self._asker = dataclasses.replace(trial.asker, warmup=trial.warmup[:lead])
        self._arguments: Arguments | None = None
        self.late_s = 0.0  # of setting the arguments, and of a warm-up beyond its usual time
        self.short_answers = trial.job.implementation.short_answers

    def awake(self) -> Awake:
        """Lets it run in a block; raises BaselineError for an error of the baseline."""
        return Awake(self.trial.worker, self._baseline)

    def ask(
        self, search: Search, arguments: Arguments, queries: Any
    ) -> tuple[NDArray[np.int64], ...]:
        """Asks one block; returns times in ns (n,), ids (n, k) and counts (n,)."""
        with self.awake():
            worker = self.trial.worker
            worker.begin("comparison")
            if new := arguments != self._arguments:
                worker.spread()
                start = time.perf_counter()
                worker.request("search", {"arguments": to_plain(arguments)}, expect="set")
                self.late_s, self._arguments = worker.answered_at - start, arguments
            asked, warmup_s = self._asker.block(search, queries)
            if new:
                self.late_s += delayed_build.in_warmup(warmup_s, len(self._asker.warmup), asked[0])
            return asked


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """The candidate's build time in one session, and its memory at the end of a comparison."""

    build_s: float
    index_bytes: int
    peak_rss_bytes: int


class Session:
    """Three workers with new builds over one map of the training vectors.

    Args:
        number: of the session; determines the order of building.
        lead: untimed queries before each block.
    """

    def __init__(
        self,
        job: Job,
        baseline: Baseline,
        data: hdf5.LoadedDataset,
        stack: ExitStack,
        *,
        number: int,
        lead: int = LEAD,
    ) -> None:
        self.data, self.number, self._lead = data, number, lead
        self.once = not job.implementation.trusted  # a submission could remember a query
        self.n_parts = len(job.searches) if self.once else 1
        # A worker in an environment is started in another way, so then both sides are.
        both = (job.implementation, baseline.implementation)
        self.anew = any(one.environment is not None for one in both)
        self.budget_s = min(BUDGET_S, job.limits.max_search_s)
        clock: Clock = "parent" if self.once else job.limits.clock
        mine = dataclasses.replace(job, limits=dataclasses.replace(job.limits, clock=clock))
        theirs = baseline_job(mine, baseline)
        usable = cores.affinity()
        sides = {
            schedule.CANDIDATE: (mine, None),
            schedule.BASELINE: (theirs, baseline),
            schedule.CONTROL: (theirs, baseline),
        }
        # The worker that is started last was some tenths of a percent faster than equal ones, so
        # this order rotates too. A submission is always first.
        self._order = list(sides) if self.once else schedule.build_order(number)
        entrants: dict[int, Entrant] = {}
        shared: training_data.TrainFile | None = None
        for side in self._order:
            entrants[side] = self._enter(sides[side][0], stack, shared, usable, sides[side][1])
            shared = shared or entrants[side].trial.train_file
        self.candidate = entrants[schedule.CANDIDATE]
        self.baseline = entrants[schedule.BASELINE]
        self.control = entrants[schedule.CONTROL]

    def _enter(
        self,
        job: Job,
        stack: ExitStack,
        train_file: training_data.TrainFile | None,
        usable: frozenset[int],
        baseline: Baseline | None,
    ) -> Entrant:
        cores.pin(usable)  # all workers get the same core; only one runs at a time
        trial = Trial(job, self.data, stack, train_file=train_file, anew=self.anew)
        return Entrant(trial, baseline=baseline, lead=self._lead)

    def build(self, on_phase: OnPhase) -> None:
        """Loads all, then builds all, since the shared vectors are filled by the first build."""
        entrants = (self.candidate, self.baseline, self.control)
        for entrant in (entrants[i] for i in self._order):
            with entrant.awake():
                entrant.trial.load(on_phase)
        for entrant in (entrants[i] for i in schedule.build_order(self.number)):
            with entrant.awake():
                entrant.trial.build(on_phase)

    def size(self) -> Size:
        """Returns the candidate's size now, with build work that it delayed until queries."""
        trial = self.candidate.trial
        return Size(
            build_s=trial.build_s + self.candidate.late_s + trial.worker.stops.ran_on_s,
            index_bytes=max(trial.index_bytes, trial.grown_bytes()),
            peak_rss_bytes=trial.worker.peak_rss_bytes,
        )

    def levels(self, search: Search, settings: Sequence[Arguments]) -> list[Level]:
        """Estimates recall and speed of each of the baseline's settings, from a few queries."""
        n_queries = len(self.data.test)  # the few are spread over all, as a file may be sorted
        view = rows_of(self.data, np.linspace(0, n_queries - 1, min(PROBES, n_queries)).astype(int))
        found = []
        for index, arguments in enumerate(settings):
            times, ids, counts = self.baseline.ask(search, arguments, view.test)
            recall = _recall(view, ids[None], counts[None], search.k, self.baseline)
            rate = len(times) / max(float(times.sum()), 1.0) * 1e9
            found.append(Level(recall=recall, qps=rate, index=index))
        return found

    def compare(self, search: Search, part: int, opponents: Sequence[Arguments]) -> SessionResult:
        """Races one search setting against each of its opponents among the baseline's.

        Args:
            part: number of the part of the queries that a submission's setting gets.
            opponents: one setting, or the two around the setting's recall.

        Raises:
            SubmissionError: an error of the candidate.
            BaselineError: an error of the baseline, or too few queries.
        """
        query_s = self._warm(search, opponents)
        order, n = self._rows_of(part), len(opponents)
        if len(order) < n:
            raise BaselineError(
                f"{len(self.data.test)} queries are too few to compare {self.n_parts} settings "
                "with a baseline, since a submission gets each query once; use more queries or "
                "fewer settings"
            )
        plan = schedule.plan(
            len(order) // n,
            once=self.once,
            block_s=query_s * (LEAD + schedule.BLOCK),
            budget_s=self.budget_s / n,
        )
        rows = order[: n * plan.n_queries]
        own = np.split(rows, n)  # a submission is asked each query once
        races = [
            self._race(search, arguments, rows_of(self.data, own[number]), plan)
            for number, arguments in enumerate(opponents)
        ]
        recalls = [self._recall_of(search, arguments, rows) for arguments in opponents]
        return result_of(races, recalls, plan, n_answers=len(rows) * search.k)

    def _warm(self, search: Search, opponents: Sequence[Arguments]) -> float:
        """Warms all three up; returns the seconds that a query takes of all three together."""
        warmup = self.candidate.trial.warmup
        times = [
            entrant.ask(search, arguments, warmup)[0]
            for entrant, arguments in (
                (self.candidate, search.arguments),
                (self.baseline, opponents[0]),
                (self.control, opponents[0]),
            )
        ]
        return sum(float(np.median(own)) for own in times) / 1e9

    def _rows_of(self, part: int) -> NDArray[np.int64]:
        """Returns the numbers of the queries, in another order each session."""
        size = len(self.data.test) // self.n_parts
        start = part * size if self.once else 0
        order = np.random.default_rng((SEED, self.number, part)).permutation(size)
        return np.asarray(start + order, np.int64)

    def _race(
        self, search: Search, opponent: Arguments, view: hdf5.LoadedDataset, plan: Schedule
    ) -> Race:
        """Asks candidate, baseline and control in turn; the latter two have the same setting."""
        turns = {
            schedule.CANDIDATE: (self.candidate, search.arguments),
            schedule.BASELINE: (self.baseline, opponent),
            schedule.CONTROL: (self.control, opponent),
        }
        shape = (plan.repeats, plan.n_queries)
        times = [np.zeros(shape, np.int64) for _ in turns]
        counts = np.zeros(shape, np.int64)
        ids = np.zeros((*shape, search.k), np.int64)
        with measure.quiet_gc():
            for repeat, rows, number in plan.turns():
                entrant, arguments = turns[number]
                answer = entrant.ask(search, arguments, view.test[rows])
                times[number][repeat, rows] = answer[0]
                if number == schedule.CANDIDATE:
                    ids[repeat, rows], counts[repeat, rows] = answer[1:]
        recall = _recall(view, ids, counts, search.k, self.candidate)
        return Race(times=tuple(times), recall=recall)

    def _recall_of(self, search: Search, opponent: Arguments, rows: NDArray[np.int64]) -> float:
        """Returns the baseline's recall over all queries of the comparison, those of both races."""
        view = rows_of(self.data, rows)
        _, ids, counts = self.baseline.ask(search, opponent, view.test)
        return _recall(view, ids[None], counts[None], search.k, self.baseline)


def baseline_job(job: Job, baseline: Baseline) -> Job:
    """Returns the baseline as a job with the same clock and without a memory limit.

    It is isolated like the candidate, so that a sandbox changes the speed of both.
    """
    k = max(search.k for search in job.searches)
    trusted = job.implementation.trusted
    return Job(
        dataset=job.dataset,
        implementation=dataclasses.replace(located(baseline.implementation), trusted=trusted),
        build=baseline.build,
        searches=tuple(
            Search(case_id=f"baseline-{number}", arguments=arguments, k=k, rounds=1)
            for number, arguments in enumerate(baseline.searches)
        ),
        limits=dataclasses.replace(job.limits, fresh_seed=None, memory_bytes=None),
    )


def rows_of(data: hdf5.LoadedDataset, rows: NDArray[np.int64]) -> hdf5.LoadedDataset:
    """Returns the dataset with only these queries."""
    return dataclasses.replace(
        data,
        test=data.test[rows],
        neighbors=data.neighbors[rows],
        distances=data.distances[rows],
    )


def _recall(
    view: hdf5.LoadedDataset,
    ids: NDArray[np.int64],
    counts: NDArray[np.int64],
    k: int,
    entrant: Entrant,
) -> float:
    with entrant.awake():  # blames a wrong answer on its side
        answers = validity.check(
            validity.Given(ids=ids, counts=counts),
            k=k,
            n_train=len(view.train),
            short_answers=entrant.short_answers,
        )
    return scoring.score_rounds(view, answers).by_distance
