"""Uploads users' own dataset files into the volume, in folders named by their content."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import modal

from pytest_annmodal.datasets.sources.sources import OwnFile, source_of
from pytest_annmodal.datasets.volume.stamp import hash_file
from pytest_annmodal.datasets.volume.volume import Reporter, local_volume, resolve
from pytest_annmodal.errors import DatasetError
from pytest_annmodal.executors.modal.definitions import MOUNT, Cloud
from pytest_annmodal.model import Dataset
from pytest_annmodal.settings.suffixes import is_imported

UPLOADS = "uploads"


def uploaded(
    dataset: Dataset, cloud: Cloud, say: Callable[[str], None], *, again: bool = False
) -> Dataset:
    """Returns the dataset with its place in containers; uploads a user's own file if needed.

    A file of another format is first imported on this machine. A file's folder is named by its
    content, so a changed file gets another folder, and no file replaces a dataset of the
    catalogue. Its digest is passed on, to check the copy. A user's own queries are uploaded in
    the same way.

    Args:
        again: whether to upload it even if it is there.

    Raises:
        DatasetError: the file cannot be read.
    """
    if dataset.queries is not None:
        own = dataset.queries
        there, _ = _put(Path(own.path), dataset, cloud, say, again=again)
        dataset = dataclasses.replace(dataset, queries=dataclasses.replace(own, path=there))
    path = _own_file(dataset, cloud, say)
    if path is None:
        return dataset
    there, sha256 = _put(path, dataset, cloud, say, again=again)
    return dataclasses.replace(dataset, source=OwnFile.named(there), sha256=sha256)


def _put(
    path: Path, dataset: Dataset, cloud: Cloud, say: Callable[[str], None], *, again: bool
) -> tuple[str, str]:
    """Uploads a file if needed; returns its path in containers, and its sha256."""
    try:
        sha256, size_bytes = hash_file(path), path.stat().st_size
    except OSError as error:
        raise DatasetError(
            f"{path}: it cannot be read ({error.strerror}; dataset '{dataset.name}')."
        ) from error
    folder = f"{UPLOADS}/{sha256[:16]}"
    if again or not _holds(cloud.volume, folder, path.name, size_bytes):
        say(f"📤 Uploading {path} to volume '{cloud.settings.modal_volume}'")
        with cloud.volume.batch_upload(force=True) as batch:
            batch.put_file(str(path), f"/{folder}/{path.name}")
    return f"{MOUNT}/{folder}/{path.name}", sha256


def _own_file(dataset: Dataset, cloud: Cloud, say: Callable[[str], None]) -> Path | None:
    """Returns the user's file, imported here first if it has another format; else None."""
    source = source_of(dataset)
    if source.own_file is not None or not is_imported(source.file_name):
        return source.own_file
    volume = local_volume(cloud.settings.volume_dir)
    return resolve(dataset, volume, reporter=Reporter(line=say)).path


def _holds(volume: modal.Volume, folder: str, name: str, size_bytes: int) -> bool:
    try:
        entries = volume.listdir(f"/{folder}")
        return any((Path(e.path).name, e.size) == (name, size_bytes) for e in entries)
    except (modal.exception.Error, FileNotFoundError):
        return False  # the upload then fails if the volume cannot be used
