"""Finds the search setting of a build that reaches a recall, before it is measured.

Every second query is for tuning and the others are for figures. First the argument that the header
declares is bisected on the tuning queries. Then a few more values are tried on the others, to find
the smallest whose recall is high enough. That setting is measured fully, as any other; times of
probes are not reported.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from pytest_annmodal.datasets import hdf5
from pytest_annmodal.errors import DatasetError
from pytest_annmodal.jobs import training_data
from pytest_annmodal.jobs.asking import OnPhase
from pytest_annmodal.jobs.trial import Trial
from pytest_annmodal.jobs.tuning import ranges
from pytest_annmodal.jobs.tuning.axis import Axis, Known, bracket, wanted
from pytest_annmodal.model import Arguments, Job, Search, Target
from pytest_annmodal.outcome import Measurement, Part, Probe, Tuned
from pytest_annmodal.scoring import scoring

MAX_PROBES = 8  # for one argument and one target
MAX_BLIND = 4  # of them, on the tuning queries, whose curve is only nearly the same
ENOUGH_BLIND = 2  # of them, if one below the end of the axis reached the target
LEAST_QUERIES = 4
Z95 = 1.96
SWEEPS = 3  # over several arguments, at most


class OverBudgetError(Exception):
    """No time is left for another probe."""


@dataclass(slots=True, kw_only=True)
class _Asked:
    """The probes of one search: asks each setting once on each part of the queries.

    ``known`` is shared by all searches of a job, since they have the same build.
    """

    search: Search
    ask: Callable[[Arguments, Part], Probe]
    ends_at: float
    known: dict[tuple[int, str, Part], Probe]
    probes: list[Probe] = field(default_factory=list)

    def __call__(self, arguments: Arguments, part: Part) -> Probe:
        key = self.search.k, arguments.key, part
        if key not in self.known:
            if time.monotonic() >= self.ends_at:
                raise OverBudgetError
            self.known[key] = self.ask(arguments, part)
            self.probes.append(self.known[key])
        return self.known[key]


class Tuner:
    """Finds settings for the searches of one job that have a target.

    Args:
        data: with the truth.

    Raises:
        DatasetError: there are too few queries to split.
    """

    def __init__(self, job: Job, data: hdf5.LoadedDataset) -> None:
        self._job = job
        self._tuned: dict[str, Tuned] = {}
        self._unusable: dict[str, tuple[str, ...]] = {}
        self._known: dict[tuple[int, str, Part], Probe] = {}
        self._kth: dict[tuple[Part, int], scoring.Kth] = {}
        self._parts: dict[Part, hdf5.LoadedDataset] = {}
        if any(search.target is not None for search in job.searches):
            if len(data.test) < LEAST_QUERIES:
                raise DatasetError(
                    f"--ann-target-recall splits the queries and needs at least {LEAST_QUERIES}; "
                    f"{job.dataset.name} has {len(data.test)}"
                )
            self._parts = training_data.tuning_parts(data)

    def choose(self, trial: Trial, search: Search, on_phase: OnPhase) -> Search:
        """Returns the search with the arguments that reach its target, or come nearest to it.

        Raises:
            SubmissionError: a probe got a wrong answer or none.
        """
        target = search.target
        if target is None:
            return search
        asked = _Asked(
            search=search,
            ask=lambda arguments, part: self._probe(trial, search, arguments, part, on_phase),
            ends_at=time.monotonic() + target.budget_s,
            known=self._known,
        )
        n, dim = len(trial.data.train), trial.data.info.dim
        axes, unusable = ranges.axes(self._job, search, n=n, dim=dim)
        self._unusable[search.case_id] = unusable
        why, tried = "", True
        try:
            chosen = _coordinates(asked, axes, target) if axes else _candidates(asked, target)
        except OverBudgetError:
            chosen, tried = _best(asked, target)
            which = "last" if tried else "first"
            why = f"--ann-tune-budget: {target.budget_s:g} s ended before the {which} probe"
        self._tuned[search.case_id] = Tuned(
            target_recall=target.recall,
            arguments=chosen,
            names=tuple(axes),
            reached=False,
            qps_low=None,
            qps_high=None,
            probes=tuple(asked.probes),
            why=why,
            tried=tried,
        )
        return replace(search, arguments=chosen)

    def with_tuning(self, measurement: Measurement) -> Measurement:
        """Returns a measurement with its tuning."""
        tuned = self._tuned.get(measurement.case_id)
        if tuned is None:
            return measurement
        reached = measurement.recall >= tuned.target_recall
        low, high = _qps_interval(measurement)
        tuned = replace(tuned, reached=reached, qps_low=low, qps_high=high)
        notes = [*self._unusable[measurement.case_id]]
        if not reached and tuned.tried:
            notes.append(f"recall {tuned.words}")
        if tuned.why:
            notes.append(tuned.why)
        if tuned.names and not reached:
            notes += _of_what_is_ignored(tuned)
        return replace(measurement, tuned=tuned, notes=(*measurement.notes, *notes))

    def _probe(
        self, trial: Trial, search: Search, arguments: Arguments, part: Part, on_phase: OnPhase
    ) -> Probe:
        on_phase(f"probing {arguments.label}")
        data, once = self._parts[part], replace(search, arguments=arguments, rounds=1)
        timed = trial.probe(once, data, on_phase)
        key = part, search.k
        if key not in self._kth:
            self._kth[key] = scoring.kth_neighbors(data, search.k)
        recall = scoring.score_rounds(
            data, trial.asker.checked(timed.given, search), self._kth[key]
        )
        return Probe(
            arguments=arguments,
            part=part,
            recall=recall.by_distance,
            mean_s=float(timed.times_ns.clip(0).mean()) / 1e9,
        )


def _qps_interval(measurement: Measurement) -> tuple[float | None, float | None]:
    """Returns queries per second at the ends of a 95 % interval of the mean latency.

    The rounds of one query are one sample. None with fewer than two samples, or for an end that
    is unbounded.
    """
    times = np.asarray(measurement.latencies_ns, dtype=np.float64) / 1e9
    if times.size == measurement.rounds * measurement.n_queries:
        times = times.reshape(measurement.rounds, measurement.n_queries).mean(axis=0)
    if times.size < 2:
        return None, None
    margin = Z95 * times.std(ddof=1) / times.size**0.5
    slow, fast = times.mean() + margin, times.mean() - margin
    return float(1 / slow) if slow > 0 else None, float(1 / fast) if fast > 0 else None


def _of_what_is_ignored(tuned: Tuned) -> Iterator[str]:
    """Yields a note if bisected arguments made no difference."""
    probes = [probe for probe in tuned.probes if probe.part == "tuning"]
    if (
        len({probe.arguments.key for probe in probes}) < 2
        or len({one.recall for one in probes}) > 1
    ):
        return
    name = tuned.names[0]
    values = sorted(probe.arguments.kwargs[name] for probe in probes)
    yield (
        f"{' and '.join(tuned.names)} did not change recall: the tuning queries had "
        f"{probes[0].recall:.4f} for each {name} from {values[0]:g} to {values[-1]:g}; does its "
        "query read it?"
    )


def _smallest(
    asked: _Asked, axis: Axis, target: float, arguments: Callable[[float], Arguments]
) -> float:
    """Returns the smallest value that reaches the target on the figure queries, else the best."""
    known: dict[Part, dict[float, float]] = {"tuning": {}, "figure": {}}
    for part, values in known.items():
        for value, probe in _probed(asked, part, arguments):
            values[value] = probe.recall
    guide, found = known["tuning"], known["figure"]
    n_blind = _try(
        asked,
        arguments,
        "tuning",
        into=guide,
        n_at_most=MAX_BLIND,
        following=lambda n_left: blind(axis, guide, target, n_left),
    )
    _try(
        asked,
        arguments,
        "figure",
        into=found,
        n_at_most=MAX_PROBES - n_blind,
        following=lambda n_left: wanted(axis, found, target, guide, n_left),
    )
    reached = bracket(found, target)[1]
    if reached is not None:
        return reached
    known_recalls = found or guide
    best = max(known_recalls.values())
    return min(value for value, recall in known_recalls.items() if recall == best)


def blind(axis: Axis, known: Known, target: float, n_left: int) -> float | None:
    """Returns the value to try next on the tuning queries; None if enough is known.

    Args:
        n_left: how many of :data:`MAX_BLIND` may still be tried.
    """
    high = bracket(known, target)[1]
    if high is not None and high < axis.high and n_left <= MAX_BLIND - ENOUGH_BLIND:
        return None
    return wanted(axis, known, target)


def _try(
    asked: _Asked,
    arguments: Callable[[float], Arguments],
    part: Part,
    *,
    into: dict[float, float],
    n_at_most: int,
    following: Callable[[int], float | None],
) -> int:
    """Asks one value after the other; returns how many were asked."""
    for n_asked in range(n_at_most):
        value = following(n_at_most - n_asked)
        if value is None:
            return n_asked
        into[value] = asked(arguments(value), part).recall
    return n_at_most


def _probed(
    asked: _Asked, part: Part, arguments: Callable[[float], Arguments]
) -> Iterator[tuple[float, Probe]]:
    """Yields probes of other targets that differ from this search in this argument only."""
    for (k, _, where), probe in asked.known.items():
        if k != asked.search.k or where != part:
            continue
        for value in probe.arguments.kwargs.values():
            usable = isinstance(value, (int, float)) and not isinstance(value, bool)
            if usable and arguments(value).key == probe.arguments.key:
                yield value, probe


def _coordinates(asked: _Asked, axes: Mapping[str, Axis], target: Target) -> Arguments:
    """Tunes one argument after the other, while the others keep their present values.

    All begin at their highest value, and each is lowered to the smallest that still reaches the
    target; several arguments take a few sweeps, within the budget. Speeds are not compared.
    """
    base = dict(asked.search.arguments.kwargs)
    values: dict[str, Any] = {name: axis.high for name, axis in axes.items()}
    for sweep in range(SWEEPS if len(axes) > 1 else 1):
        before = dict(values)
        for name, axis in axes.items():

            def arguments(value: float, name: str = name, axis: Axis = axis) -> Arguments:
                kwargs = {**base, **values, name: _plain(value, axis)}
                return replace(asked.search.arguments, kwargs=kwargs)

            try:
                values[name] = _smallest(asked, axis, target.recall, arguments)
            except OverBudgetError:
                if sweep == 0:
                    raise
                break
        if values == before:
            break
    kwargs = {**base, **{name: _plain(value, axes[name]) for name, value in values.items()}}
    return replace(asked.search.arguments, kwargs=kwargs)


def _plain(value: float, axis: Axis) -> int | float:
    return int(value) if axis.whole else value


def _candidates(asked: _Asked, target: Target) -> Arguments:
    """Returns the fastest of the header's settings that reaches the target, or the best recall.

    For headers that declare no range to bisect.
    """
    tried = [asked(arguments, "tuning") for arguments in target.settings]
    for probe in sorted(tried, key=lambda probe: probe.mean_s):
        if probe.recall >= target.recall:
            found = asked(probe.arguments, "figure") if len(tried) > 1 else probe
            if found.recall >= target.recall:
                return probe.arguments
    return max(tried, key=lambda probe: probe.recall).arguments


def _best(asked: _Asked, target: Target) -> tuple[Arguments, bool]:
    """Returns the fastest probe that reached the target, else the best recall, once time is up.

    Beside it whether there is any probe; else it is the first of the header's settings.
    """
    tried = [probe for (k, _, _), probe in asked.known.items() if k == asked.search.k]
    reached = [probe for probe in tried if probe.recall >= target.recall]
    if reached:
        return min(reached, key=lambda probe: probe.mean_s).arguments, True
    if tried:
        return max(tried, key=lambda probe: probe.recall).arguments, True
    return asked.search.arguments, False
