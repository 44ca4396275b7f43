"""How true the reported latency is, and what the harness costs beside the queries."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pytest_annmodal.datasets import hdf5, synthetic
from pytest_annmodal.execution import run_job
from pytest_annmodal.manifests import manifest
from pytest_annmodal.model import (
    Arguments,
    Clock,
    Dataset,
    Implementation,
    Job,
    Limits,
    Search,
)
from pytest_annmodal.outcome import Failure, Measurement

from .figures import Row, Scale
from .processes import tight_loop

K = 10
CLOCKS: tuple[Clock, ...] = ("worker", "parent")
FIDELITY_AIM = {"worker": 1.03, "parent": None}
PER_QUERY_AIM_US = 5.0
MAILBOX_AIM_US = 5.0
NO_SEARCH = """\
import numpy as np


class NoSearch:
    def __init__(self, metric):
        pass

    def fit(self, X):
        # Rows from all over train: scoring must fetch them as it would a real answer's.
        self.n = len(X)
        starts = np.random.default_rng(0).integers(self.n, size=4096)
        spread = np.arange({k}) * (self.n // {k})
        self.answers = (starts[:, None] + spread) % self.n
        self.turn = 0

    def query(self, v, k):
        self.turn = (self.turn + 1) & 4095
        return self.answers[self.turn].copy()  # an array of its own, as libraries give
"""
# Equal settings of a job are measured once. A number that changes nothing makes them different.
NUMBERED = """\


class Numbered({base}):
    def set_query_arguments(self, repeat, **search):
        if search:
            super().set_query_arguments(**search)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Floors:
    """Of every job that was run here."""

    clock_ns: list[float]
    mailbox_us: list[float]

    def note(self, measured: Measurement) -> None:
        self.clock_ns.append(float(measured.clock_floor_ns))
        self.mailbox_us.append(measured.mailbox_floor_ns / 1e3)


def rows(scale: Scale, directory: Path) -> Iterator[Row]:
    """Fidelity by both clocks, seconds beside the queries, floors."""
    path = directory / "clusters-64-euclidean.hdf5"
    synthetic.generate(path, "euclidean", n_train=scale.n_train, n_queries=scale.n_queries)
    floors = Floors(clock_ns=[], mailbox_us=[])
    by_name = {item.name: item for item in manifest.builtin()}
    for name in scale.implementations:
        yield from _fidelity(by_name[name], path, scale, floors)
    yield from _per_query(path, scale, directory, floors)
    yield Row(name="floor of the worker's clock", unit="ns", values=tuple(floors.clock_ns))
    yield Row(
        name="floor of the parent's clock (mailbox)",
        unit="us",
        values=tuple(floors.mailbox_us),
        aim=MAILBOX_AIM_US,
    )


def _fidelity(
    implementation: Implementation, path: Path, scale: Scale, floors: Floors
) -> Iterator[Row]:
    """The product's p50 over that of the tight loop, pass by pass in turn on one core."""
    ratios: dict[Clock, list[float]] = {clock: [] for clock in CLOCKS}
    if not manifest.missing_requirements(implementation):
        for _process in range(scale.processes):
            for clock in CLOCKS:
                ratios[clock] += _alternate(implementation, path, scale, clock, floors)
    for clock in CLOCKS:
        yield Row(
            name=f"{implementation.name}: p50 by the {clock}'s clock / tight loop",
            unit="ratio",
            values=tuple(ratios[clock]),
            aim=FIDELITY_AIM[clock],
        )


def _alternate(
    implementation: Implementation, path: Path, scale: Scale, clock: Clock, floors: Floors
) -> list[float]:
    """One build on either side, then a tight pass before each search of a real job."""
    job = _repeated(implementation, path, scale, clock)
    with tight_loop(
        path=job.implementation.path,
        **{"class": job.implementation.class_name},
        dataset=str(path),
        metric="euclidean",
        build=dict(job.build.kwargs),
        search=dict(job.searches[0].arguments.kwargs),
        k=K,
    ) as tight:
        tight_ns: list[float] = []

        def on_phase(text: str) -> None:
            if text.startswith("queries, setting"):
                tight_ns.append(tight.p50_ns())

        measured = _run(job, path, on_phase=on_phase)
        floors.note(measured[0])
        tight_ns.append(tight.p50_ns())
    assert len(tight_ns) == len(measured) + 1
    # Each product pass lies between two tight ones: drift of the machine's speed cancels.
    around = (np.array(tight_ns[:-1]) + np.array(tight_ns[1:])) / 2
    ratios = np.array([item.p50_s * 1e9 for item in measured]) / around
    return [float(ratio) for ratio in ratios[1:]]  # the first pass warms both sides


def _repeated(implementation: Implementation, path: Path, scale: Scale, clock: Clock) -> Job:
    """One setting of an implementation, again and again: the searches differ by a number only."""
    source = Path(implementation.path)
    copy = path.with_name(f"numbered_{source.name}")
    text = source.read_text(encoding="utf-8")
    copy.write_text(text + NUMBERED.format(base=implementation.class_name), encoding="utf-8")
    variant = implementation.variants[len(implementation.variants) // 2]
    return _job(
        dataclasses.replace(implementation, path=str(copy), class_name="Numbered"),
        path,
        build=variant.build,
        searches=tuple(
            Search(
                case_id=str(number),
                arguments=Arguments(kwargs={**variant.search.kwargs, "repeat": number}),
                k=K,
                rounds=1,
            )
            for number in range(scale.alternations + 1)
        ),
        limits=Limits(clock=clock),
    )


def _per_query(path: Path, scale: Scale, directory: Path, floors: Floors) -> Iterator[Row]:
    """Seconds of ``run_job`` outside build and timed queries: the slope over their number."""
    many = directory / "many-64-euclidean.hdf5"
    _repeat_queries(path, many, scale.slope_queries)
    source = directory / "no_search.py"
    source.write_text(NO_SEARCH.format(k=K))
    implementation = Implementation(
        name="no-search", path=str(source), class_name="NoSearch", metrics=("euclidean",)
    )
    kept = directory / "kept"
    few = min(100, scale.slope_queries // 2)
    for clock in CLOCKS:
        slopes_us = []
        for _pair in range(scale.slope_pairs + 1):
            beside_s = []
            for n_queries in (few, scale.slope_queries):
                job = _job(
                    implementation,
                    many,
                    build=Arguments(),
                    searches=(Search(case_id="one", arguments=Arguments(), k=K, rounds=1),),
                    limits=Limits(clock=clock, n_queries=n_queries),
                )
                start = time.perf_counter()
                (measured,) = _run(job, many, cache=kept)
                wall_s = time.perf_counter() - start
                floors.note(measured)
                beside_s.append(wall_s - measured.build_s - sum(measured.latencies_ns) / 1e9)
            slopes_us.append((beside_s[1] - beside_s[0]) / (scale.slope_queries - few) * 1e6)
        yield Row(
            name=f"harness beside each query, {clock}'s clock",
            unit="us",
            values=tuple(slopes_us[1:]),  # the first pair fills the cache of counts
            aim=PER_QUERY_AIM_US,
        )


def _repeat_queries(path: Path, many: Path, n_queries: int) -> None:
    """The same dataset with its queries, and their truth, again and again."""
    data = hdf5.load(path)
    rows_ = np.arange(n_queries) % len(data.test)
    hdf5.write(
        many,
        train=data.train,
        test=data.test[rows_],
        neighbors=data.neighbors[rows_].astype(np.int32),
        distances=data.distances[rows_],
        metric="euclidean",
    )


def _job(
    implementation: Implementation,
    path: Path,
    *,
    build: Arguments,
    searches: tuple[Search, ...],
    limits: Limits,
) -> Job:
    return Job(
        dataset=Dataset(name=path.stem, source=f"file:{path}"),
        implementation=implementation,
        build=build,
        searches=searches,
        limits=limits,
    )


def _run(job: Job, path: Path, **options: object) -> list[Measurement]:
    measured = []
    for outcome in run_job(job, path, **options):  # type: ignore[arg-type]
        if isinstance(outcome, Failure):
            raise RuntimeError(f"{job.label}: {outcome.message} {dict(outcome.evidence)}")  # noqa: TRY004
        if outcome.measured_as:
            raise RuntimeError(
                f"{job.label}: {outcome.case_id} was not measured: it has the figures of "
                f"{outcome.measured_as}. Each repeat must be a measurement of its own"
            )
        measured.append(outcome)
    return measured
