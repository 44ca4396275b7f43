"""Selects implementations and datasets by the options, and finds cases by name."""

from __future__ import annotations

import dataclasses
import fnmatch
import glob
import itertools
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from pytest_annmodal.datasets import catalog
from pytest_annmodal.datasets.generated import GENERATED
from pytest_annmodal.datasets.locate import find_datasets
from pytest_annmodal.distances import metrics
from pytest_annmodal.environments import spec as environments
from pytest_annmodal.errors import ConfigurationError
from pytest_annmodal.manifests import manifest, narrowing
from pytest_annmodal.manifests.handed_in import handed_in
from pytest_annmodal.model import Case, Dataset, Implementation, Variant
from pytest_annmodal.protocols import Stored
from pytest_annmodal.queries import OwnQueries
from pytest_annmodal.session import fitting
from pytest_annmodal.session import marker as markers
from pytest_annmodal.settings.config import Settings
from pytest_annmodal.settings.nearest import nearest_names, not_there, one_by_one
from pytest_annmodal.settings.option import expanded

STUDENT = "student"
FEW = 30  # names that a message can list
MARK = "~"  # before what is added to a name that is taken; other names do not contain it
STUDENT_FILES = ("benchmarks/student.py", "student.py")
DEFAULT_DATASETS = (
    "digits-64-euclidean",
    *(row.name for row in GENERATED.values()),
    "fashion-mnist-784-euclidean",
    "nytimes-256-angular",
    "sift-128-euclidean",
    "gist-960-euclidean",
)


def offered_implementations(settings: Settings) -> list[Implementation]:
    """Returns all that ``--impl`` may name: built-ins, folders, submissions, the template.

    Raises:
        ConfigurationError: a folder cannot be read.
    """
    found = manifest.builtin()
    for text in settings.implementations:
        folder = expanded(text, settings.rootdir, "--ann-implementations")
        found += _with_folder_names(manifest.read_directory(folder), found, folder)
    if not settings.submission:
        for name in STUDENT_FILES:
            if (settings.rootdir / name).is_file():
                found += manifest.read_submission(settings.rootdir / name)
                break
    return found + submissions(settings)


def _with_folder_names(
    new: Sequence[Implementation], known: Sequence[Implementation], folder: Path
) -> list[Implementation]:
    """Adds the folder to names that are taken: ``annoy~ann-benchmarks``."""
    taken = {item.name for item in known}
    result = []
    for item in new:
        marked = f"{item.name}{MARK}{manifest.sanitise(folder.resolve().name)}"
        numbered = (f"{marked}{MARK}{number}" for number in itertools.count(2))
        candidates = itertools.chain((item.name, marked), numbered)
        name = next(name for name in candidates if name not in taken)
        taken.add(name)
        result.append(dataclasses.replace(item, name=name))
    return result


def submissions(settings: Settings) -> list[Implementation]:
    """Returns the implementations in the files and folders that ``--submission`` names."""
    return [item for _, item in _handed_in(settings)]


def _handed_in(settings: Settings) -> list[tuple[Path, Implementation]]:
    """Returns each implementation of a submission, with the submission's path."""
    found = [
        (one.path, item)
        for one in handed_in(settings)
        for item in manifest.read_submission(one.path, called=one.name)
    ]
    named = _with_distinct_names([item for _, item in found])
    return [(path, item) for (path, _), item in zip(found, named, strict=True)]


def _with_distinct_names(found: Sequence[Implementation]) -> list[Implementation]:
    """Numbers equal names: a folder's algorithm may have the name of another submission."""
    paths: dict[str, list[str]] = {}
    result = []
    for item in found:
        same = paths.setdefault(item.name, [])
        if item.path not in same:
            same.append(item.path)
        number = same.index(item.path) + 1
        name = item.name if number == 1 else f"{item.name}~{number}"
        result.append(dataclasses.replace(item, name=name))
    return result


