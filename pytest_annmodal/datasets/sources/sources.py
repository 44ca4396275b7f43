"""Get a dataset's file from where it comes from: a URL, the package or a generator."""

from __future__ import annotations

import importlib.resources
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from pytest_annmodal.datasets.hdf5 import DatasetInfo
from pytest_annmodal.datasets.sources import http
from pytest_annmodal.datasets.volume.stamp import hash_file
from pytest_annmodal.errors import ConfigurationError, DatasetFormatError
from pytest_annmodal.model import Dataset


class Tell(Protocol):
    """Says lines of the volume's table, by key."""

    def __call__(self, *keys: str, **facts: object) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Brought:
    """A complete, checked file that is not yet under its final name."""

    path: Path
    sha256: str
    info: DatasetInfo


def acquire(
    dataset: Dataset,
    target: Path,
    *,
    check: Callable[[Path], DatasetInfo],
    base_urls: Sequence[str],
    on_progress: http.OnProgress | None,
    tell: Tell,
) -> Brought:
    """Put the dataset's file at ``target``.

    Raises:
        DatasetError: it cannot be had, or what came is not usable.
        OSError: it cannot be written.
    """
    kind, _, rest = dataset.source.partition(":")
    if dataset.is_remote:
        return _download(
            dataset, target, check=check, base_urls=base_urls, on_progress=on_progress, tell=tell
        )
    if kind == "package":
        tell("copy", "saving")
        packaged = importlib.resources.files("pytest_annmodal") / "data" / rest
        with importlib.resources.as_file(packaged) as path:
            shutil.copyfile(path, target)
    elif kind == "generate":
        from pytest_annmodal.datasets import synthetic

        tell("generate", "saving")
        synthetic.generate(target, rest)
    else:
        raise ConfigurationError(
            f"dataset '{dataset.name}' has a source of no known kind: {dataset.source}"
        )
    return Brought(path=target, sha256=hash_file(target), info=check(target))


def require_pinned(dataset: Dataset, size_bytes: int, sha256: str) -> None:
    """Raise DatasetFormatError for a file that is not the one that the catalogue means."""
    if dataset.size_bytes is not None and dataset.size_bytes != size_bytes:
        raise DatasetFormatError(
            f"{dataset.name}: the file has {size_bytes:,} bytes, expected {dataset.size_bytes:,}."
        )
    if dataset.sha256 is not None and dataset.sha256 != sha256:
        raise DatasetFormatError(
            f"{dataset.name}: the file has sha256 {sha256}, expected {dataset.sha256}."
        )


def urls_of(dataset: Dataset, base_urls: Sequence[str]) -> list[str]:
    """Mirrors first, then the dataset's own URL."""
    last = urlsplit(dataset.source).path.rpartition("/")[2]
    mirrors = (f"{base.rstrip('/')}/{last}" for base in base_urls)
    return list(dict.fromkeys((*mirrors, dataset.source)))


def _download(
    dataset: Dataset,
    target: Path,
    *,
    check: Callable[[Path], DatasetInfo],
    base_urls: Sequence[str],
    on_progress: http.OnProgress | None,
    tell: Tell,
) -> Brought:
    infos: list[DatasetInfo] = []
    tell("download")

    def on_url(url: str) -> None:
        tell("downloading", url=http.without_secrets(url))
        tell("saving")

    fetched = http.fetch(
        urls_of(dataset, base_urls),
        target,
        sha256=dataset.sha256,
        size_bytes=dataset.size_bytes,
        on_progress=on_progress,
        on_url=on_url,
        on_event=lambda text: tell("event", text=text),
        check=lambda path: infos.append(check(path)),
    )
    return Brought(path=target, sha256=fetched.sha256, info=infos[-1])
