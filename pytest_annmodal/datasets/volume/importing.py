"""Imports vectors of other formats into the volume, under a name that the user chooses."""

from __future__ import annotations

import dataclasses
import re
import tempfile
import time
from pathlib import Path

from pytest_annmodal.datasets import hdf5
from pytest_annmodal.datasets.catalog import CATALOG
from pytest_annmodal.datasets.importers.request import Request
from pytest_annmodal.datasets.lines import Log, Reporter
from pytest_annmodal.datasets.sources import sources
from pytest_annmodal.datasets.volume.resolution import Resolution, Resolved
from pytest_annmodal.datasets.volume.volume import LocalVolume
from pytest_annmodal.errors import ConfigurationError, VolumeError
from pytest_annmodal.model import Dataset


def import_dataset(
    name: str, request: Request, volume: LocalVolume, *, reporter: Reporter, replace: bool
) -> Resolved:
    """Reads, checks and writes the dataset ``name``; a failed import leaves no file.

    Args:
        replace: replace a dataset of that name in the volume, once the new one is complete.

    Raises:
        ConfigurationError: the name cannot be used, or the request contradicts itself.
        DatasetError: a file cannot be used, with the reason.
        VolumeError: the volume cannot be written.
    """
    _require_name(name)
    source = sources.Imported.named(request.train[0])
    dataset = Dataset(name=name, source=source, metric=request.metric)
    path = volume.path / f"{name}.hdf5"
    run = Resolution(
        dataset=dataset,
        volume=volume,
        source=sources.Imported(dataset, request),
        log=Log(reporter=reporter, name=name, volume=volume.name, path=path),
        base_urls=(),
        check=hdf5.inspect,
        temp_dir=volume.path / ".incoming",
        path=path,
        started=time.perf_counter(),
    )
    with run.locked():
        if path.exists() and not replace:
            raise ConfigurationError(
                f"volume '{volume.name}' at {volume.path} holds a dataset {name} already. Choose "
                "another name, or add --replace."
            )
        with tempfile.TemporaryDirectory(dir=_made(run.temp_dir), prefix=f"{name}-") as folder:
            local = _fetched(request, Path(folder), run.log)
            return dataclasses.replace(run, source=sources.Imported(dataset, local)).bring()


def _made(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise VolumeError(
            f"{folder}: cannot be created ({error.strerror}). Use another directory (--volume DIR)."
        ) from error
    return folder


def _fetched(request: Request, folder: Path, log: Log) -> Request:
    """Fetches the request's URLs; returns the request with local files in their place."""
    local: dict[str, str] = {}
    called = []
    for number, text in enumerate(request.files):
        source = sources.source_of(Dataset(name=text, source=text))
        local[text] = text
        called.append(text)
        if isinstance(source, sources.Http):
            target = folder / f"{number}-{source.file_name}"
            called[-1] = source.fetch(target, log=log).url
            local[text] = str(target)
    return dataclasses.replace(
        request,
        train=tuple(local[name] for name in request.train),
        test=None if request.test is None else local[request.test],
        truth=None if request.truth is None else local[request.truth],
        called=tuple(called),
    )


def _require_name(name: str) -> None:
    if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", name) is None:
        raise ConfigurationError(
            f"the name {name!r} cannot be used: expected at most 100 letters, digits, '.', '_' and "
            "'-', such as shop-vectors"
        )
    if name in CATALOG:
        raise ConfigurationError(
            f"the name {name} is taken by a dataset of the catalogue: choose another, such "
            f"as my-{name}"
        )
