"""``annmodal import``: makes a dataset from files of vectors."""

from __future__ import annotations

import argparse
import os
import re
from pathlib import Path

from pytest_annmodal.cli.subcommand import Subcommand
from pytest_annmodal.datasets.hdf5.metric import metric_word
from pytest_annmodal.datasets.importers.request import Request
from pytest_annmodal.datasets.lines import Reporter
from pytest_annmodal.datasets.sources import sources
from pytest_annmodal.datasets.volume.importing import import_dataset
from pytest_annmodal.datasets.volume.volume import local_volume
from pytest_annmodal.distances import metrics
from pytest_annmodal.errors import ConfigurationError
from pytest_annmodal.reports.escape import told
from pytest_annmodal.reports.progress import download_bar

VOLUME = "ANNMODAL_VOLUME_DIR"
ROLES = ("train", "test", "truth")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="its name for --dataset")
    parser.add_argument(
        "--train",
        nargs="+",
        required=True,
        metavar="FILE",
        help="vectors, in order; files, or addresses that begin with https: or hf:",
    )
    queries = parser.add_mutually_exclusive_group()
    queries.add_argument("--test", metavar="FILE", help="queries")
    queries.add_argument(
        "--holdout",
        type=int,
        metavar="N",
        help="number of rows to move from train to the queries if there is no --test "
        "(default: 1000, at most every tenth)",
    )
    parser.add_argument(
        "--truth", metavar="FILE", help="ids of the true neighbours (default: computed exactly)"
    )
    parser.add_argument(
        "--metric",
        required=True,
        metavar="METRIC",
        help=f"{metrics.LISTED}, or a usual word for it",
    )
    parser.add_argument(
        "--ids-from",
        type=int,
        choices=(0, 1),
        default=0,
        help="id of the first row in the truth (default: 0)",
    )
    _add_places(parser)


def _add_places(parser: argparse.ArgumentParser) -> None:
    """Adds arguments for the place of the rows in the files, and of the dataset."""
    parser.add_argument(
        "--key",
        action="append",
        default=[],
        metavar="ROLE=NAME",
        help=f"the array or column for {', '.join(ROLES[:-1])} or {ROLES[-1]}, in a file with "
        "several; repeatable",
    )
    parser.add_argument(
        "--ids", metavar="COLUMN", help="the column of train with the ids used in the truth"
    )
    parser.add_argument("--rows", metavar="A:B", help="only rows A to B-1 of train")
    parser.add_argument("--replace", action="store_true", help="replace a dataset of that name")
    parser.add_argument(
        "--volume",
        metavar="DIR",
        help=f"where to put it (default: {VOLUME}, or the volume in the user's cache)",
    )


def run(arguments: argparse.Namespace) -> int:
    request = _request(arguments)
    volume = local_volume(arguments.volume or os.environ.get(VOLUME))
    with download_bar(arguments.name) as progress:
        reporter = Reporter(line=lambda text: print(told(text), flush=True), progress=progress)
        import_dataset(
            arguments.name, request, volume, reporter=reporter, replace=arguments.replace
        )
    option = f" --ann-volume-dir={arguments.volume}" if arguments.volume else ""
    print(f"Measure on it: pytest benchmarks/ --dataset={arguments.name}{option}")
    return 0


def _request(arguments: argparse.Namespace) -> Request:
    """Makes the request. Raises ConfigurationError for contradictions and bad values."""
    if arguments.truth is not None and arguments.test is None:
        raise ConfigurationError(
            "--truth needs --test: without it rows of train become the queries, and a given truth "
            "does not fit them. Leave out --truth to have it computed."
        )
    metric = metrics.BY_WORD.get(metric_word(arguments.metric))
    if metric is None:
        raise ConfigurationError(f"--metric {arguments.metric}: expected {metrics.LISTED}")
    return Request(
        train=tuple(_absolute(name) for name in arguments.train),
        test=None if arguments.test is None else _absolute(arguments.test),
        truth=None if arguments.truth is None else _absolute(arguments.truth),
        metric=metric.name,
        holdout=arguments.holdout,
        ids_from=arguments.ids_from,
        keys=_keys(arguments.key),
        ids=arguments.ids,
        rows=_rows(arguments.rows),
    )


def _absolute(text: str) -> str:
    if sources.is_address(text):
        return text
    if "://" in text:
        kinds = ", ".join(name for name, kind in sources.KINDS.items() if kind.is_remote)
        raise ConfigurationError(f"{text}: expected a file, or an address of {kinds}")
    return os.path.abspath(Path(text).expanduser())  # noqa: PTH100 -- links stay


def _keys(texts: list[str]) -> dict[str, str]:
    found = {}
    for text in texts:
        role, sign, name = text.partition("=")
        if not sign:
            role, name = "", text
        if (sign and role not in ROLES) or not name:
            raise ConfigurationError(
                f"--key {text}: expected ROLE=NAME with {', '.join(ROLES)}, such as --key train=emb"
            )
        found[role] = name
    return found


def _rows(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    match = re.fullmatch(r"(\d*):(\d+)", text)
    if match is None:
        raise ConfigurationError(f"--rows {text}: expected A:B, such as --rows 0:1000000")
    return int(match[1] or 0), int(match[2])


IMPORT = Subcommand(
    name="import",
    help="make a dataset from vectors in other formats",
    description="Make a dataset from files of vectors: fvecs, fbin, npy, npz, safetensors, "
    "Parquet, Arrow, HDF5, CSV and similar formats. Everything is checked; the true neighbours "
    "are computed, or checked.",
    add_arguments=add_arguments,
    run=run,
)