def select_implementations(settings: Settings) -> list[Implementation]:
    """Returns the selected implementations: the submissions, and those that ``--impl`` names.

    Without submissions and ``--impl`` these are all. Of a submission with several definitions
    only those that ``--impl`` names run, if it names any, except in grading.

    Raises:
        ConfigurationError: an unknown pattern, run group or parameter (with the nearest
            names), or all selected implementations have errors.
    """
    own = _handed_in(settings)
    offered = offered_implementations(settings)
    offered = [*_with_specs(settings, offered), *offered]
    grading = settings.grade is not None
    if settings.impl:
        chosen = _named(settings.impl, offered, own, narrow_own=not grading)
    else:
        chosen = [item for _, item in own] or offered
        chosen = [item for item in chosen if not item.on_request]
    if not grading:  # which runs what a submission names
        chosen = narrowing.in_groups(chosen, settings.run_group)
        chosen = with_values(chosen, settings.param, settings.build_param, "--ann-{}")
        recalls = [recall for given in settings.target_recall for recall in given]
        if recalls:
            budget_s = settings.tune_budget_s
            chosen = [narrowing.with_targets(item, recalls, budget_s) for item in chosen]
    chosen = [narrowing.limited(item) for item in chosen]
    errors = [item.error for item in chosen if item.error and item.trusted]
    if errors and len(errors) == len(chosen):
        raise ConfigurationError(errors[0])
    return chosen


def with_values(
    items: Sequence[Implementation],
    param: Sequence[tuple[str, tuple[str, ...]]],
    build_param: Sequence[tuple[str, tuple[str, ...]]],
    source: str,
) -> list[Implementation]:
    """Returns implementations with the values of ``--ann-param`` and ``--ann-build-param``.

    Args:
        source: the options' name in errors, with ``{}`` for ``param`` or ``build-param``.

    Raises:
        ConfigurationError: no implementation has the parameter, or a bad range.
    """
    own = source.format("param"), source.format("build-param")
    found = narrowing.with_values(items, param, source=own[0])
    return narrowing.with_values(found, build_param, source=own[1], builds_only=True)


def _with_specs(settings: Settings, offered: Sequence[Implementation]) -> list[Implementation]:
    """Returns each ``NAME@SPEC`` that ``--impl`` names, once."""
    found: dict[str, Implementation] = {}
    for text in settings.impl:
        for item in of_spec(text, offered, settings, asked=f"--impl {text}"):
            found.setdefault(item.name, item)
    return list(found.values())


def of_spec(
    text: str, offered: Sequence[Implementation], settings: Settings, *, asked: str
) -> list[Implementation]:
    """Returns the implementations of ``NAME@SPEC`` or ``NAME@SPEC[SETTING]``; none without spec.

    Args:
        asked: its name in errors.

    Raises:
        ConfigurationError: no such name, or a bad spec.
    """
    name, spec, _ = environments.split(text)
    if spec is None:
        return []
    positions, _ = _matched(name, offered, n_own=0, asked=asked)
    matched = [offered[position] for position in positions]
    return [
        environments.with_spec(item, spec, rootdir=settings.rootdir, asked=asked)
        for item in matched
    ]


def _named(
    patterns: Sequence[str],
    offered: Sequence[Implementation],
    own: Sequence[tuple[Path, Implementation]],
    *,
    narrow_own: bool,
) -> list[Implementation]:
    """Returns what ``--impl`` names, with the settings it names, and always the submissions.

    Args:
        own: the submissions' implementations with their paths; the last ones of ``offered``.
        narrow_own: whether only the named implementations of a submission run, if any is named.
    """
    wanted: list[list[str | None]] = [[] for _ in offered]
    for text in patterns:
        positions, setting = _matched(text, offered, n_own=len(own))
        matched = [offered[position] for position in positions]
        fitting = [narrowing.of_settings(item, [setting]) for item in matched]
        if not any(fitting):
            raise ConfigurationError(f"--impl {text}: {narrowing.why_none(matched, setting or '')}")
        for position in positions:
            wanted[position].append(setting)
    mine = dict(enumerate((path for path, _ in own), start=len(offered) - len(own)))
    asked = {path for position, path in mine.items() if wanted[position]} if narrow_own else set()
    for position, path in mine.items():
        if path not in asked:
            wanted[position] = [] if offered[position].on_request else [None]
    pairs = zip(offered, wanted, strict=True)
    found = [narrowing.of_settings(item, texts) for item, texts in pairs]
    return [item for item in found if item is not None]


