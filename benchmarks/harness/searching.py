"""How true the reported latency is, and what the harness costs beside the queries."""

from __future__ import annotations

import dataclasses
import time
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

from .processes import tight_loop
from .scale import Scale
from .table import Values

K = 10
CLOCKS: tuple[Clock, ...] = ("worker", "parent")
PROCESSES = 2  # builds of each index on either side
FEW_QUERIES = 100
NO_LIMITS = Limits()
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


def fidelity(scale: Scale, directory: Path) -> Values:
    """The product's p50 over that of the tight loop, pass by pass in turn on one core.

    By the parent's clock its floor is taken off first: it is stated with every measurement.
    """
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / "clusters-64-euclidean.hdf5"
    synthetic.generate(
        path, "euclidean", n_train=scale.clusters_n, n_queries=scale.clusters_queries
    )
    by_name = {item.name: item for item in manifest.builtin()}
    values: dict[str, list[float]] = {"floor-parent": [], "floor-worker": []}
    for name in scale.fidelity:
        if manifest.missing_requirements(by_name[name]):
            continue
        for _process in range(PROCESSES):
            for clock in CLOCKS:
                found = values.setdefault(f"p50-{clock}-{name}", [])
                found += _alternate(by_name[name], path, scale, clock, values)
    return values


def _alternate(
    implementation: Implementation,
    path: Path,
    scale: Scale,
    clock: Clock,
    floors: dict[str, list[float]],
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

        measured = run(job, path, on_phase=on_phase)
        tight_ns.append(tight.p50_ns())
    floors["floor-worker"].append(float(measured[0].clock_floor_ns))
    floors["floor-parent"].append(measured[0].mailbox_floor_ns / 1e3)
    assert len(tight_ns) == len(measured) + 1
    # Each product pass lies between two tight ones: drift of the machine's speed cancels.
    around = (np.array(tight_ns[:-1]) + np.array(tight_ns[1:])) / 2
    floor_ns = measured[0].mailbox_floor_ns if clock == "parent" else 0
    p50_ns = np.array([item.p50_s * 1e9 for item in measured])
    # The first pass warms both sides.
    return [float(ratio) for ratio in ((p50_ns - floor_ns) / around)[1:]]


def _repeated(implementation: Implementation, path: Path, scale: Scale, clock: Clock) -> Job:
    """One setting of an implementation, again and again: the searches differ by a number only."""
    source = Path(implementation.path)
    copy = path.with_name(f"numbered_{source.name}")
    text = source.read_text(encoding="utf-8")
    copy.write_text(text + NUMBERED.format(base=implementation.class_name), encoding="utf-8")
    variant = implementation.variants[0]  # the quickest queries show most of what is added
    return job_of(
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
            for number in range(scale.passes + 1)
        ),
        limits=Limits(clock=clock),
    )


def per_query_10(scale: Scale, directory: Path) -> Values:
    return {
        "beside-10": _beside_each(scale, directory, k=10, clock="worker"),
        "beside-10-parent": _beside_each(scale, directory, k=10, clock="parent"),
    }


def per_query_100(scale: Scale, directory: Path) -> Values:
    return {"beside-100": _beside_each(scale, directory, k=100, clock="worker")}


def _beside_each(scale: Scale, directory: Path, *, k: int, clock: Clock) -> list[float]:
    """Microseconds of ``run_job`` outside build and timed queries: the slope over their number."""
    directory.mkdir(parents=True, exist_ok=True)
    many = _many_queries(directory, scale)
    source = directory / f"no_search_{k}.py"
    source.write_text(NO_SEARCH.format(k=k))
    implementation = Implementation(
        name="no-search", path=str(source), class_name="NoSearch", metrics=("euclidean",)
    )
    few = min(FEW_QUERIES, scale.slope_queries // 2)
    slopes_us = []
    for _pair in range(scale.alternations + 1):
        beside_s = []
        for n_queries in (few, scale.slope_queries):
            job = job_of(
                implementation,
                many,
                build=Arguments(),
                searches=(Search(case_id="one", arguments=Arguments(), k=k, rounds=1),),
                limits=Limits(clock=clock, n_queries=n_queries),
            )
            start = time.perf_counter()
            (measured,) = run(job, many, cache=directory / "kept")
            wall_s = time.perf_counter() - start
            beside_s.append(wall_s - measured.build_s - sum(measured.latencies_ns) / 1e9)
        slopes_us.append((beside_s[1] - beside_s[0]) / (scale.slope_queries - few) * 1e6)
    return slopes_us[1:]  # the first pair fills the cache of counts


def _many_queries(directory: Path, scale: Scale) -> Path:
    """The same dataset with its queries, and their truth, again and again."""
    path, many = directory / "clusters-64-euclidean.hdf5", directory / "many-64-euclidean.hdf5"
    if many.exists():
        return many
    synthetic.generate(
        path, "euclidean", n_train=scale.clusters_n, n_queries=scale.clusters_queries
    )
    data = hdf5.load(path)
    rows = np.arange(scale.slope_queries) % len(data.test)
    hdf5.write(
        many,
        train=data.train,
        test=data.test[rows],
        neighbors=data.neighbors[rows].astype(np.int32),
        distances=data.distances[rows],
        metric="euclidean",
    )
    return many


def job_of(
    implementation: Implementation,
    path: Path,
    *,
    build: Arguments,
    searches: tuple[Search, ...],
    limits: Limits = NO_LIMITS,
) -> Job:
    return Job(
        dataset=Dataset(name=path.stem, source=f"file:{path}"),
        implementation=implementation,
        build=build,
        searches=searches,
        limits=limits,
    )


def run(job: Job, path: Path, **options: object) -> list[Measurement]:
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
