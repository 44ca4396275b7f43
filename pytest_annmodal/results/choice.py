"""Selects stored cases: the newest ones, or those of some sessions or datasets."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from pytest_annmodal.results.stored import StoredCase


def latest(cases: Iterable[StoredCase]) -> list[StoredCase]:
    """Returns the newest case of each setting, dataset and machine, in order.

    Cases of different content of a dataset stay apart; after a change to an implementation, its
    new cases replace the old ones.
    """
    newest: dict[object, StoredCase] = {}
    for case in cases:
        place = (*asked_of(case), case.label, case.trusted, case.rounds, case.threads, case.clock)
        known = newest.get(place)
        if known is None or case.measured_at >= known.measured_at:
            newest[place] = case
    return list(newest.values())


def asked_of(case: StoredCase) -> tuple[object, ...]:
    """Returns a key that is equal for cases which one table or curve may hold.

    Datasets of the same name but different content differ.
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
    """Returns the names of datasets with several contents, and how many."""
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
    """Returns the cases of these sessions (by prefix), datasets and implementations (globs).

    An empty list means all.
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
