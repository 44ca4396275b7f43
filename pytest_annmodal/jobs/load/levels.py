"""Runs the levels of load of one search setting in turn; finished levels are kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from pytest_annmodal.errors import SubmissionError
from pytest_annmodal.jobs.asking import OnPhase
from pytest_annmodal.jobs.load.closed_loop import ALONE, ClosedLoop
from pytest_annmodal.jobs.load.open_loop import OpenLoop
from pytest_annmodal.jobs.load.statistics import failed
from pytest_annmodal.jobs.scorer import LevelAnswers, Unscored
from pytest_annmodal.jobs.trial import Trial
from pytest_annmodal.levels import AUTO_SHARES, Level, Load, Loaded
from pytest_annmodal.model import Search

NOT_RUN = "not-run"
NO_WORKER = "the worker ended in an earlier level"
BY_WHOSE_CLOCK = (
    "--ann-concurrency was left out: a closed loop is timed by the worker, and a submission could "
    "change that clock; use --ann-rate, which is timed by the parent process"
)
Answered = tuple[Level, LevelAnswers]


@dataclass(slots=True, kw_only=True)
class _Done:
    """Results so far."""

    levels: list[Level] = field(default_factory=list)
    answers: list[LevelAnswers] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    capacity_qps: float | None = None
    lateness_p99_s: float | None = None
    generator_qps: float | None = None
    clients_are: str = ""
    interrupted: bool = False


def under_load(trial: Trial, search: Search, unscored: Unscored, on_phase: OnPhase) -> Unscored:
    """Adds the levels of load that were asked for, if any, to the result of one search.

    Errors of an implementation become failed levels; Ctrl-C ends the levels. Neither raises.
    """
    load = trial.job.limits.load
    if load is None:
        return unscored
    done = _Done()
    try:
        _opened(trial, search, load, done, on_phase)
        _closed(trial, search, load, done, on_phase)
    except SubmissionError as error:  # before the first level
        done.notes.append(f"no level of load was run: {error}")
    except KeyboardInterrupt:
        done.interrupted = trial.interrupted = True
        done.notes.append("ended by Ctrl-C during a level: earlier levels are kept")
        trial.worker.abandon()
    loaded = Loaded(
        levels=tuple(done.levels),
        arrivals=load.arrivals,
        seed=load.seed,
        level_s=load.level_s,
        queue=load.queue,
        capacity_qps=done.capacity_qps,
        lateness_p99_s=done.lateness_p99_s,
        generator_qps=done.generator_qps,
        clients_are=done.clients_are,
        notes=tuple(done.notes),
        interrupted=done.interrupted,
    )
    return replace(unscored, load=loaded, load_answers=tuple(done.answers))


def _opened(trial: Trial, search: Search, load: Load, done: _Done, on_phase: OnPhase) -> None:
    if not (load.rates_qps or load.auto):
        return
    asked, _ = trial.views[search.case_id]
    loop = OpenLoop(trial.asker, load, trial.form.sent(asked.test), search.k)
    trial.worker.begin("load")
    on_phase("load: the generator alone")
    loop.try_generator()
    done.lateness_p99_s, done.generator_qps = loop.late_s, loop.most_qps
    rates_qps = load.rates_qps
    if load.auto:
        on_phase("load: the capacity")
        done.capacity_qps = loop.capacity_qps()
        rates_qps = tuple(share * done.capacity_qps for share in AUTO_SHARES)
    levels = [Level(kind="open", offered_qps=rate_qps) for rate_qps in rates_qps]
    _each(trial, levels, done, on_phase, lambda level: loop.level(level.offered_qps or 1.0))


def _closed(trial: Trial, search: Search, load: Load, done: _Done, on_phase: OnPhase) -> None:
    if not load.clients:
        return
    if not trial.job.implementation.trusted:
        done.notes.append(BY_WHOSE_CLOCK)
        return
    levels = [Level(kind="closed", clients=n) for n in load.clients]
    if trial.worker.abandoned:
        done.levels += [replace(one, failure=NOT_RUN, message=NO_WORKER) for one in levels]
        return
    asked, _ = trial.views[search.case_id]
    declared = trial.job.implementation.clients
    loop = ClosedLoop(trial.asker, load, trial.form.sent(asked.test), search.k, declared)
    _each(trial, levels, done, on_phase, lambda level: loop.level(level.clients))
    done.clients_are = loop.how or ALONE


def _each(
    trial: Trial,
    levels: list[Level],
    done: _Done,
    on_phase: OnPhase,
    run: Callable[[Level], Answered],
) -> None:
    """Runs one level after the other, as long as the worker lives."""
    worker, ended = trial.worker, ""
    for level in levels:
        if ended:
            why = f"the worker ended in the level {ended}"
            done.levels.append(replace(level, failure=NOT_RUN, message=why))
            continue
        on_phase(f"load {level.words}")
        worker.begin(f"load {level.words}")
        try:
            found, answers = run(level)
        except SubmissionError as error:
            done.levels.append(failed(level, error))
            if not worker.in_step(error):
                worker.abandon()
                ended = level.words
        else:
            done.levels.append(found)
            done.answers.append(answers)
