"""Which of many stored cases are looked at: the newest, some datasets, a session."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from pytest_annmodal.results.stored import StoredCase


def latest(cases: Iterable[StoredCase]) -> list[StoredCase]:
    """The newest case of each setting that was asked in one way on one machine, in order.

    A dataset's content is part of it, an implementation's text is not: what was measured after
    a change takes the place of what was measured before.
    """
    newest: dict[object, StoredCase] = {}
    for case in cases:
        place = (*asked_of(case), case.label, case.trusted, case.rounds, case.threads, case.clock)
        known = newest.get(place)
        if known is None or case.measured_at >= known.measured_at:
            newest[place] = case
    return list(newest.values())


def asked_of(case: StoredCase) -> tuple[object, ...]:
    """Equal for cases that one table or curve may hold: one question on one machine.

    Equal names of datasets are not one dataset where the content differs.
    """
    return (
        case.source,
        case.dataset,
        case.dataset_sha256,
        case.subset,
        case.queries,
        case.query_sample,
        case.query_order,
        case.cold,
        case.k,
        case.where,
        case.machine,
    )


def several_contents(cases: Iterable[StoredCase]) -> dict[str, int]:
    """The names of datasets that stand for more than one content, and for how many."""
    contents: dict[str, set[str]] = {}
    for case in cases:
        if case.dataset_sha256:
            contents.setdefault(case.dataset, set()).add(case.dataset_sha256)
    return {name: len(found) for name, found in contents.items() if len(found) > 1}


def matching(
    cases: Iterable[StoredCase],
    *,
    sessions: Sequence[str] = (),
    datasets: Sequence[str] = (),
    implementations: Sequence[str] = (),
) -> list[StoredCase]:
    """Those of these sessions (by the beginning of their names), datasets and implementations.

    Names of datasets and implementations may be globs; an empty list stands for all.
    """
    return [
        case
        for case in cases
        if (not sessions or case.session.startswith(tuple(sessions)))
        and (not datasets or any(fnmatchcase(case.dataset, one) for one in datasets))
        and (not implementations or _has_name(case, implementations))
    ]


def _has_name(case: StoredCase, names: Sequence[str]) -> bool:
    return any(fnmatchcase(case.implementation, name) for name in names)
