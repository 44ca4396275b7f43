"""Groups cases into jobs: one build, all its searches, and the limits it runs with."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable
from functools import lru_cache

from pytest_annmodal.datasets.volume.volume import default_volume_dir
from pytest_annmodal.errors import ConfigurationError, large_k
from pytest_annmodal.levels import Load
from pytest_annmodal.manifests.handed_in import handed_in
from pytest_annmodal.model import Baseline, Case, Clock, Implementation, Job, Limits, Search
from pytest_annmodal.results.folder import folder_of
from pytest_annmodal.session.baseline import choose
from pytest_annmodal.session.selection import offered_implementations
from pytest_annmodal.settings.config import Settings
from pytest_annmodal.settings.option import is_dataset_file


def limits(settings: Settings, implementation: Implementation, *, remote: bool = False) -> Limits:
    """Returns the limits of a job of this implementation; ``remote``: on another machine."""
    auto: Clock = "worker" if implementation.trusted else "parent"
    clock: Clock = auto if settings.clock == "auto" else settings.clock  # type: ignore[assignment]
    return Limits(
        threads=settings.threads,
        clock=clock,
        subset=settings.subset,
        n_queries=settings.queries if isinstance(settings.queries, int) else None,
        query_order=settings.query_order,
        cold=settings.cold,
        phase_timeout_s=settings.timeout_s,
        memory_bytes=settings.memory_mb * 2**20 if settings.memory_mb else None,
        max_search_s=settings.max_search_s,
        isolation=settings.isolation,
        fresh_seed=None if implementation.trusted else settings.fresh_seed,
        at_recall=settings.at_recall,
        load=load(settings),
        private=() if implementation.trusted or remote else _private(settings),
    )


def load(settings: Settings) -> Load | None:
    """Returns the requested load, each level once in rising order, or None."""
    clients = sorted({one for given in settings.concurrency for one in given})
    rates = sorted({one for given in settings.rate for one in given})
    if not (settings.rate or clients):
        return None
    bound_ms = settings.at_p99_ms
    return Load(
        rates_qps=tuple(rates),
        auto=any(not given for given in settings.rate),
        clients=tuple(clients),
        arrivals="uniform" if settings.arrivals == "uniform" else "poisson",
        seed=settings.load_seed,
        level_s=settings.load_s,
        queue=settings.load_queue,
        at_p99_s=None if bound_ms is None else bound_ms / 1e3,
        count_bound=settings.generator_bound,
    )


@lru_cache(maxsize=1)
def _private(settings: Settings) -> tuple[str, ...]:
    """Returns paths hidden from submissions: the others, grades and rules, data, results."""
    volume = settings.volume_dir or default_volume_dir(os.environ)
    data = [text for text in settings.dataset if is_dataset_file(text)]
    data += [settings.queries] if isinstance(settings.queries, str) else []
    paths = [volume, settings.grade_dir, settings.grade, folder_of(settings), *data]
    paths += [one.path for one in handed_in(settings)]
    return tuple(os.path.realpath(path) for path in paths if path)


def jobs(cases: Iterable[Case], settings: Settings, *, remote: bool = False) -> list[Job]:
    """Groups cases by build, in the order in which each build first occurs.

    Args:
        remote: whether they run on other machines, set up from what a job contains.

    Raises:
        ConfigurationError: a submission cannot be tuned remotely, without ground truth.
    """
    cases = list(cases)
    if remote and any(_is_tuned_submission(case) for case in cases):
        raise ConfigurationError(
            "--ann-target-recall: on Modal a submission's container has no ground truth, so its "
            "settings cannot be tuned there. Tune it here, without --modal, and name the setting."
        )
    baseline = baseline_of(settings, remote=remote)
    groups: dict[tuple[int, str, str, str], dict[str, Case]] = {}
    for case in cases:
        groups.setdefault(case.build_key, {}).setdefault(case.id, case)
    return [
        Job(
            dataset=first.dataset,
            implementation=dataclasses.replace(first.implementation, variants=()),
            build=first.variant.build,
            searches=tuple(
                Search(
                    case_id=c.id,
                    arguments=c.variant.search,
                    k=c.k,
                    rounds=c.rounds,
                    target=c.variant.target,
                )
                for c in group.values()
            ),
            limits=limits(settings, first.implementation, remote=remote),
            baseline=baseline,
        )
        for group in groups.values()
        for first in [next(iter(group.values()))]
    ]


def _is_tuned_submission(case: Case) -> bool:
    return case.variant.target is not None and not case.implementation.trusted


def too_few_vectors(job: Job) -> str | None:
    """Returns why k is too large for a job's dataset, if that is known without the file."""
    known = [n for n in (job.dataset.n_train, job.limits.subset) if n is not None]
    k = max(search.k for search in job.searches)
    if not known or k <= min(known):
        return None
    cut = f" (--ann-subset {min(known)})" if min(known) == job.limits.subset else ""
    return large_k(f"k={k}", min(known), f"{job.dataset.name}{cut}")


@lru_cache(maxsize=1)
def baseline_of(settings: Settings, *, remote: bool = False) -> Baseline | None:
    """Returns the baseline that ``--ann-baseline`` names; cached.

    Raises:
        ConfigurationError: it cannot be a baseline.
    """
    if settings.baseline is None:
        return None
    return choose(settings, offered_implementations(settings), remote=remote)
