"""``annmodal environments``: lists or removes the environments of ``NAME@SPEC``."""

from __future__ import annotations

import argparse
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
        type=float,
        nargs="?",
        const=0.0,
        help="remove those not in use now; with DAYS, those not used for that many days",
    )

    parser.add_argument(
        "--refresh",
        action="store_true",
        help="look up the newest version of each range again at its next use",
    )


def run(arguments: argparse.Namespace) -> int:
    if arguments.refresh:
        kept.look_up_again()
        print("The newest version of each range is looked up at its next use.")
        return 0
    if arguments.prune is not None:
        _prune(arguments.prune)
        return 0
    found = kept.every()
    if not found:
        print(f"There are no environments in {kept.place()}.")
        return 0
    rows = [HEAD, *map(_row, found)]
    for line in aligned.lines(rows, "<<<><<"):
        print(line.rstrip())
    total = sum(made.size_bytes for made in found)
    print(f"{counted(len(found), 'environment')} in {kept.place()}, {size(total)} together")
    return 0


def _prune(days: float) -> None:
    removed, used = kept.prune(days * DAY_S)
    for made in removed:
        print(f"removed {escape.line(made.name)} ({size(made.size_bytes)})")
    for made in used:
        print(f"{escape.line(made.name)} is in use and stays")
    if not removed:
        print("Nothing was removed.")


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
