"""Converts outcomes to stored cases, and back."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

from pytest_annmodal import __version__
from pytest_annmodal.model import Case, Job, Search, Variant
from pytest_annmodal.outcome import Failure, Measurement, Outcome
from pytest_annmodal.queries import label_of, place
from pytest_annmodal.results.samples import Samples
from pytest_annmodal.results.stored import StoredCase

MAX_MESSAGE = 1000  # characters of a failure's message
MAX_EVIDENCE = 600  # the last characters of a traceback or of output
OF_LIMITS = ("subset", "threads", "clock", "query_order", "cold")
SHARED = {item.name for item in fields(Measurement)} & {item.name for item in fields(StoredCase)}


def stored_case(
    job: Job,
    search: Search,
    outcome: Outcome,
    *,
    key: str | None,
    content: str | None,
    where: str,
    machine: str,
) -> StoredCase:
    """Returns the stored case of an outcome, without its session and samples.

    Args:
        content: sha256 of the dataset's file, or None if unknown.
    """
    case = Case(
        implementation=job.implementation,
        variant=Variant(build=job.build, search=search.arguments),
        dataset=job.dataset,
    )
    known: dict[str, Any] = {
        "case_id": search.case_id,
        "k": search.k,
        "rounds": search.rounds,
        "query_sample": job.limits.n_queries,
        **{name: getattr(job.limits, name) for name in OF_LIMITS},
    }
    if isinstance(outcome, Failure):
        known |= {"failure": _short(outcome), "queries": label_of(job.dataset.queries)}
    else:
        known |= {name: getattr(outcome, name) for name in SHARED}
    return StoredCase(
        key=key,
        measured_at=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        version=__version__,
        where=where,
        machine=machine,
        implementation=job.implementation.name,
        label=_label(job, search),
        build_label=case.build_label,
        build=job.build,
        search=known["tuned"].arguments if known.get("tuned") else search.arguments,
        trusted=job.implementation.trusted,
        dataset=job.dataset.name,
        dataset_sha256=content,
        **known,
    )


def _label(job: Job, search: Search) -> str:
    """Returns the case's id without dataset and k, which have their own fields."""
    asked = place(job.dataset.name, job.limits.subset, job.dataset.queries)
    return search.case_id.removesuffix(f"-{asked}-k{search.k}")


def measurement_of(case: StoredCase, samples: Samples | None) -> Measurement | None:
    """Returns the stored measurement; None for a failure or if a part is missing."""
    if case.failure is not None or samples is None:
        return None
    known: dict[str, Any] = {name: getattr(case, name) for name in SHARED}
    if any(known[item.name] is None for item in fields(Measurement) if item.name in ALWAYS):
        return None
    hits = samples.query_hits
    return Measurement(
        latencies_ns=tuple(samples.latencies_ns.ravel().tolist()),
        query_hits=None if hits is None else tuple(hits.tolist()),
        **known,
    )


def _always() -> set[str]:
    """Returns the stored fields that every measurement has."""
    return {
        item.name
        for item in fields(Measurement)
        if item.name in SHARED and "None" not in str(item.type)
    }


ALWAYS = _always()


def _short(failure: Failure) -> Failure:
    evidence: Mapping[str, Any] = {
        name: value[-MAX_EVIDENCE:] if isinstance(value, str) else value
        for name, value in failure.evidence.items()
    }
    return replace(failure, message=failure.message[:MAX_MESSAGE], evidence=evidence)
