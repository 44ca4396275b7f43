"""``annmodal doctor``: checks whether this machine gives reliable figures."""

from __future__ import annotations

import argparse
import json
import shutil
import textwrap
import time
from collections.abc import Iterator

from pytest_annmodal import __version__
from pytest_annmodal.cli.subcommand import Subcommand
from pytest_annmodal.reports import escape

UNFIT = 1  # the exit status if a check is ✗
DEFAULT_LIMIT_S = 10.0
WIDEST, NARROWEST = 100, 40


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--limit",
        type=float,
        default=DEFAULT_LIMIT_S,
        metavar="SECONDS",
        help="time for all checks; give more on a busy machine (default: %(default)g)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON, for a report")


def run(arguments: argparse.Namespace) -> int:
    import psutil

    from pytest_annmodal.doctor.examination import ENDING_S, Examination, verdict
    from pytest_annmodal.doctor.finding import SIGNS, Finding, State
    from pytest_annmodal.jobs.machine import describe_machine

    age_s = time.time() - psutil.Process().create_time()  # its start counts, too
    examination = Examination(arguments.limit - ENDING_S - age_s)
    name_width = max(map(len, examination.checks))
    found: dict[str, Finding] = {}
    for name, finding in examination.findings():
        found[name] = finding
        if not arguments.json:
            head = f"{SIGNS[finding.state]} {name:<{name_width}}"
            for line in _lines(head, finding.found, finding.means, finding.advice):
                print(line, flush=True)
    states = [finding.state for finding in found.values()]
    if arguments.json:
        machine = {"annmodal": __version__, **describe_machine()}
        checks = {
            name: {
                "state": finding.state,
                "found": finding.found,
                "means": finding.means,
                "advice": finding.advice,
                **finding.figures,
            }
            for name, finding in found.items()
        }
        print(json.dumps({**machine, "checks": checks}, indent=2, ensure_ascii=False))
    else:
        print(f"\n{verdict(states)}")
    return UNFIT if State.BAD in states else 0


def _lines(head: str, found: str, means: str, advice: str) -> Iterator[str]:
    """Yields sign, name and finding; below them what it means and what to do."""
    width = min(max(shutil.get_terminal_size().columns - 1, NARROWEST), WIDEST)
    beside = " " * (len(head) + 2)
    for first, text in ((f"{head}  ", found), (beside, means), (f"{beside}→ ", advice)):
        if text:
            yield from textwrap.wrap(
                escape.line(text, 1000),
                width,
                initial_indent=first,
                subsequent_indent=" " * len(first),
                break_long_words=False,
                break_on_hyphens=False,
            )


DOCTOR = Subcommand(
    name="doctor",
    help="check whether this machine gives reliable figures",
    description="Examine this machine before any benchmark, in ten seconds unless --limit gives "
    "it more. The exit status is 1 if something is marked ✗: figures would be wrong.",
    add_arguments=add_arguments,
    run=run,
)
