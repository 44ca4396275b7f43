"""``annmodal report``: writes one page with all results, which opens offline."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from pytest_annmodal.cli.inputs import add_choice, add_files, chosen, given_results
from pytest_annmodal.cli.subcommand import Subcommand
from pytest_annmodal.figures import counted
from pytest_annmodal.page.files import write_page

DEFAULT_NAME = Path("report.html")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_choice(parser)
    add_files(parser)
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        default=DEFAULT_NAME,
        metavar="FILE",
        help=f"the page's file (default: {DEFAULT_NAME})",
    )


def run(arguments: argparse.Namespace) -> int:
    results = given_results(arguments)
    wanted = replace(results, cases=tuple(chosen(results.cases, arguments)))
    page = write_page(arguments.output, wanted)
    settings = counted(sum(group.n_points for group in page.groups), "setting")
    print(
        f"{arguments.output}: {settings} of {counted(len(page.implementations), 'implementation')}"
    )
    return 0


REPORT = Subcommand(
    name="report",
    help="write one page with all charts and numbers, which opens offline",
    description="Write one HTML page with charts, rankings and all numbers. It loads nothing "
    "from the network. It needs: pip install 'pytest-annmodal[report]'",
    add_arguments=add_arguments,
    run=run,
)
