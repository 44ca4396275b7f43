"""Finds the datasets that an argument names: in the catalogue, as files, or at addresses."""

from __future__ import annotations

import dataclasses
import fnmatch
import glob
from collections.abc import Iterable, Mapping
from pathlib import Path

from pytest_annmodal.datasets import catalog
from pytest_annmodal.datasets.sources import sources
from pytest_annmodal.errors import ConfigurationError, DatasetError
from pytest_annmodal.model import (
    Dataset,
)
from pytest_annmodal.protocols import Stored
from pytest_annmodal.settings import suffixes
from pytest_annmodal.settings.config import Settings
from pytest_annmodal.settings.nearest import nearest_names, not_there, one_by_one
from pytest_annmodal.settings.option import expanded, is_dataset_file

FEW = 5  # most names that a message lists


def known_datasets(extra: Iterable[Dataset] = ()) -> dict[str, Dataset]:
    """Returns the catalogue with the datasets of the hook ``pytest_annmodal_datasets``."""
    return {**catalog.CATALOG, **{dataset.name: dataset for dataset in extra}}


def find_datasets(
    text: str,
    known: Mapping[str, Dataset],
    settings: Settings,
    stored: Stored | None = None,
    *,
    asked: str | None = None,
) -> list[Dataset]:
    """Returns the datasets that one name, glob, file or URL names.

    Args:
        stored: the volume, searched for names that are not in ``known``.
        asked: how an error begins; ``--dataset TEXT`` by default.

    Raises:
        ConfigurationError: no dataset is found; the message has the nearest names.
    """
    asked = asked or f"--dataset {text}"
    if sources.is_address(text):
        return [catalog.dataset_from_argument(text)]
    if is_dataset_file(text):
        path = expanded(text, settings.rootdir, "--dataset")
        named = [path] if path.is_file() else map(Path, sorted(glob.glob(str(path))))  # noqa: PTH207 -- absolute patterns
        paths = [found for found in named if found.is_file()]
        if not paths:
            hint = _hint(path, stored) if stored is not None and not path.exists() else ""
            raise ConfigurationError(f"{asked}: {_why_no_file(path)}{hint}")
        for found in paths:
            if why := suffixes.PICKLED.get(suffixes.suffix_of(found.name)):
                raise ConfigurationError(f"{asked}: {why}")
        return [
            _as_the_file_says(catalog.dataset_from_argument(str(p)), p, settings) for p in paths
        ]
    matched = [known[name] for name in known if fnmatch.fnmatchcase(name, text)]
    if not matched and (place := expanded(text, settings.rootdir, "--dataset")).exists():
        raise ConfigurationError(f"{asked}: {_why_no_dataset(place)}")
    if not matched and stored is not None:
        try:
            matched = _in_volume(text, stored)
        except ConfigurationError as error:
            raise ConfigurationError(f"{asked}: not in the catalogue, and {error}") from error
    if not matched:
        raise ConfigurationError(f"{asked}: {_no_such_dataset(text, known, stored)}")
    return matched


def _in_volume(pattern: str, stored: Stored) -> list[Dataset]:
    """Returns the datasets of the volume whose names match."""
    return [stored.dataset(name) for name in stored.names() if fnmatch.fnmatchcase(name, pattern)]


def _hint(path: Path, stored: Stored) -> str:
    """Returns a hint if the volume holds a dataset named as the missing file, else ""."""
    try:
        there = path.stem in stored.names()
    except ConfigurationError:
        return ""
    place = stored.place[0].upper() + stored.place[1:]
    return f" {place} holds one of that name: --dataset {path.stem}" if there else ""


def _no_such_dataset(text: str, known: Mapping[str, Dataset], stored: Stored | None) -> str:
    there = list(stored.names()) if stored is not None else []
    near = nearest_names(text, {*known, *there})
    added = ", ".join(sorted(known.keys() - catalog.CATALOG.keys()))
    added = f" Added here: {added}." if added and near == "." else ""
    lying = ""
    if stored is not None:
        place = stored.place[0].upper() + stored.place[1:]
        shown = ", ".join(there) if len(there) <= FEW else f"{len(there)} datasets"
        lying = f" {place} holds {shown or 'no dataset yet'}. {stored.advice}"
    others = "A path ending in .hdf5, a file of vectors (docs/datasets.md) or a URL works too."
    if several := one_by_one(text, "--dataset"):
        return f"no such dataset{near}{several}"
    return f"no such dataset{near} `annmodal datasets` lists all.{added}{lying} {others}"


def _why_no_file(path: Path) -> str:
    if path.is_symlink():
        return f"is a link to {path.readlink()}, which does not exist"
    return "is a directory; expected a file in it" if path.is_dir() else not_there(path)


def _why_no_dataset(path: Path) -> str:
    """Returns why a folder, or a file whose name lacks the suffix of a dataset, is not one."""
    if path.is_dir():
        return f"is a directory; for all datasets in it write --dataset='{path}/*.hdf5'"
    from pytest_annmodal.datasets.importers import recognise

    if recognise.begins_as_hdf5(path):
        return "the name of a dataset's file ends in .hdf5 or .h5; rename this one"
    guess = recognise.what_it_is(path) or f"not an HDF5 file: {recognise.CONVERT}"
    return f"this is {guess}"


def _as_the_file_says(dataset: Dataset, path: Path, settings: Settings) -> Dataset:
    """Returns the dataset with the metric and shape of the file; its name may be wrong."""
    if sources.source_of(dataset).own_file is None:
        return dataset
    from pytest_annmodal.datasets import hdf5
    from pytest_annmodal.datasets.volume.volume import checked_before, local_volume

    try:
        info = checked_before(dataset, local_volume(settings.volume_dir)) or hdf5.inspect(path)
    except DatasetError:  # the tests of this dataset report it
        return dataset
    return dataclasses.replace(
        dataset,
        metric=info.metric,
        n_train=info.n_train,
        dim=info.dim,
        n_queries=info.n_queries,
    )
