"""Which results a subcommand is about: files and folders, or what lies in this project."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from pytest_annmodal.errors import ConfigurationError
from pytest_annmodal.reports import escape
from pytest_annmodal.results.folder import DEFAULT
from pytest_annmodal.results.reading import Results, read


def add_files(parser: argparse.ArgumentParser) -> None:
    """The argument ``FILES…`` that every subcommand about results has."""
    parser.add_argument(
        "files",
        nargs="*",
        type=Path,
        metavar="FILE",
        help="files and folders with results, also of other machines; all of them are put together "
        f"(default: {DEFAULT} here or in a folder above)",
    )


def given_results(arguments: argparse.Namespace) -> Results:
    """Everything in the named files; what had to be skipped is said on standard error.

    Raises:
        ConfigurationError: there are none.
    """
    results = read(arguments.files or [_own()])
    for text in results.warnings:
        print(f"annmodal: {escape.told(text)}", file=sys.stderr)
    if not results.cases:
        raise ConfigurationError("there is no result that can be read")
    return results


def _own() -> Path:
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / DEFAULT).is_dir():
            return folder / DEFAULT
    raise ConfigurationError(
        f"there is no folder {DEFAULT} here or above. Run `pytest` with ANN benchmarks first, or "
        "name files or folders with results."
    )
