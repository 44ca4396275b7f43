"""``annmodal lint``: shows figures of a dataset, and warns of what spoils a comparison on it."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

from pytest_annmodal.cli.subcommand import Subcommand
from pytest_annmodal.datasets import hdf5, linted
from pytest_annmodal.datasets.catalog import CATALOG
from pytest_annmodal.datasets.lines import Reporter
from pytest_annmodal.datasets.locate import find_datasets
from pytest_annmodal.datasets.sources import sources
from pytest_annmodal.datasets.volume.stored import LocalStored
from pytest_annmodal.datasets.volume.volume import LocalVolume, is_present, local_volume, resolve
from pytest_annmodal.errors import ConfigurationError
from pytest_annmodal.model import Dataset, finite
from pytest_annmodal.reports import aligned, escape
from pytest_annmodal.settings.config import Settings
from pytest_annmodal.settings.option import positive_int

VOLUME = "ANNMODAL_VOLUME_DIR"
SPOILED = 1  # the exit status if there are warnings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("dataset", metavar="DATASET|FILE", help="a name or file, as for --dataset")
    parser.add_argument("--k", default="10", metavar="K", help="k for ties and hubs (default: 10)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument(
        "--volume",
        metavar="DIR",
        help=f"folder of the datasets (default: {VOLUME}, or the volume in the user's cache)",
    )


def run(arguments: argparse.Namespace) -> int:
    from pytest_annmodal.jobs import dataset_lint

    try:
        k = positive_int(arguments.k)
    except ValueError as error:
        raise ConfigurationError(f"--k {arguments.k}: {error}") from error
    volume = local_volume(arguments.volume or os.environ.get(VOLUME))
    dataset = _dataset(arguments.dataset, volume)
    resolved = resolve(dataset, volume, reporter=Reporter())
    k = min(k, resolved.info.n_train)
    depth = min(k + 1, resolved.info.n_train)
    data = hdf5.load(resolved.path, k=depth, truth_cache=volume.path / ".truth")
    found = dataset_lint.figures(data, k)
    linted.keep(resolved.sha256, found)
    warned = list(dataset_lint.warnings(data, found))
    if arguments.json:
        plain = {"dataset": dataset.name, "sha256": resolved.sha256, **found, "warnings": warned}
        print(json.dumps(finite(plain), indent=2, ensure_ascii=False))
    else:
        _print(dataset.name, found, warned)
    return SPOILED if warned else 0


def _dataset(text: str, volume: LocalVolume) -> Dataset:
    """Finds the dataset. Raises ConfigurationError if it is not here."""
    settings = Settings(rootdir=Path.cwd(), volume_dir=str(volume.path))
    found = find_datasets(text, CATALOG, settings, LocalStored(volume), asked=text)
    if len(found) > 1:
        names = ", ".join(dataset.name for dataset in found[:8])
        raise ConfigurationError(f"{text} matches {len(found)} datasets ({names}): name one")
    if sources.source_of(found[0]).is_remote and not is_present(found[0], volume):
        raise ConfigurationError(
            f"dataset {found[0].name} is not in volume '{volume.name}' at {volume.path}: download "
            f"it with pytest benchmarks/ --dataset={text} --download-only"
        )
    return found[0]


def _print(name: str, found: dict[str, object], warned: list[str]) -> None:
    print(escape.line(name))
    for line in aligned.lines(linted.rows(found), "<>"):
        print(f"  {line}")
    for text in warned:
        print(f"⚠ {escape.line(text, 1000)}")
    if not warned:
        print("✓ Nothing here spoils a comparison.")


LINT = Subcommand(
    name="lint",
    help="show figures of a dataset, and warn of what spoils a comparison on it",
    description="Show figures of a dataset, and warn of what spoils a comparison on it. The exit "
    "status is 1 if there is a warning.",
    add_arguments=add_arguments,
    run=run,
)
