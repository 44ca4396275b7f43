"""The project's main types: frozen dataclasses, without any I/O.

:func:`to_plain` and :func:`from_plain` convert them to and from JSON for other machines.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, TypeVar

from pytest_annmodal.levels import Clients, Load
from pytest_annmodal.queries import OwnQueries, place

Clock = Literal["worker", "parent"]
Plain = Any  # JSON: None, bool, int, float, str, list, dict with str keys


def to_plain(value: Any) -> Plain:
    """Converts a dataclass, nested ones too, to plain data for JSON."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: to_plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value


T = TypeVar("T")


def from_plain(kind: type[T], data: Plain) -> T:
    """Rebuilds a dataclass from the result of :func:`to_plain`; ValueError for anything else."""
    import msgspec

    return msgspec.convert(data, kind)


def finite(value: Plain) -> Plain:
    """Returns plain data with None for NaN and infinity, which JSON lacks."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """One dataset as the catalogue, a file name or a URL describes it.

    Attributes:
        source: source of its file, such as ``https://…`` or ``file:/ABSOLUTE/PATH``; for all
            kinds see :mod:`pytest_annmodal.datasets.sources.sources`.
        sha256: hex digest, if known before the file is read.
        size_bytes: length of the file, if known.
        metric, dim, n_train, n_queries, k_truth: expected content; that of the file counts.
        queries: queries to use instead of those in its file.
    """

    name: str
    source: str
    sha256: str | None = None
    size_bytes: int | None = None
    metric: str | None = None
    dim: int | None = None
    n_train: int | None = None
    n_queries: int | None = None
    k_truth: int | None = 100
    queries: OwnQueries | None = None


# Classes with cached properties have no slots; the properties are read thousands of times.
@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Arguments for a constructor or for ``set_query_arguments``, as plain data.

    In ``args`` of an ann-benchmarks definition the strings ``@metric``, ``@dimension`` and
    ``@count`` stand for the dataset's metric and dimension, and for k.
    """

    args: tuple[Plain, ...] = ()
    kwargs: Mapping[str, Plain] = field(default_factory=dict)

    @cached_property
    def label(self) -> str:
        """``n_trees=10,search_k=1000`` or ``M=16,100``: what ids and tables show."""
        parts = itertools.chain.from_iterable(_label(value) for value in self.args)
        named = (f"{key}={_short(value)}" for key, value in self.kwargs.items())
        return ",".join((*parts, *named))

    @cached_property
    def key(self) -> str:
        """Canonical text, equal for equal arguments."""
        return json.dumps(to_plain(self), sort_keys=True)


def _with_parameters(name: str, parameters: str) -> str:
    return f"{name}[{parameters}]" if parameters else name


def _label(value: Plain) -> list[str]:
    if isinstance(value, Mapping):
        return [f"{key}={_short(item)}" for key, item in value.items()]
    return [] if isinstance(value, str) and value.startswith("@") else [_short(value)]