def _matched(
    text: str, offered: Sequence[Implementation], *, n_own: int, asked: str = ""
) -> tuple[list[int], str | None]:
    """Returns the positions in ``offered`` that a value of ``--impl`` names, and its setting.

    Raises:
        ConfigurationError: it names none.
    """
    name, spec, setting = environments.split(text)
    tries = [(name, setting)] if spec is not None else [(text, None), (name, setting)]
    for name, setting in dict.fromkeys(tries):
        found = [
            position
            for position, item in enumerate(offered)
            if _is_called(item, name, spec)
            or (position >= len(offered) - n_own and fnmatch.fnmatchcase(STUDENT, name))
        ]
        if glob.has_magic(name) or name == STUDENT:  # otherwise it is named exactly
            found = [p for p in found if not offered[p].on_request] or found
        if found:
            return found, setting
    names = {item.name for item in offered} | ({STUDENT} if n_own else set())
    near = nearest_names(environments.split(text)[0], names)
    every = f" Known: {', '.join(sorted(names))}." if near == "." or len(names) <= FEW else ""
    asked = asked or f"--impl {text}"
    several = one_by_one(text, "--impl")
    raise ConfigurationError(f"{asked}: no such implementation{near}{several or every}")


def _is_called(item: Implementation, pattern: str, spec: str | None) -> bool:
    """Whether a name or glob fits; for ``NAME@SPEC`` the spec must be equal too."""
    name, own, _ = environments.split(item.name)
    if own != spec:
        return False
    return any(fnmatch.fnmatchcase(one, pattern) for one in (name, name.split(MARK)[0]))


def select_datasets(
    settings: Settings, known: Mapping[str, Dataset], stored: Stored | None = None
) -> list[Dataset]:
    """Returns the datasets that ``--dataset`` names, or the default ones.

    With ``--download-only`` and no ``--dataset``, the whole catalogue, for ``-k`` to choose.

    Raises:
        ConfigurationError: a pattern matches nothing (with the nearest names).
    """
    if not settings.dataset:
        if settings.download_only:
            return list(known.values())
        extra = [name for name in known if name not in catalog.CATALOG]
        return [asked(known[name], settings) for name in (*DEFAULT_DATASETS, *extra)]
    chosen: dict[str, Dataset] = {}
    for text in settings.dataset:
        for dataset in find_datasets(text, known, settings, stored, asked=_asked(text, settings)):
            if chosen.setdefault(dataset.name, dataset).source != dataset.source:
                marked = catalog.marked_with_source(dataset)
                chosen.setdefault(marked.name, marked)
    return [asked(dataset, settings) for dataset in chosen.values()]


def asked(dataset: Dataset, settings: Settings) -> Dataset:
    """Returns the dataset with the queries of ``--ann-queries``, if it names a file.

    Raises:
        ConfigurationError: there is no such file, it cannot be read, or they do not fit.
    """
    own = _own_queries(settings)
    return dataset if own is None else with_queries(dataset, own)


@lru_cache(maxsize=1)
def _own_queries(settings: Settings) -> OwnQueries | None:
    if not isinstance(settings.queries, str):
        return None
    from pytest_annmodal.datasets.own_queries import OPTION
    from pytest_annmodal.datasets.volume import queries
    from pytest_annmodal.datasets.volume.volume import local_volume

    path = expanded(settings.queries, settings.rootdir, OPTION)
    if not path.exists():
        raise ConfigurationError(f"{OPTION} {settings.queries}: {not_there(path.absolute())}")
    return queries.bring(path.absolute(), local_volume(settings.volume_dir))


