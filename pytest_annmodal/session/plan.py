"""``--ann-plan``: every job with its estimated cost, and what is left out and why."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pytest_annmodal.errors import ConfigurationError
from pytest_annmodal.figures import counted, duration, size
from pytest_annmodal.model import Job, finite
from pytest_annmodal.reports import aligned
from pytest_annmodal.results.folder import folder_of
from pytest_annmodal.results.reading import read_results
from pytest_annmodal.results.stored import StoredCase
from pytest_annmodal.session import fitting
from pytest_annmodal.session.costs import Costs, Estimate
from pytest_annmodal.session.fitting import ALL, LeftOut, n_rows
from pytest_annmodal.settings.config import Settings

SCHEMA = 1
START_S = 20.0  # until a container has its image and its dataset
UNKNOWN = "?"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedJob:
    """One build with its search settings, and their estimated cost.

    Attributes:
        usd_on_modal: for the estimated seconds and the start of a container; None if unknown.
    """

    build: str
    dataset: str
    settings: tuple[str, ...]
    estimate: Estimate
    usd_on_modal: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The jobs that a session would run, and what it would leave out."""

    machine: str
    jobs: tuple[PlannedJob, ...]
    left_out: tuple[LeftOut, ...]
    usd_per_hour: float

    def lines(self) -> list[str]:
        """Returns the plan as lines for the terminal."""
        head = ("job", "settings", "build", "queries", "memory", "on Modal", "from")
        rows = [head, *(_row(job) for job in self.jobs)]
        return [
            f"Plan for {self.machine}. Nothing is run.",
            *(aligned.lines(rows, "<>>>>><") if self.jobs else []),
            self._total(),
            *_why(self.left_out),
        ]

    def _total(self) -> str:
        n_settings = sum(len(job.settings) for job in self.jobs)
        seconds = [_seconds(job.estimate) for job in self.jobs]
        known = [one for one in seconds if one is not None]
        usd = sum(job.usd_on_modal or 0 for job in self.jobs)
        open_ones = len(seconds) - len(known)
        parts = [f"about {_clock(sum(known))}, on Modal about ${usd:,.2f}"] if known else []
        parts += [f"{counted(open_ones, 'job')} of unknown length"] if open_ones else []
        return (
            f"{counted(len(self.jobs), 'job')}, {counted(n_settings, 'setting')}: "
            f"{', and '.join(parts) or 'nothing to run'} "
            f"(${self.usd_per_hour:.3f} per container-hour, {START_S:.0f} s for each to start)"
        )

    def to_json(self) -> str:
        """Returns the whole plan as JSON; docs/settings.md describes the keys."""
        data: dict[str, Any] = {"schema": SCHEMA, **asdict(self)}
        return json.dumps(finite(_lists(data)), indent=1, ensure_ascii=False) + "\n"


def _lists(data: Any) -> Any:
    if isinstance(data, dict):
        return {key: _lists(value) for key, value in data.items()}
    return [_lists(item) for item in data] if isinstance(data, (list, tuple)) else data


def _row(job: PlannedJob) -> tuple[str, ...]:
    estimate = job.estimate
    return (
        f"{job.build} on {job.dataset}",
        f"{len(job.settings):,}",
        _clock(estimate.build_s),
        _clock(estimate.queries_s),
        UNKNOWN if estimate.memory_bytes is None else size(estimate.memory_bytes),
        UNKNOWN if job.usd_on_modal is None else f"${job.usd_on_modal:,.3f}",
        ", ".join(estimate.sources),
    )


def _clock(seconds: float | None) -> str:
    """Returns a time with two digits, since it is an estimate: ``0.14 s``, ``3.2 min``."""
    if seconds is None:
        return UNKNOWN
    for unit, length in (("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.1f} {unit}"
    return duration(seconds) if seconds < 1 else f"{seconds:.2g} s"


def _seconds(estimate: Estimate) -> float | None:
    if estimate.build_s is None or estimate.queries_s is None:
        return None
    return estimate.build_s + estimate.queries_s


def _why(left_out: Sequence[LeftOut]) -> list[str]:
    return ["Left out:", *(f"  {line}" for line in fitting.lines(left_out))] if left_out else []


def make(
    jobs: Iterable[Job], left_out: Iterable[LeftOut], settings: Settings, machine: str
) -> Plan:
    """Makes the plan of these jobs on a machine class, with estimates from the store or a model."""
    costs = Costs(_stored(settings), machine)
    gib = settings.modal_memory_mb / 1024
    per_hour = settings.modal_cpu * settings.modal_usd_core_hour + gib * settings.modal_usd_gib_hour
    planned, refused = [], list(left_out)
    for job in jobs:
        n = n_rows(job.dataset, job.limits.subset)
        k = max(search.k for search in job.searches)
        if n is not None and k > n:
            refused += _beyond(job, n)
            continue
        estimate = costs.of(job, n=n, n_queries=_n_queries(job))
        seconds = _seconds(estimate)
        planned.append(
            PlannedJob(
                build=job.label.removesuffix(f" on {job.dataset.name}"),
                dataset=job.dataset.name,
                settings=tuple(search.arguments.label for search in job.searches),
                estimate=estimate,
                usd_on_modal=None if seconds is None else per_hour * (seconds + START_S) / 3600,
            )
        )
    return Plan(
        machine=machine, jobs=tuple(planned), left_out=tuple(refused), usd_per_hour=per_hour
    )


def _beyond(job: Job, n: int) -> list[LeftOut]:
    return [
        LeftOut(
            implementation=job.implementation.name,
            settings=search.arguments.label or ALL,
            dataset=job.dataset.name,
            reason=f"k={search.k} is more than the {n:,} rows",
        )
        for search in job.searches
    ]


def _n_queries(job: Job) -> int | None:
    own = job.dataset.queries
    there, wanted = own.n if own else job.dataset.n_queries, job.limits.n_queries
    if there is None or wanted is None:
        return there if wanted is None else wanted
    return min(there, wanted)


def _stored(settings: Settings) -> Sequence[StoredCase]:
    folder = folder_of(settings)
    try:
        return read_results([folder]).cases if folder is not None else ()
    except ConfigurationError:  # nothing is stored yet
        return ()


def write(plan: Plan, path: Path) -> None:
    """Writes the plan as JSON. Raises ConfigurationError if that fails."""
    try:
        path.write_text(plan.to_json(), encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(
            f"--ann-plan-json {path}: it cannot be written: {error.strerror or error}"
        ) from error
