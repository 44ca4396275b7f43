"""``annmodal export``: writes results for other programs and for papers."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from pytest_annmodal.cli.inputs import add_choice, add_files, chosen, given_results
from pytest_annmodal.cli.subcommand import Subcommand
from pytest_annmodal.errors import ConfigurationError
from pytest_annmodal.reports.export import FORMATS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--format", choices=[*FORMATS], default="csv", help="default: csv")
    parser.add_argument(
        "-o", "--output", type=Path, metavar="FILE", help="default: standard output"
    )
    add_choice(parser)
    add_files(parser)


def run(arguments: argparse.Namespace) -> int:
    cases = chosen(given_results(arguments).cases, arguments)
    written = FORMATS[arguments.format](cases)
    if arguments.output is None:
        if arguments.format == "parquet" and sys.stdout.isatty():
            raise ConfigurationError("parquet is a binary format: name a file with -o FILE")
        sys.stdout.buffer.write(written)
        return 0
    try:
        arguments.output.write_bytes(written)
    except OSError as error:
        raise ConfigurationError(
            f"{arguments.output} cannot be written: {error.strerror or error}"
        ) from error
    return 0


EXPORT = Subcommand(
    name="export",
    help="write results as CSV, JSON, Parquet, Markdown or LaTeX",
    description="Write the newest result of each setting as CSV, JSON or Parquet, which have the "
    "same columns, or as tables in Markdown or LaTeX.",
    add_arguments=add_arguments,
    run=run,
)