def _short(value: Plain) -> str:
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A target recall, and the search settings to reach it.

    Attributes:
        settings: search arguments of the implementation's own grid for this build.
        budget_s: time limit for all attempts, in seconds.
    """

    recall: float
    settings: tuple[Arguments, ...]
    budget_s: float


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One point of an implementation's parameter grids.

    Attributes:
        groups: the run groups of an ann-benchmarks definition that contain it.
        target: set if the search arguments are still to be found.
    """

    build: Arguments
    search: Arguments
    groups: tuple[str, ...] = ()
    target: Target | None = None

    @cached_property
    def label(self) -> str:
        asked = self.search.label if self.target is None else f"recall={self.target.recall:g}"
        return ",".join(filter(None, (self.build.label, asked)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Tunable:
    """A search argument that recall rises with, so that it can be bisected.

    Attributes:
        low, high: numbers, or expressions of a header (``n_list``, ``max(2000, 2 * k)``).
        log: whether values are spaced by ratios.
    """

    name: str
    low: int | float | str
    high: int | float | str
    log: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """The packages, and perhaps the Python, of a ``NAME@SPEC``.

    Attributes:
        spec: the text after the ``@``.
        requirements: packages to install, as pip takes them; a folder or wheel by absolute path.
        python: ``3.12``, or empty for the version of this process.
        folder: its place in a container's image; empty here, where it is made when needed.
    """

    spec: str
    requirements: tuple[str, ...]
    python: str = ""
    folder: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Implementation:
    """One ANN implementation, known from its text alone (it is never imported here).

    Attributes:
        path: the ``.py`` file to load in the worker, or the ``.cpp`` file to compile there.
        folder: the folder that belongs to it and is copied with it, or None.
        style: ``class`` calls ``Class(metric, *args, **kwargs)``; ``ann-benchmarks`` calls
            ``Class(*args, **kwargs)`` with ``@metric`` replaced inside ``args``, in a package in
            which ``from ..base.module import BaseANN`` works; ``c++`` is compiled: no class name.
        metrics: names of the metrics that it serves.
        requirements: PEP 508 requirements from its header.
        modules: top-level modules that must be importable, for a file without a header.
        trusted: no submission, so the worker's clock may be used.
        short_answers: fewer than k ids (or ``-1`` padding) are misses, not failures.
        bounded_by: the parameter that bounds the number of ids, if its header names it.
        effective: by parameter, a rule for the value that the library really uses; see
            :mod:`pytest_annmodal.manifests.effective`.
        constraints: conditions on its parameters, k, n and dim for a setting to run.
        tune: the search arguments that recall rises with, as its header declares.
        error: why it cannot run at all (syntax error, no class…), found in its text.
        build_names, search_names: names of arguments given by position, as its text shows them.
        clients: what its header declares several clients to be; None: a test decides.
        warm_up_build: build a small index before timing, since it compiles itself.
        dtypes: forms of rows that it takes, :data:`~pytest_annmodal.distances.layouts.FORMS`.
        disabled: disabled in its ``config.yml``; runs only if it, or its folder, is named.
        on_request: left out unless ``--impl`` names it.
        environment: its own packages; None to run with those installed here.
    """

    name: str
    path: str
    class_name: str
    style: Literal["class", "ann-benchmarks", "c++"] = "class"
    metrics: tuple[str, ...] = ()
    requirements: tuple[str, ...] = ()
    modules: tuple[str, ...] = ()
    trusted: bool = True
    short_answers: bool = False
    bounded_by: str = ""
    effective: Mapping[str, str] = field(default_factory=dict)
    constraints: tuple[str, ...] = ()
    tune: tuple[Tunable, ...] = ()
    variants: tuple[Variant, ...] = (Variant(build=Arguments(), search=Arguments()),)
    error: str | None = None
    folder: str | None = None
    build_names: tuple[str, ...] = ()
    search_names: tuple[str, ...] = ()
    clients: Clients | None = None
    warm_up_build: bool = False
    dtypes: tuple[str, ...] = ()
    disabled: bool = False
    on_request: bool = False
    environment: Environment | None = None


@dataclass(frozen=True, kw_only=True)
class Case:
    """One thing to measure: an implementation's variant on a dataset at k.

    Attributes:
        subset: number of rows of ``train`` used; None for all.
        repetition: 0 for the first measurement, more if a test asks for it again.
    """

    implementation: Implementation
    variant: Variant
    dataset: Dataset
    k: int = 10
    rounds: int = 3
    subset: int | None = None
    repetition: int = 0

    def __repr__(self) -> str:
        return f"<Case {self.id}>"  # shown by pytest under a failed assertion

    @cached_property
    def label(self) -> str:
        """``annoy[n_trees=10,search_k=1000]``, with `` (2)`` added when measured again."""
        return _with_parameters(self.implementation.name, self.variant.label) + self._again

    @property
    def build_label(self) -> str:
        """``annoy[n_trees=10]``: the build without the search arguments."""
        return _with_parameters(self.implementation.name, self.variant.build.label) + self._again

    @property
    def _again(self) -> str:
        return f" ({self.repetition + 1})" if self.repetition else ""

    @cached_property
    def id(self) -> str:
        """The pytest id: ``annoy[n_trees=10,search_k=1000]-gist-960-euclidean-k10``."""
        dataset = self.dataset
        return f"{self.label}-{place(dataset.name, self.subset, dataset.queries)}-k{self.k}"

    @property
    def build_key(self) -> tuple[int, str, str, str]:
        """Equal for cases that share one build; a repetition has its own builds."""
        return (
            self.repetition,
            self.dataset.name,
            self.implementation.path + self.implementation.name,
            self.variant.build.key,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """One search setting of a job, answering one case.

    Attributes:
        target: set if the arguments are still to be found; these are then the first of its grid.
    """

    case_id: str
    arguments: Arguments
    k: int
    rounds: int
    target: Target | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How a job runs and what it may use.

    Attributes:
        threads: value of OMP_NUM_THREADS and the like; 1 also pins the worker to one core.
        clock: ``worker`` (its own clock) or ``parent`` (over the shared-memory mailbox).
        subset: use a sample of this many rows of ``train``; None for all.
        n_queries: use a sample of this many of the dataset's queries; None for all.
        query_order: one of :data:`~pytest_annmodal.settings.config.ORDERS`.
        cold: time a first pass after dropping the files it reads from the page cache.
        phase_timeout_s: time limit for a phase (start, build, one search setting).
        memory_bytes: limit of the worker's private memory beyond ``train``, or None.
        isolation: ``auto``, ``strict`` or ``process``: how a submission is isolated.
        fresh_seed: seed to draw fresh queries for a submission; None: use the dataset's.
        max_search_s: no further round begins once a search setting has taken this long.
        at_recall: also interpolate the queries per second at this recall.
        private: files and folders that no submission may see.
        load: load levels for each search setting, besides single queries.
    """

    threads: int = 1
    clock: Clock = "worker"
    subset: int | None = None
    n_queries: int | None = None
    query_order: str = "file"
    cold: bool = False
    phase_timeout_s: float = 3600.0
    memory_bytes: int | None = None
    output_bytes: int = 16 * 2**20
    max_search_s: float = 60.0
    isolation: str = "auto"
    fresh_seed: int | None = None
    at_recall: float | None = None
    private: tuple[str, ...] = ()
    load: Load | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """How a job is compared with its baseline to reach a verdict.

    Attributes:
        at_recall: recall at which speeds are compared, between each side's settings around it.
        asked_for: whether the user named that recall; else equal settings may be compared.
        tolerances: how much worse each figure may be, by the names of
            :data:`~pytest_annmodal.tolerances.TOLERANCES`.
        n_jobs: number of jobs gated together; the more, the stronger the evidence must be.
    """

    at_recall: float
    asked_for: bool
    tolerances: Mapping[str, float | None]
    n_jobs: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """The build and searches with which a job's searches are compared.

    Attributes:
        max_sessions: most sessions with fresh builds; 1 gives a ratio without a verdict.
        difference: the smallest relevant difference, 0.05 for 5 %.
        gate: set if the comparison is a gate.
    """

    implementation: Implementation
    build: Arguments
    searches: tuple[Arguments, ...]
    max_sessions: int
    difference: float
    gate: Gate | None = None

    @property
    def label(self) -> str:
        """``annoy[n_trees=10]``."""
        return _with_parameters(self.implementation.name, self.build.label)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One build of one implementation on one dataset, with all its searches."""

    dataset: Dataset
    implementation: Implementation
    build: Arguments
    searches: tuple[Search, ...]
    limits: Limits = Limits()
    baseline: Baseline | None = None

    @property
    def label(self) -> str:
        name = _with_parameters(self.implementation.name, self.build.label)
        return f"{name} on {self.dataset.name}"