def with_queries(dataset: Dataset, own: OwnQueries) -> Dataset:
    """Returns the dataset with queries of one's own.

    Raises:
        ConfigurationError: their dimension differs from the dataset's, if that is known.
    """
    bits = dataset.metric is not None and metrics.named(dataset.metric).layout == "bits"
    fits = dataset.dim is None or own.dim in {dataset.dim, -(-dataset.dim // 8) if bits else 0}
    if not fits:
        raise ConfigurationError(
            f"--ann-queries {own.name}: its vectors have {own.dim:,} dimensions; expected "
            f"{dataset.dim:,}, as in {dataset.name}. Name their dataset with --dataset."
        )
    return dataclasses.replace(dataset, queries=own)


def _asked(text: str, settings: Settings) -> str:
    """Returns the name of a requested dataset in errors."""
    if settings.grade is None:
        return f"--dataset {text}"
    return f"dataset {text!r} (of {Path(settings.grade).name}, or of --dataset)"


def find_case(
    label: str,
    dataset: str,
    *,
    settings: Settings,
    offered: Sequence[Implementation],
    known: Mapping[str, Dataset],
    k: int,
    rounds: int,
    stored: Stored | None = None,
) -> Case | None:
    """Returns the case of ``name`` (its first variant) or ``name[variant]`` on a dataset.

    Returns None if the implementation does not serve the dataset's metric.

    Raises:
        ConfigurationError: there is no such implementation, variant or dataset.
    """
    name, spec, _ = environments.split(label)
    whole = name if spec is None else f"{name}{environments.SIGN}{spec}"
    named = [item for item in offered if item.name == whole]
    named = named or of_spec(label, offered, settings, asked=f"implementation={label!r}")
    if not named:
        raise ConfigurationError(
            f"no implementation is called {name!r}{nearest_names(name, [i.name for i in offered])}"
        )
    (target, *_) = find_datasets(dataset, known, settings, stored, asked=f"dataset={dataset!r}")
    cases = fitting.expand(
        named,
        [asked(target, settings)],
        k=k,
        rounds=rounds,
        subset=settings.subset,
        constrained=settings.grade is None,
    )
    exact = [case for case in cases if label in {case.implementation.name, case.label}]
    if cases and not exact:
        there = narrowing.some_of(label, [case.label for case in cases])
        raise ConfigurationError(f"{name} has no variant {label!r}; it has {there}")
    return exact[0] if exact else None


def with_parameters(case: Case, build: Mapping[str, object], search: Mapping[str, object]) -> Case:
    """Returns the same case with some named parameters replaced."""
    old = case.variant
    variant = Variant(
        build=dataclasses.replace(old.build, kwargs={**old.build.kwargs, **build}),
        search=dataclasses.replace(old.search, kwargs={**old.search.kwargs, **search}),
    )
    return dataclasses.replace(case, variant=variant)


def labels(implementation: Implementation) -> list[str]:
    """Returns ``name[variant]`` of every variant, as in ids and for ``find_case``."""
    parameters = (variant.label for variant in implementation.variants)
    return [
        f"{implementation.name}[{text}]" if text else implementation.name for text in parameters
    ]


def override(
    case: Case, *, k: int | None, build: Mapping[str, Any], search: Mapping[str, Any]
) -> Case:
    """Returns a case with another k or other parameters, as ``ann_benchmark(...)`` takes them."""
    if k is not None and not markers.is_at_least(k, 1, whole=True):
        raise ConfigurationError(f"k={k!r}: expected a whole number of at least 1")
    changed = with_parameters(case, build, search)
    return changed if k is None else dataclasses.replace(changed, k=k)
