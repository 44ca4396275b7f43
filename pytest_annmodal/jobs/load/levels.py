"""All levels of load of one search setting, one after the other; those that are done stay."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from pytest_annmodal.errors import SubmissionError
from pytest_annmodal.jobs.asking import OnPhase
from pytest_annmodal.jobs.load.closed_loop import ClosedLoop
from pytest_annmodal.jobs.load.open_loop import OpenLoop
from pytest_annmodal.jobs.load.statistics import failed
from pytest_annmodal.jobs.scorer import LevelAnswers, Unscored
from pytest_annmodal.jobs.trial import Trial
from pytest_annmodal.levels import AUTO_SHARES, Level, Load, Loaded
from pytest_annmodal.model import Search

NOT_RUN = "not-run"
NO_WORKER = "the worker did not survive a level before it"
BY_WHOSE_CLOCK = (
    "--ann-concurrency: a closed loop is timed by the worker's own clock, which is not believed of "
    "a submission; --ann-rate is timed by ours"
)
Answered = tuple[Level, LevelAnswers]


@dataclass(slots=True, kw_only=True)
class _Done:
    """What is there by now."""

    levels: list[Level] = field(default_factory=list)
    answers: list[LevelAnswers] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    capacity_qps: float | None = None
    lateness_p99_s: float | None = None
    clients_are: str = ""
    interrupted: bool = False


def under_load(trial: Trial, search: Search, unscored: Unscored, on_phase: OnPhase) -> Unscored:
    """What one search gave, with how it bears the load that is asked for, if any is.

    Never raises for what an implementation does, nor for Ctrl-C: that ends the levels.
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
        done.notes.append("ended by Ctrl-C in the middle of a level: what was done before stays")
        trial.worker.abandon()
    loaded = Loaded(
        levels=tuple(done.levels),
        arrivals=load.arrivals,
        seed=load.seed,
        level_s=load.level_s,
        queue=load.queue,
        capacity_qps=done.capacity_qps,
        lateness_p99_s=done.lateness_p99_s,
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
    on_phase("load: how late the generator is")
    done.lateness_p99_s = loop.lateness_s()
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
    loop = ClosedLoop(trial.asker, load, trial.form.sent(asked.test), search.k)
    trial.worker.begin("load")
    on_phase("load: what clients are to be")
    done.clients_are = loop.choose()
    _each(trial, levels, done, on_phase, lambda level: loop.level(level.clients))


def _each(
    trial: Trial,
    levels: list[Level],
    done: _Done,
    on_phase: OnPhase,
    run: Callable[[Level], Answered],
) -> None:
    """Run one level after the other, as long as there is a worker that can be asked."""
    worker, ended = trial.worker, ""
    for level in levels:
        if ended:
            why = f"the worker did not survive the level {ended}"
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
