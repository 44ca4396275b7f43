"""The arguments that choose results: files and folders, or this project's own results."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from pytest_annmodal.datasets.volume.volume import default_volume_dir
from pytest_annmodal.errors import ConfigurationError
from pytest_annmodal.reports import escape
from pytest_annmodal.results.choice import latest, matching, several_contents
from pytest_annmodal.results.folder import DEFAULT
from pytest_annmodal.results.reading import Results, read_results
from pytest_annmodal.results.stored import StoredCase

VOLUME = "ANNMODAL_VOLUME_DIR"


def add_files(parser: argparse.ArgumentParser) -> None:
    """Adds the argument ``FILE…`` that every subcommand about results has."""
    parser.add_argument(
        "files",
        nargs="*",
        type=Path,
        metavar="FILE",
        help="files and folders with results, also of other machines; all are merged "
        f"(default: {DEFAULT} here or in a folder above)",
    )


def add_choice(parser: argparse.ArgumentParser) -> None:
    """Adds arguments that choose cases; by default the newest of each setting and machine."""
    parser.add_argument(
        "--session",
        action="append",
        default=[],
        metavar="NAME",
        help="only these sessions, by the beginning of their names in `annmodal results`; "
        "repeatable",
    )
    parser.add_argument(
        "--dataset",
        action="append",
        default=[],
        metavar="NAME",
        help="only these datasets, names or globs; repeatable",
    )
    parser.add_argument(
        "--impl",
        action="append",
        default=[],
        metavar="NAME",
        help="only these implementations, names or globs; repeatable",
    )
    parser.add_argument(
        "--all",
        action="store_true",
        help="every case, not only the newest of each setting on each machine",
    )


def chosen(cases: Sequence[StoredCase], arguments: argparse.Namespace) -> list[StoredCase]:
    """Returns the cases that the arguments of :func:`add_choice` choose.

    Raises:
        ConfigurationError: there are none.
    """
    found = matching(
        cases,
        sessions=arguments.session,
        datasets=arguments.dataset,
        implementations=arguments.impl,
    )
    if not found:
        raise ConfigurationError(
            f"none of the {len(cases)} results matches --session, --dataset and --impl"
        )
    return found if arguments.all else latest(found)


def given_results(arguments: argparse.Namespace) -> Results:
    """Reads all results in the named files; prints warnings on standard error.

    Raises:
        ConfigurationError: there are none.
    """
    results = read_results(arguments.files or [_own()], truth=_volume())
    for text in results.warnings:
        print(f"annmodal: {escape.told(text)}", file=sys.stderr)
    for name, number in several_contents(results.cases).items():
        print(
            f"annmodal: {escape.line(name)} is the name of {number} datasets with different "
            "content; they are kept apart",
            file=sys.stderr,
        )
    if not results.cases:
        raise ConfigurationError("there are no readable results in these files")
    return results


def _volume() -> Path | None:
    """Returns the folder of the local volume, or None if it is unknown."""
    try:
        return Path(os.environ.get(VOLUME) or default_volume_dir(os.environ))
    except ConfigurationError:
        return None


def _own() -> Path:
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / DEFAULT).is_dir():
            return folder / DEFAULT
    raise ConfigurationError(
        f"there is no folder {DEFAULT} here or above. Run `pytest` with ANN benchmarks first, or "
        "name files or folders with results."
    )
