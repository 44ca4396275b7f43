"""``annmodal datasets``: lists every name that ``--dataset`` accepts."""

from __future__ import annotations

import argparse
import os

from pytest_annmodal.cli.subcommand import Subcommand
from pytest_annmodal.datasets.catalog import CATALOG
from pytest_annmodal.datasets.volume.stored import LocalStored
from pytest_annmodal.datasets.volume.volume import local_volume
from pytest_annmodal.model import Dataset
from pytest_annmodal.reports import aligned, escape

VOLUME = "ANNMODAL_VOLUME_DIR"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--volume",
        metavar="DIR",
        help=f"folder of the datasets (default: {VOLUME}, or the volume in the user's cache)",
    )


def run(arguments: argparse.Namespace) -> int:
    stored = LocalStored(local_volume(arguments.volume or os.environ.get(VOLUME)))
    lying = stored.names()
    own = {name: stored.dataset(name) for name in lying if name not in CATALOG}
    rows = [("dataset", "metric", "rows", "dimensions", "queries", "")]
    for name, dataset in {**CATALOG, **own}.items():
        rows.append((*_facts(dataset), "in the volume" if name in lying else ""))
    for line in aligned.lines(rows, "<<>>><"):
        print(line.rstrip())
    print(f"{stored.place[0].upper()}{stored.place[1:]}.")
    return 0


def _facts(dataset: Dataset) -> tuple[str, str, str, str, str]:
    numbers = (dataset.n_train, dataset.dim, dataset.n_queries)
    rows, dim, queries = ("?" if number is None else f"{number:,}" for number in numbers)
    return escape.line(dataset.name), dataset.metric or "?", rows, dim, queries


DATASETS = Subcommand(
    name="datasets",
    help="list every dataset that --dataset knows",
    description="List every dataset of the catalogue, and the others in the local volume. "
    "Nothing is downloaded.",
    add_arguments=add_arguments,
    run=run,
)
