"""``annmodal environments``: lists or removes the environments of ``NAME@SPEC``."""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Mapping, Sequence

from pytest_annmodal.cli.subcommand import Subcommand
from pytest_annmodal.environments import kept
from pytest_annmodal.environments.kept import Made
from pytest_annmodal.figures import counted, size
from pytest_annmodal.reports import aligned, escape

HEAD = ("environment", "installed", "Python", "size", "last used", "folder")
DAY_S = 24 * 3600.0
MAX_VERSIONS = 4


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--prune",
        metavar="DAYS",
        type=_days,
        nargs="?",
        const=0.0,
        help="remove those not in use now; with DAYS, those not used for that many days",
    )

    parser.add_argument(
        "--refresh",
        action="store_true",
        help="look up the newest version of each range again at its next use",
    )


def _days(text: str) -> float:
    try:
        days = float(text)
    except ValueError:
        days = math.nan
    if not 0 <= days < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r}: expected a number of days, 0 or more")
    return days


def run(arguments: argparse.Namespace) -> int:
    if arguments.refresh:
        kept.look_up_again()
        print("The newest version of each range is looked up at its next use.")
    if arguments.prune is not None:
        return _prune(arguments.prune)
    if not arguments.refresh:
        _list()
    return 0


def _list() -> None:
    found, unfinished = kept.every(), kept.unfinished()
    for line in aligned.lines([HEAD, *map(_row, found)], "<<<><<") if found else ():
        print(line.rstrip())
    for left in unfinished:
        state = "is being made now" if left.being_made else "is incomplete; --prune removes it"
        print(f"{escape.line(left.key)} {state}")
    if not found:
        print(f"There are no environments in {kept.place()}.")
        return
    total = sum(made.size_bytes for made in found)
    print(f"{counted(len(found), 'environment')} in {kept.place()}, {size(total)} together")


def _prune(days: float) -> int:
    pruned = kept.prune(days * DAY_S)
    for made in pruned.removed:
        print(f"removed {escape.line(made.name)} ({size(made.size_bytes)})")
    for key in pruned.unfinished:
        print(f"removed {escape.line(key)}, which was incomplete")
    for made in pruned.in_use:
        print(f"{escape.line(made.name)} is in use and stays")
    for error in pruned.errors.values():
        print(escape.line(error), file=sys.stderr)
    if not (pruned.removed or pruned.unfinished):
        print("Nothing was removed.")
    return 1 if pruned.errors else 0


def _row(made: Made) -> Sequence[str]:
    return (
        escape.line(made.name),
        escape.line(_some(made.versions)),
        made.python,
        size(made.size_bytes),
        _age(time.time() - made.used_at),
        made.folder,
    )


def _some(versions: Mapping[str, str]) -> str:
    """Returns some versions; numpy, pip and setuptools, which all have, come last."""
    names = sorted(versions, key=lambda name: (name in {"numpy", "pip", "setuptools"}, name))
    shown = [f"{name} {versions[name]}" for name in names[:MAX_VERSIONS]]
    rest = len(names) - MAX_VERSIONS
    return ", ".join(shown) + (f" and {rest} more" if rest > 0 else "")


def _age(seconds: float) -> str:
    if seconds < DAY_S:
        return "today"
    return f"{counted(int(seconds / DAY_S), 'day')} ago"


ENVIRONMENTS = Subcommand(
    name="environments",
    help="list the environments of NAME@SPEC, or remove them",
    description="List the environments that were made for NAME@SPEC (docs/environments.md).",
    add_arguments=add_arguments,
    run=run,
)
