"""Users' own dataset files: put into the volume by their content."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import modal

from pytest_annmodal.errors import DatasetError
from pytest_annmodal.executors.cloud import MOUNT, Cloud
from pytest_annmodal.model import Dataset, to_plain
from pytest_annmodal.volumes.stamp import hash_file

UPLOADS = "uploads"


def uploaded(dataset: Dataset, cloud: Cloud, say: Callable[[str], None]) -> Dataset:
    """The dataset as containers find it; a file of the user's own is uploaded if need be.

    Its folder is named after its content: a file that was changed is another one, and none
    stands in for a dataset of the catalogue.

    Raises:
        DatasetError: the file cannot be read.
    """
    if not dataset.source.startswith("file:"):
        return dataset
    path = Path(dataset.source.removeprefix("file:"))
    try:
        folder = f"{UPLOADS}/{hash_file(path)[:16]}"
    except OSError as error:
        raise DatasetError(
            f"{path}: it cannot be read ({error.strerror}; dataset '{dataset.name}')."
        ) from error
    if not _holds(cloud.volume, folder, path.name):
        say(f"📤 Uploading {path} to volume '{cloud.settings.modal_volume}'")
        with cloud.volume.batch_upload(force=True) as batch:
            batch.put_file(str(path), f"/{folder}/{path.name}")
    source = f"file:{MOUNT}/{folder}/{path.name}"
    return Dataset.from_plain({**to_plain(dataset), "source": source})


def _holds(volume: modal.Volume, folder: str, name: str) -> bool:
    try:
        return any(Path(entry.path).name == name for entry in volume.listdir(f"/{folder}"))
    except (modal.exception.Error, FileNotFoundError):
        return False  # then it is uploaded, which fails by itself where the volume cannot be used
