"""One session: candidate, baseline and the baseline's copy, freshly built, asked in turn."""

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
from pytest_annmodal.comparison.schedule import Bout, Race, Schedule, bout_of
from pytest_annmodal.datasets import hdf5
from pytest_annmodal.errors import BaselineError, SubmissionError
from pytest_annmodal.jobs import put_off, training_data
from pytest_annmodal.jobs.asking import OnPhase
from pytest_annmodal.jobs.trial import Trial
from pytest_annmodal.manifests.builtin_paths import located
from pytest_annmodal.model import Arguments, Baseline, Clock, Job, Search, to_plain
from pytest_annmodal.sandbox import cores
from pytest_annmodal.sandbox.worker_process import Worker
from pytest_annmodal.scoring import scoring, validity
from pytest_annmodal.scoring.operating_points import Level
from pytest_annmodal.worker import measure

LEAD = 20  # queries before each block that are not timed: the one before has used the caches
PROBES = 100  # queries that tell what recall each of the baseline's settings has
BUDGET_S = 20.0  # for one search setting in one session
SEED = 20_240_229


class Awake:
    """Lets a worker run in a block, and says whose fault it is what goes wrong there.

    A class: from Python 3.12 on, contextlib keeps an exception that a generator replaces, and with
    it every file and map in its frames, until the garbage collector runs.
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
                        f"the baseline {self._baseline.label} failed, so nothing can be compared "
                        f"with it: {error}"
                    ) from error
        finally:
            self._worker.rest(trusted=True)


class Entrant:
    """One of the three, with its worker: stopped whenever another is asked."""

    def __init__(self, trial: Trial, *, baseline: Baseline | None, lead: int = LEAD) -> None:
        self.trial, self._baseline = trial, baseline
        self._asker = dataclasses.replace(trial.asker, warmup=trial.warmup[:lead])
        self._arguments: Arguments | None = None
        self.late_s = 0.0  # what the setting of these took, and their first warm-up too long
        self.short_answers = trial.job.implementation.short_answers

    def awake(self) -> Awake:
        """Let it run. Raises BaselineError for what a baseline does wrong."""
        return Awake(self.trial.worker, self._baseline)

    def ask(
        self, search: Search, arguments: Arguments, queries: Any
    ) -> tuple[NDArray[np.int64], ...]:
        """Times in ns (n,), ids (n, k) and counts (n,) of one block."""
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
                self.late_s += put_off.in_warmup(warmup_s, len(self._asker.warmup), asked[0])
            return asked


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """What the candidate's build took in one session, and what it has held by the end of a bout."""

    build_s: float
    index_bytes: int
    peak_rss_bytes: int


class Session:
    """Three workers with fresh builds over one map of the training vectors.

    Args:
        number: of the session, which tells the order of building.
        lead: queries before each block that are not timed.
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
        # Two environments are two kinds of start: each side gets the same.
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
        # What is started last was some thousandths faster than its equals, so this turns too; a
        # submission comes first always.
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
        cores.pin(usable)  # each worker gets the same core: only one is awake at a time
        trial = Trial(job, self.data, stack, train_file=train_file, anew=self.anew)
        return Entrant(trial, baseline=baseline, lead=self._lead)

    def build(self, on_phase: OnPhase) -> None:
        """Load all, then build all: what is loaded late could not be kept from the vectors."""
        entrants = (self.candidate, self.baseline, self.control)
        for entrant in (entrants[i] for i in self._order):
            with entrant.awake():
                entrant.trial.load(on_phase)
        for entrant in (entrants[i] for i in schedule.build_order(self.number)):
            with entrant.awake():
                entrant.trial.build(on_phase)

    def size(self) -> Size:
        """Of the candidate, as of now: also what it put off until it was asked."""
        trial = self.candidate.trial
        return Size(
            build_s=trial.build_s + self.candidate.late_s + trial.worker.stops.ran_on_s,
            index_bytes=max(trial.index_bytes, trial.grown_bytes()),
            peak_rss_bytes=trial.worker.peak_rss_bytes,
        )

    def levels(self, search: Search, settings: Sequence[Arguments]) -> list[Level]:
        """Recall and speed of each of the baseline's settings, from a few queries."""
        n_queries = len(self.data.test)  # spread over all: a file may have them in an order
        view = rows_of(self.data, np.linspace(0, n_queries - 1, min(PROBES, n_queries)).astype(int))
        found = []
        for index, arguments in enumerate(settings):
            times, ids, counts = self.baseline.ask(search, arguments, view.test)
            recall = _recall(view, ids[None], counts[None], search.k, self.baseline)
            rate = len(times) / max(float(times.sum()), 1.0) * 1e9
            found.append(Level(recall=recall, qps=rate, index=index))
        return found

    def bout(self, search: Search, part: int, opponents: Sequence[Arguments]) -> Bout:
        """Race one search setting against each of its opponents among the baseline's.

        Args:
            part: which of the parts of the queries a setting of a submission gets.
            opponents: one setting, or the two around the setting's recall.

        Raises:
            SubmissionError: what the candidate did wrong.
            BaselineError: what the baseline did.
        """
        query_s = self._warm(search, opponents)
        order, n = self._rows_of(part), len(opponents)
        if len(order) < n:
            raise BaselineError(
                f"{len(self.data.test)} queries are too few to compare {self.n_parts} settings "
                "with a baseline, since a submission gets none twice; ask more, or fewer settings"
            )
        plan = schedule.plan(
            len(order) // n,
            once=self.once,
            block_s=query_s * (LEAD + schedule.BLOCK),
            budget_s=self.budget_s / n,
        )
        rows = order[: n * plan.n_queries]
        own = np.split(rows, n)  # no query is asked twice of a submission
        races = [
            self._race(search, arguments, rows_of(self.data, own[number]), plan)
            for number, arguments in enumerate(opponents)
        ]
        recalls = [self._recall_of(search, arguments, rows) for arguments in opponents]
        return bout_of(races, recalls, plan, n_answers=len(rows) * search.k)

    def _warm(self, search: Search, opponents: Sequence[Arguments]) -> float:
        """Seconds that a query takes of all three together."""
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
        """Which queries, in which order: another one each session."""
        size = len(self.data.test) // self.n_parts
        start = part * size if self.once else 0
        order = np.random.default_rng((SEED, self.number, part)).permutation(size)
        return np.asarray(start + order, np.int64)

    def _race(
        self, search: Search, opponent: Arguments, view: hdf5.LoadedDataset, plan: Schedule
    ) -> Race:
        """Ask candidate, baseline and control in turn, these two with the same setting."""
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
        """The baseline's recall over all queries of the bout, also those of the other race."""
        view = rows_of(self.data, rows)
        _, ids, counts = self.baseline.ask(search, opponent, view.test)
        return _recall(view, ids[None], counts[None], search.k, self.baseline)


def baseline_job(job: Job, baseline: Baseline) -> Job:
    """The baseline as a job of its own, with the same clock; its memory is not limited.

    It is shut in as the candidate is, so that what a sandbox costs or spares counts for neither.
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
    """The dataset with these queries only."""
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
    with entrant.awake():  # whose fault a wrong answer is
        answers = validity.check(
            validity.Given(ids=ids, counts=counts),
            k=k,
            n_train=len(view.train),
            short_answers=entrant.short_answers,
        )
    return scoring.score_rounds(view, answers).by_distance
