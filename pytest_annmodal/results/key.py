"""Computes the keys of measurements: equal keys mean the same measurement."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Callable, Mapping
from typing import Any

from pytest_annmodal.datasets.sources.sources import source_of
from pytest_annmodal.model import Case, Dataset, Implementation, Job, Limits, Search, to_plain
from pytest_annmodal.settings.config import Settings

VERSION = 2
MEASURING = 1  # raise it when the way of measuring changes: older results are not reused
# Limits of a job that do not affect the measurement.
NO_MATTER = {"phase_timeout_s", "output_bytes", "private"}


# Settings that choose what runs or is shown. All others affect how it is measured.
NOT_MEASURING = frozenset(
    {
        "impl",
        "param",
        "build_param",
        "run_group",
        "target_recall",
        "tune_budget_s",
        "plan",
        "plan_json",
        "dataset",
        "submission",
        "implementations",
        "k",  # of the case
        "rounds",
        "download",
        "download_only",
        "volume_dir",
        "base_url",
        "modal_plan",
        "modal_max_minutes",
        "modal_max_containers",
        "modal_volume",
        "modal_usd_core_hour",
        "modal_usd_gib_hour",
        "rootdir",
        "grade",
        "grade_dir",
        "resume",
        "results",
        "reuse",
        "summary",
    }
)


def key_of(case: Case, digest: str, settings: Settings, *, beside: str | None = None) -> str:
    """Returns a key that is equal only if the same content is measured in the same way.

    Args:
        beside: key of the baseline's environment, if it has one.
    """
    matters = {
        name: to_plain(value) for name, value in vars(settings).items() if name not in NOT_MEASURING
    }
    what = {
        "version": VERSION,
        "digest": digest,
        "case": case.id,
        "class": case.implementation.class_name,
        "variant": to_plain(case.variant),
        "dataset": _identity(case.dataset),
        "k": case.k,
        "rounds": case.rounds,
        "settings": matters,
        **({"beside": beside} if beside else {}),
    }
    return _hash(what)


def _identity(dataset: Dataset) -> list[Any]:
    """Returns what identifies a dataset; for a user's own file also its size and time."""
    known: list[Any] = [dataset.name, dataset.source, dataset.sha256, dataset.size_bytes]
    own = source_of(dataset).own_file
    if own is not None:
        try:
            state = own.stat()
        except OSError:
            return known
        known += [state.st_size, state.st_mtime_ns]
    return known


def keys_of(
    job: Job,
    *,
    content: str | None,
    machine: str,
    digest: Callable[[Implementation], str | None],
    installed: Callable[[Implementation], Mapping[str, str] | None],
) -> dict[str, str]:
    """Returns a key by case, equal only for the same content, way and class of machine.

    Args:
        content: sha256 of the dataset's file, or None if unknown.
        digest: gives the digest of an implementation's files; None if they cannot be read.
        installed: gives the versions that it runs with; None if not yet known.

    Returns:
        Keys by case id; empty if the content, a digest or a version is unknown.
    """
    implementation = job.implementation
    own, versions = digest(implementation), installed(implementation)
    if content is None or own is None or versions is None:
        return {}
    limits = {key: value for key, value in to_plain(job.limits).items() if key not in NO_MATTER}
    if limits["load"] is None:  # keeps the keys of results older than this option
        del limits["load"]
    for name in ("query_order", "cold"):  # likewise
        if limits[name] == getattr(Limits(), name):
            del limits[name]
    what = {
        "measuring": MEASURING,
        "digest": own,
        "class": [implementation.class_name, implementation.style, implementation.trusted],
        "installed": versions,
        "python": platform.python_version(),
        "build": to_plain(job.build),
        "dataset": content,
        **_asked_otherwise(job),
        "limits": limits,
        "machine": machine,
    }
    if job.baseline is not None:
        beside = job.baseline.implementation
        plain = to_plain(job.baseline)
        del plain["implementation"]
        what["baseline"] = [plain, digest(beside), installed(beside)]
        if None in what["baseline"]:
            return {}
    if job.baseline is not None or job.limits.at_recall is not None:
        what["together"] = [to_plain(search.arguments) for search in job.searches]
    return {search.case_id: _hash({**what, "search": _plain(search)}) for search in job.searches}


def _asked_otherwise(job: Job) -> dict[str, str]:
    """Returns the digest of the user's own queries, if there are any."""
    own = job.dataset.queries
    return {"queries": own.sha256} if own is not None else {}


def _plain(search: Search) -> dict[str, Any]:
    """Returns a search as plain data; without a target as in older results."""
    plain: dict[str, Any] = to_plain(search)
    if search.target is None:
        del plain["target"]
    return plain


def _hash(what: Any) -> str:
    text = json.dumps(what, sort_keys=True)
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()
