"""``annmodal`` or ``python -m pytest_annmodal``: the table of subcommands, and their errors.

A new subcommand is a module here with a :class:`Subcommand`, and its name in ``SUBCOMMANDS``.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from pytest_annmodal import __version__
from pytest_annmodal.cli import (
    datasets,
    doctor,
    environments,
    export,
    importing,
    lint,
    plot,
    report,
    results,
)
from pytest_annmodal.cli.subcommand import Subcommand
from pytest_annmodal.errors import AnnModalError
from pytest_annmodal.reports import escape, nearest

SUBCOMMANDS: tuple[Subcommand, ...] = (
    doctor.DOCTOR,
    results.RESULTS,
    report.REPORT,
    export.EXPORT,
    plot.PLOT,
    importing.IMPORT,
    datasets.DATASETS,
    lint.LINT,
    environments.ENVIRONMENTS,
)
FAILED, INTERRUPTED = 2, 130


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one subcommand; returns the exit status, 2 for an error."""
    nearest.install()
    arguments = parser().parse_args(argv)
    try:
        status: int = arguments.run(arguments)
        sys.stdout.flush()
    except AnnModalError as error:
        print(f"annmodal {arguments.subcommand}: {escape.told(error)}", file=sys.stderr)
        return FAILED
    except BrokenPipeError:  # as in `annmodal results | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return INTERRUPTED
    return status


class Versions(argparse.Action):
    """Prints the versions and exits; they are looked up only then."""

    def __init__(self, option_strings: Sequence[str], dest: str, help: str) -> None:  # noqa: A002
        super().__init__(option_strings, dest, nargs=0, help=help)

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import version

        print(f"pytest-annmodal {__version__}")
        for name in ("pytest", "pytest-benchmark", "modal"):
            print(f"{name} {version(name)}")
        parser.exit()


def parser() -> argparse.ArgumentParser:
    """Makes the parser of the whole command line."""
    top = argparse.ArgumentParser(
        prog="annmodal",
        description="Check this machine, import datasets, and show and export the results of ANN "
        "benchmarks.",
        allow_abbrev=False,
    )
    top.add_argument(
        "--version", action=Versions, help="print versions of this program and its main packages"
    )
    subparsers = top.add_subparsers(dest="subcommand", metavar="COMMAND", required=True)
    for row in SUBCOMMANDS:
        one = subparsers.add_parser(
            row.name, help=row.help, description=row.description, allow_abbrev=False
        )
        row.add_arguments(one)
        one.set_defaults(run=row.run)
    return top
