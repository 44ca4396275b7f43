"""Measures settings once that a library treats as equal, and reports the result for each.

An implementation's header says which are equal (``effective``). A submission's header is used only
for the report: each of its settings is measured.
"""

from __future__ import annotations

import dataclasses
import json
import re

from pytest_annmodal import surprises
from pytest_annmodal.manifests import effective
from pytest_annmodal.model import Job, Search
from pytest_annmodal.outcome import Failure, Outcome


def once(job: Job, *, n: int, dim: int) -> Job:
    """Returns the job with one search of each group of equal settings."""
    return dataclasses.replace(job, searches=tuple(g[0] for g in _groups(job, n=n, dim=dim)))


def for_all(job: Job, outcomes: list[Outcome], *, n: int, dim: int) -> list[Outcome]:
    """Returns an outcome for each search of the job, with asked and effective arguments.

    Args:
        outcomes: of the searches of :func:`once`, in their order.
    """
    found: dict[str, Outcome] = {}
    for group, outcome in zip(_groups(job, n=n, dim=dim), outcomes, strict=True):
        for search in group:
            found[search.case_id] = _for_search(job, search, outcome, n=n, dim=dim)
    return [found[search.case_id] for search in job.searches]


def _groups(job: Job, *, n: int, dim: int) -> list[list[Search]]:
    """Groups searches that are equal; first in a group is one with its effective values."""
    if not job.implementation.trusted:
        return [[search] for search in job.searches]
    groups: dict[str, list[Search]] = {}
    for search in job.searches:
        asked, made = effective.values(job, search, n=n, dim=dim)
        if search.target is not None:  # its arguments are not known yet
            groups[search.case_id] = [search]
            continue
        key = [made, list(search.arguments.args), search.k, search.rounds]
        group = groups.setdefault(json.dumps(key, sort_keys=True), [])
        group.insert(0 if asked == made else len(group), search)
    return list(groups.values())


def _change(name: str, asked: object, made: object, rule: str) -> str:
    text = f"{name}={asked} counts as {made}, since the library makes it {rule}"
    names = set(re.findall(r"\w+", rule))
    if "k" in names:
        return surprises.noted("ef-below-k", text)
    return surprises.noted("cells-need-rows", text) if names & {"n", "n_list"} else text


def _for_search(job: Job, search: Search, outcome: Outcome, *, n: int, dim: int) -> Outcome:
    """Returns an outcome of the group as that of one search."""
    if isinstance(outcome, Failure):
        return dataclasses.replace(outcome, case_id=search.case_id)
    if outcome.tuned is not None:
        search = dataclasses.replace(search, arguments=outcome.tuned.arguments)
    asked, made = effective.values(job, search, n=n, dim=dim)
    rules = job.implementation.effective
    changes = tuple(
        _change(name, asked[name], made[name], rules[name])
        for name in rules
        if asked.get(name) != made.get(name)
    )
    return dataclasses.replace(
        outcome,
        case_id=search.case_id,
        asked=asked,
        effective=made,
        measured_as="" if search.case_id == outcome.case_id else outcome.case_id,
        notes=(*outcome.notes, *changes),
    )
