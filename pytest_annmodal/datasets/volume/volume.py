"""A directory of checked dataset files, and how a dataset gets into it.

:func:`resolve` works on anything that has the ``Volume`` protocol. A volume holds
``{name}.hdf5``, its stamp ``{name}.json``, damaged files (``{name}.hdf5.corrupt``) and
the directories ``.locks``, ``.incoming`` (unfinished downloads) and ``.stamps`` (of users' own
files, which stay where they are).
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from pytest_annmodal import durable
from pytest_annmodal.datasets import hdf5
from pytest_annmodal.datasets.lines import LINES, Log, Reporter
from pytest_annmodal.datasets.sources import sources
from pytest_annmodal.datasets.volume.resolution import (
    Resolution,
    Resolved,
    own_stamp_path,
    place_of,
)
from pytest_annmodal.datasets.volume.stamp import Stamp
from pytest_annmodal.errors import CommitError, ConfigurationError, ReloadError
from pytest_annmodal.model import Dataset
from pytest_annmodal.protocols import Volume
from pytest_annmodal.settings.option import no_home

__all__ = [
    "LINES",
    "LocalVolume",
    "Reporter",
    "Resolved",
    "checked_before",
    "default_volume_dir",
    "is_present",
    "local_volume",
    "resolve",
]

VOLUME_NAME = "ann-datasets"


class LocalVolume:
    """The ``Volume`` protocol for a directory."""

    def __init__(self, path: Path, name: str = VOLUME_NAME) -> None:
        self._path = path
        self._name = name

    @property
    def name(self) -> str:
        return self._name

    @property
    def path(self) -> Path:
        return self._path

    @property
    def lock_dir(self) -> Path:
        return self._path / ".locks"

    @property
    def keeps_times(self) -> bool:
        return True

    def reload(self) -> None:
        """Creates the directory if needed. Raises ReloadError if it cannot be read."""
        try:
            if not self._path.exists():
                self._path.mkdir(parents=True, exist_ok=True)
            with os.scandir(self._path):
                pass
        except OSError as error:
            raise ReloadError(f"{self._path}: {error.strerror}") from error

    def commit(self) -> None:
        """Flushes the directory's names to the disk. Raises CommitError if that fails."""
        try:
            durable.sync_directory(self._path)
        except OSError as error:
            raise CommitError(
                f"volume '{self._name}' at {self._path} could not be flushed ({error.strerror}). "
                "The next run checks its new file again."
            ) from error


def cache_dir(environ: Mapping[str, str]) -> Path:
    """Returns this package's folder in the user's cache directory.

    Raises:
        ConfigurationError: the user has no home directory.
    """
    cache_home = environ.get("XDG_CACHE_HOME", "")
    try:
        cache = (
            Path(cache_home)
            if Path(cache_home).is_absolute()
            else Path(environ.get("HOME") or Path.home()) / ".cache"
        )
    except RuntimeError as error:
        raise ConfigurationError(
            f"there is no folder for datasets: {no_home()}. Name one with --ann-volume-dir DIR "
            "(or ANNMODAL_VOLUME_DIR), or set HOME."
        ) from error
    return cache / "annmodal"


def default_volume_dir(environ: Mapping[str, str]) -> Path:
    """Returns the default directory of the local volume, below the user's cache directory.

    Raises:
        ConfigurationError: the user has no home directory.
    """
    return cache_dir(environ) / "volumes" / VOLUME_NAME


def local_volume(chosen: str | None) -> LocalVolume:
    """Returns the volume in the directory of ``--ann-volume-dir``, or in the default one."""
    path = Path(chosen) if chosen else default_volume_dir(os.environ)
    return LocalVolume(path.absolute())


def checked_before(dataset: Dataset, volume: LocalVolume) -> hdf5.DatasetInfo | None:
    """Returns what a user's own file holds, if it is unchanged since it was stamped."""
    stamp, path = Stamp.read(own_stamp_path(dataset, volume)), place_of(dataset, volume)
    if stamp is None or stamp.checks != hdf5.CHECKS:
        return None
    try:
        status = path.stat()
    except OSError:
        return None
    same = (stamp.size_bytes, stamp.mtime_ns) == (status.st_size, status.st_mtime_ns)
    return stamp.info if same else None


def is_present(dataset: Dataset, volume: Volume) -> bool:
    """Returns whether the file exists and is not empty, without opening it."""
    path = place_of(dataset, volume)
    return path.is_file() and path.stat().st_size > 0


def resolve(
    dataset: Dataset,
    volume: Volume,
    *,
    reporter: Reporter,
    base_urls: Sequence[str] = (),
    validate: bool = True,
    temp_dir: Path | None = None,
) -> Resolved:
    """Finds the dataset in the volume or brings it there; returns it checked.

    Args:
        reporter: gets each message, and the progress of a download.
        base_urls: mirrors that hold ``NAME.hdf5``, tried before the dataset's own URL.
        validate: check the content of a file that has no stamp, not only its structure.
        temp_dir: where an unfinished download lies; by default in the volume.

    Raises:
        DatasetError: the dataset cannot be brought, or is unusable.
        VolumeError: the volume cannot be written or committed.
    """
    source, path = sources.source_of(dataset), place_of(dataset, volume)
    run = Resolution(
        dataset=dataset,
        volume=volume,
        source=source,
        log=Log(reporter=reporter, name=dataset.name, volume=volume.name, path=path),
        base_urls=tuple(base_urls),
        check=hdf5.validate if validate else hdf5.inspect,
        temp_dir=temp_dir or volume.path / ".incoming",
        path=path,
        started=time.perf_counter(),
    )
    return run.in_place() if source.own_file else run.in_volume()
