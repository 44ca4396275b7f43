"""Estimates the seconds and memory of a job before it runs, from the store or from a model.

The store comes first: the same setting on the same dataset and machine class. If it has none,
a model is used: a power law of rows, dimensions and parameters for each built-in, fitted to
measurements of one machine, and scaled by this machine's results of the implementation.
docs/settings.md gives its error.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from pytest_annmodal.model import Job, Plain, Search
from pytest_annmodal.results.stored import StoredCase

Key = tuple[object, ...]
Source = Literal["store", "scaled model", "model", "unknown"]
PROCESS_BYTES = 80 * 2**20  # Python with numpy and a library
FLOAT_BYTES = 4
PROBES = 8  # of one target, at most


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerLaw:
    """``factor * n**rows * dim**dims``, times each parameter to its power."""

    factor: float
    rows: float
    dims: float
    parameters: Mapping[str, float] = field(default_factory=dict)

    def of(self, n: int, dim: int, given: Mapping[str, Plain]) -> float:
        """Returns its value; a parameter that is missing or not a number above 0 counts as 1."""
        found: float = self.factor * n**self.rows * dim**self.dims
        for name, power in self.parameters.items():
            value = given.get(name)
            if isinstance(value, (int, float)) and value > 0:
                found *= value**power
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class RowBytes:
    """Bytes per row: copies of the vector, a constant, and a multiple of each parameter."""

    beside: float
    copies: float = 1
    parameters: Mapping[str, float] = field(default_factory=dict)

    def of(self, n: int, dim: int, given: Mapping[str, Plain]) -> float:
        row = self.beside + self.copies * FLOAT_BYTES * dim
        for name, each in self.parameters.items():
            value = given.get(name)
            row += each * value if isinstance(value, (int, float)) else 0
        return n * row


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """The cost model of one library: seconds of a build and a query, bytes of the index."""

    build_s: PowerLaw
    query_s: PowerLaw
    index_bytes: RowBytes


EXACT = Model(  # exact search in numpy; used for all unknown implementations
    build_s=PowerLaw(factor=3e-8, rows=1, dims=1),
    query_s=PowerLaw(factor=2.4e-9, rows=1, dims=1),
    index_bytes=RowBytes(beside=7),
)
# Fitted to 2,000 to 30,000 rows of 16 to 256 dimensions (clustered, float32), one thread of a busy
# cloud machine. Half of these measurements are within a factor of 1.6, all within 6.
MODELS: Mapping[str, Model] = {
    "bruteforce": EXACT,
    "annoy": Model(
        build_s=PowerLaw(factor=7.5e-6, rows=0.98, dims=0.45, parameters={"n_trees": 0.37}),
        query_s=PowerLaw(
            factor=4e-7, rows=0.21, dims=0.03, parameters={"n_trees": 0.18, "search_k": 0.73}
        ),
        index_bytes=RowBytes(beside=23, parameters={"n_trees": 17}),
    ),
    "faiss-hnsw": Model(
        build_s=PowerLaw(
            factor=8.5e-8, rows=1.28, dims=0.18, parameters={"M": 0.34, "ef_construction": 0.91}
        ),
        query_s=PowerLaw(
            factor=7.3e-8,
            rows=0.32,
            dims=0.24,
            parameters={"M": 0.22, "ef_construction": 0.32, "ef": 0.63},
        ),
        index_bytes=RowBytes(beside=17, parameters={"M": 8}),
    ),
    "hnswlib": Model(
        build_s=PowerLaw(
            factor=6.8e-8, rows=1.27, dims=0.23, parameters={"M": 0.17, "ef_construction": 1.01}
        ),
        query_s=PowerLaw(factor=1.8e-8, rows=0.33, dims=0.38, parameters={"M": 0.59, "ef": 0.8}),
        index_bytes=RowBytes(beside=204, parameters={"M": 8}),
    ),
    "usearch": Model(
        build_s=PowerLaw(
            factor=6e-8,
            rows=1.38,
            dims=0.35,
            parameters={"connectivity": 0.09, "expansion_add": 0.84},
        ),
        query_s=PowerLaw(
            factor=2.9e-6,
            rows=0.33,
            dims=0.18,
            parameters={"connectivity": 0.12, "expansion_search": 0.37},
        ),
        index_bytes=RowBytes(beside=118, parameters={"connectivity": 8}),
    ),
    "faiss-ivf": Model(
        build_s=PowerLaw(factor=6e-7, rows=0.93, dims=0.49, parameters={"n_list": 0.44}),
        query_s=PowerLaw(
            factor=3.1e-6, rows=0.43, dims=0.49, parameters={"n_list": -0.54, "n_probe": 0.58}
        ),
        index_bytes=RowBytes(beside=20, copies=1.2),
    ),
    "scikit-learn": Model(
        build_s=PowerLaw(factor=6.1e-7, rows=1.15, dims=0.69),
        query_s=PowerLaw(factor=6.8e-7, rows=0.9, dims=0.38),
        index_bytes=RowBytes(beside=11, copies=2),
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """The estimated cost of one job; None where it is unknown.

    Attributes:
        build_s: seconds of its build.
        queries_s: seconds of all queries of all settings.
        memory_bytes: peak memory of the worker.
        sources: sources of these figures, each once.
    """

    build_s: float | None
    queries_s: float | None
    memory_bytes: float | None
    sources: tuple[Source, ...]


class Costs:
    """Estimates for the jobs of one machine class.

    Args:
        cases: all cases in the store.
        machine: the machine class that jobs will run on.
    """

    def __init__(self, cases: Iterable[StoredCase], machine: str) -> None:
        self._builds: dict[Key, StoredCase] = {}
        self._searches: dict[Key, StoredCase] = {}
        ratios: dict[tuple[str, str], list[float]] = {}
        for case in sorted(cases, key=lambda case: case.measured_at):
            if case.machine != machine or case.failure is not None:
                continue
            build = case.implementation, case.build.key, case.dataset, case.subset, case.threads
            self._builds[build] = case
            self._searches[(*build, case.search.key, case.k)] = case
            for figure, ratio in _ratios(case):
                ratios.setdefault((case.implementation, figure), []).append(ratio)
        self._scales = {key: statistics.median(found) for key, found in ratios.items()}

    def of(self, job: Job, *, n: int | None, n_queries: int | None) -> Estimate:
        """Returns the estimate of a job.

        Args:
            n: number of indexed rows, if known.
            n_queries: number of queries, if known.
        """
        name, limits = job.implementation.name, job.limits
        build = name, job.build.key, job.dataset.name, limits.subset, limits.threads
        stored = self._builds.get(build)
        if n_queries is None and stored is not None:
            n_queries = stored.n_queries
        sources: list[Source] = []
        if stored is not None and stored.build_s is not None:
            build_s: float | None = stored.build_s
            memory: float | None = stored.peak_rss_bytes
            sources.append("store")
        else:
            build_s, source = self._modelled(job, "build_s", job.build.kwargs, n)
            index_bytes, _ = self._modelled(job, "index_bytes", job.build.kwargs, n)
            memory = _memory(index_bytes, n, job.dataset.dim)
            sources.append(source)
        queries_s: float | None = 0.0
        for search in job.searches:
            one_s, source = self._query(job, search, (*build, search.arguments.key, search.k), n)
            sources.append(source)
            if queries_s is None or one_s is None or n_queries is None:
                queries_s = None
            else:
                queries_s += _asked(one_s, n_queries, search, job)
                queries_s += limits.load.seconds if limits.load is not None else 0.0
        return Estimate(
            build_s=build_s,
            queries_s=queries_s,
            memory_bytes=memory,
            sources=tuple(dict.fromkeys(sources)),
        )

    def _query(
        self, job: Job, search: Search, key: Key, n: int | None
    ) -> tuple[float | None, Source]:
        """Returns the seconds of one query, and their source."""
        stored = self._searches.get(key)
        if stored is not None and stored.mean_s is not None:
            return stored.mean_s, "store"
        given = {**job.build.kwargs, **search.arguments.kwargs}
        return self._modelled(job, "query_s", given, n)

    def _modelled(
        self, job: Job, figure: str, given: Mapping[str, Plain], n: int | None
    ) -> tuple[float | None, Source]:
        name, dim = job.implementation.name, job.dataset.dim
        if n is None or dim is None:
            return None, "unknown"
        law: PowerLaw | RowBytes = getattr(MODELS.get(name, EXACT), figure)
        scale = self._scales.get((name, figure))
        found = law.of(n, dim, given)
        return (found, "model") if scale is None else (found * scale, "scaled model")


def _ratios(case: StoredCase) -> Iterator[tuple[str, float]]:
    """Yields measured ÷ modelled cost of a stored case, by figure."""
    if case.n_train is None or case.dim is None:
        return
    given = {**case.build.kwargs, **case.search.kwargs}
    model = MODELS.get(case.implementation, EXACT)
    for figure, law, measured in (
        ("build_s", model.build_s, case.build_s),
        ("query_s", model.query_s, case.mean_s),
        ("index_bytes", model.index_bytes, case.index_bytes),
    ):
        said = law.of(case.n_train, case.dim, given)
        if measured and said > 0:
            yield figure, measured / said


def _memory(index_bytes: float | None, n: int | None, dim: int | None) -> float | None:
    """Returns the bytes of the process, the training vectors and the index together."""
    if index_bytes is None or n is None or dim is None:
        return None
    return PROCESS_BYTES + n * dim * FLOAT_BYTES + index_bytes


def _asked(query_s: float, n_queries: int, search: Search, job: Job) -> float:
    """Returns the seconds of all rounds of a setting, and of the batch after them."""
    once = query_s * n_queries
    if search.target is not None:  # half of the queries for each part; at most eight probes
        once /= 2
        return once * (PROBES + search.rounds + 1)
    in_turn = min(once * search.rounds, max(once, job.limits.max_search_s + once))
    return in_turn + once
