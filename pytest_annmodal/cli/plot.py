"""``annmodal plot``: draws one chart as a file."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from pytest_annmodal.cli.inputs import add_choice, add_files, chosen, given_results
from pytest_annmodal.cli.subcommand import Subcommand
from pytest_annmodal.errors import ConfigurationError
from pytest_annmodal.page.cases import content_of
from pytest_annmodal.page.content import DRAWN, Group
from pytest_annmodal.page.files import write
from pytest_annmodal.page.plots import FORMATS, KINDS, plot
from pytest_annmodal.reports import escape


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_choice(parser)
    add_files(parser)
    parser.add_argument("--kind", choices=KINDS, default="frontier", help="(default: frontier)")
    parser.add_argument(
        "--figure",
        choices=DRAWN,
        default="qps",
        help="the figure that a frontier shows over recall (default: qps)",
    )
    parser.add_argument("--format", choices=FORMATS, help="(default: by the file's suffix, or svg)")
    parser.add_argument("--k", type=int, metavar="K", help="results at this k, if several exist")
    parser.add_argument(
        "-o", "--output", type=Path, metavar="FILE", help="(default: DATASET-kK-KIND.FORMAT)"
    )


def run(arguments: argparse.Namespace) -> int:
    results = given_results(arguments)
    content = content_of(replace(results, cases=tuple(chosen(results.cases, arguments))))
    group = _one(content.groups, arguments)
    file_format = _format(arguments)
    raw = plot(
        content, group, kind=arguments.kind, figure=arguments.figure, file_format=file_format
    )
    name = f"{group.dataset}-k{group.k}-{arguments.kind}.{file_format}"
    path = arguments.output or Path(escape.file_name(name))
    write(path, raw)
    print(path)
    return 0


def _one(groups: Sequence[Group], arguments: argparse.Namespace) -> Group:
    named = [group for group in groups if arguments.k in (None, group.k) and group.points]
    if len(named) == 1:
        return named[0]
    known = ", ".join(f"{group.dataset} (k = {group.k})" for group in groups)
    why = "there are results of several datasets or k" if named else "there are no such results"
    raise ConfigurationError(f"{why}: name one with --dataset and --k. There are: {known}")


def _format(arguments: argparse.Namespace) -> str:
    if arguments.format:
        return str(arguments.format)
    ending = arguments.output.suffix[1:].lower() if arguments.output else FORMATS[0]
    if ending not in FORMATS:
        raise ConfigurationError(
            f"{arguments.output}: expected a suffix of {', '.join(FORMATS)}, or --format"
        )
    return str(ending)


PLOT = Subcommand(
    name="plot",
    help="draw one chart as SVG, PNG or PDF",
    description="Draw one chart of one dataset as a file. It needs: pip install "
    "'pytest-annmodal[report]'",
    add_arguments=add_arguments,
    run=run,
)
