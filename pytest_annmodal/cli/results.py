"""``annmodal results``: lists the stored sessions and their contents."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence

from pytest_annmodal.cli.inputs import add_files, given_results
from pytest_annmodal.cli.subcommand import Subcommand
from pytest_annmodal.reports import aligned, escape
from pytest_annmodal.results.stored import StoredCase

HEAD = (
    "session",
    "first result (UTC)",
    "where",
    "measured",
    "failed",
    "datasets",
    "implementations",
)
MAX_NAMES = 4


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_files(parser)
    parser.add_argument(
        "--hash",
        action="store_true",
        help="instead print one hash of all these results, to cite them",
    )


def run(arguments: argparse.Namespace) -> int:
    if arguments.hash:
        from pytest_annmodal.results.citation import set_hash

        print(set_hash(given_results(arguments).cases))
        return 0
    sessions: dict[str, list[StoredCase]] = {}
    for case in given_results(arguments).cases:
        sessions.setdefault(case.session, []).append(case)
    rows = [HEAD, *(_row(name, cases) for name, cases in sessions.items())]
    for line in aligned.lines(rows, "<" * len(HEAD)):
        print(line.rstrip())
    return 0


def _row(session: str, cases: Sequence[StoredCase]) -> tuple[str, ...]:
    n_failed = sum(case.failure is not None for case in cases)
    return (
        escape.line(session[:8] or "–"),
        escape.line(min(case.measured_at for case in cases) or "–"),
        _some({case.where or case.source for case in cases}),
        str(len(cases) - n_failed),
        str(n_failed),
        _some({case.dataset for case in cases}),
        _some({case.implementation for case in cases}),
    )


def _some(names: Iterable[str]) -> str:
    shown = [escape.line(name, 40) for name in sorted(names)]
    rest = len(shown) - MAX_NAMES
    return ", ".join(shown[:MAX_NAMES]) + (f" and {rest} more" if rest > 0 else "")


RESULTS = Subcommand(
    name="results",
    help="list the stored sessions and their contents",
    description="List the sessions with stored results, and the contents of each.",
    add_arguments=add_arguments,
    run=run,
)
