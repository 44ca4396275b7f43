"""One call of ``volume.resolve``: finds, checks or brings a dataset's file, and logs it."""

from __future__ import annotations

import dataclasses
import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pytest_annmodal import durable
from pytest_annmodal.datasets import hdf5
from pytest_annmodal.datasets.hdf5 import CHECKS, DatasetInfo
from pytest_annmodal.datasets.lines import Log
from pytest_annmodal.datasets.sources import sources
from pytest_annmodal.datasets.sources.http import identity
from pytest_annmodal.datasets.volume.stamp import Stamp, check_and_hash, hash_file
from pytest_annmodal.errors import (
    DamagedCopyError,
    DatasetError,
    DatasetFormatError,
    ReloadError,
    VolumeError,
)
from pytest_annmodal.model import Dataset
from pytest_annmodal.protocols import Volume


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """A dataset file that exists and is checked.

    Attributes:
        was_present: it did not have to be downloaded, copied, generated or imported.
        seconds: how long resolving took.
    """

    path: Path
    name: str
    was_present: bool
    size_bytes: int
    sha256: str
    seconds: float
    info: DatasetInfo


def place_of(dataset: Dataset, volume: Volume) -> Path:
    """Returns where the file is or will be; a user's own file stays where it is."""
    return sources.source_of(dataset).own_file or volume.path / f"{dataset.name}.hdf5"


def own_stamp_path(dataset: Dataset, volume: Volume) -> Path:
    """Returns where the stamp of a user's own file lies."""
    mark = hashlib.sha256(
        str(place_of(dataset, volume)).encode("utf-8", "surrogateescape")
    ).hexdigest()[:16]
    return volume.path / ".stamps" / f"{dataset.name}-{mark}.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolution:
    """One call of :func:`resolve`."""

    dataset: Dataset
    volume: Volume
    source: sources.Source
    log: Log
    base_urls: tuple[str, ...]
    check: Callable[[Path], DatasetInfo]
    temp_dir: Path
    path: Path
    started: float

    def in_place(self) -> Resolved:
        """Uses the user's own file where it is; its stamp is stored in the volume."""
        if not self.path.is_file():
            raise DatasetError(
                f"{self.path}: there is no such file (dataset '{self.dataset.name}')."
            )
        place = own_stamp_path(self.dataset, self.volume)
        stamp = Stamp.read(place)
        if stamp is None or not self.is_unchanged(stamp, place):
            stamp = self.stamp_of_unknown()
            self.try_write(stamp, place)
        if self.dataset.sha256 not in {None, stamp.sha256}:
            raise DamagedCopyError(
                f"{self.path}: the file has sha256 {stamp.sha256}, expected {self.dataset.sha256}."
            )
        self.tell("in-place", "path")
        return self.resolved(stamp, was_present=True)

    def in_volume(self) -> Resolved:
        self.tell("checking")
        try:
            self.volume.reload()
        except ReloadError as error:
            self.tell("not-reloaded", reason=str(error))
        else:
            self.tell("reloaded")
        stamp = self.good_stamp()
        if stamp is None:
            with self.locked():
                stamp = self.good_stamp() or self.adopt()
                if stamp is None:
                    self.require_bringable()
                    self.tell("missing")
                    return self.bring()
        self.tell("found", "cached", "path")
        return self.resolved(stamp, was_present=True)

    def good_stamp(self) -> Stamp | None:
        """Returns the stamp if it belongs to the present file and to this dataset."""
        stamp = Stamp.read(self.stamp_path)
        if stamp is None or not self.is_unchanged(stamp, self.stamp_path):
            return None
        pinned = self.dataset.sha256
        if pinned is not None:
            return stamp if stamp.sha256 == pinned else None
        if self.is_outdated_copy(stamp):
            return None
        came_from = stamp.source or ""
        wanted = identity(self.dataset.source)
        if (
            not self.source.is_by_hand
            and sources.is_address(came_from)
            and identity(came_from) != wanted != came_from
        ):
            raise DatasetError(
                f"volume '{self.volume.name}' already holds {self.path.name} from "
                f"{identity(came_from)}, which is not {wanted}. "
                "Rename one of them, or remove the file in the volume."
            )
        return stamp

    def is_outdated_copy(self, stamp: Stamp | None) -> bool:
        """Returns whether it was imported from a file that has changed since."""
        return isinstance(self.source, sources.Imported) and (
            stamp is None or stamp.source != self.source.stamped
        )

    def is_unchanged(self, stamp: Stamp, place: Path) -> bool:
        """Returns whether the file is the one that was checked.

        Compares length and time where the volume keeps times (a copied or restored file has
        another time and is hashed once), else the whole content. False for a file that another
        version of the checks accepted: it is checked again.
        """
        if stamp.checks != CHECKS:
            return False
        by_time = self.volume.keeps_times
        try:
            status = self.path.stat()
            if stamp.size_bytes != status.st_size:
                return False
            if by_time and stamp.mtime_ns == status.st_mtime_ns:
                return True
            if hash_file(self.path) != stamp.sha256:
                return False
        except OSError:
            return False
        if by_time:
            self.try_write(dataclasses.replace(stamp, mtime_ns=status.st_mtime_ns), place)
        return True

    def adopt(self) -> Stamp | None:
        """Checks a file in the volume that has no good stamp; None if there is no usable file."""
        if not self.path.exists() or self.is_outdated_copy(Stamp.read(self.stamp_path)):
            return None
        if self.is_damaged():
            self.set_aside(f"{self.path}: its content has changed since it was stored.")
            return None
        old = Stamp.read(self.stamp_path)
        outdated = old is not None and old.checks != CHECKS
        self.tell("verifying" if old is None else "outdated" if outdated else "changed")
        try:
            stamp = self.stamp_of_unknown()
            if old is not None and old.sha256 == stamp.sha256:
                stamp = dataclasses.replace(stamp, source=old.source)
            sources.require_pinned(self.dataset, stamp.size_bytes, stamp.sha256)
        except DatasetFormatError as error:
            self.set_aside(str(error))
            return None
        if self.try_write(stamp, self.stamp_path):
            self.commit()
        return stamp

    def is_damaged(self) -> bool:
        """Returns whether a brought file has other content of the same length.

        A file that a user put here may have been replaced on purpose, so it never counts.
        """
        stamp = Stamp.read(self.stamp_path)
        return (
            stamp is not None
            and stamp.source is not None
            and stamp.size_bytes == self.path.stat().st_size
            and hash_file(self.path) != stamp.sha256
        )

    def set_aside(self, reason: str) -> None:
        """Renames a damaged file rather than deleting it: it may be the only copy."""
        names = (f"{self.path.name}.corrupt{mark}" for mark in _marks())
        aside = next(p for p in map(self.path.with_name, names) if not p.exists())
        try:
            self.path.rename(aside)
            self.stamp_path.unlink(missing_ok=True)
        except OSError as error:
            raise VolumeError(
                f"{reason} It could not be set aside as {aside.name} ({error.strerror}): "
                "remove it, or use another directory (--ann-volume-dir)."
            ) from error
        self.tell("set-aside", aside=aside.name, reason=reason)

    def require_bringable(self) -> None:
        """Raises DatasetError for a file that only its owner can put into the volume."""
        if self.source.is_by_hand:
            raise DatasetError(
                f"volume '{self.volume.name}' no longer holds a usable {self.path.name}. "
                "It was put there by hand: put it there again."
            )

    def bring(self) -> Resolved:
        """Downloads, copies, generates or imports the file, checks it and gives it its name."""
        try:
            for directory in (self.volume.path, self.temp_dir):
                directory.mkdir(parents=True, exist_ok=True)
            brought = self.source.bring(
                self.temp_dir / self.path.name,
                check=self.check,
                base_urls=self.base_urls,
                log=self.log,
            )
            self.tell("downloaded" if self.source.is_remote else "written")
            self.tell("train", "test", **brought.info.to_plain())
            self.stamp_path.unlink(missing_ok=True)  # of a file that this one replaces
            durable.publish(brought.path, self.path)
            stamp = self.stamp_for(brought.info, sha256=brought.sha256, source=self.source.stamped)
            stamp.write(self.stamp_path)
        except OSError as error:
            raise VolumeError(
                f"volume '{self.volume.name}' at {self.volume.path} cannot be written "
                f"({error.strerror or error}), so dataset '{self.dataset.name}' cannot be stored. "
                "Make it writable, free some space, or use another directory "
                "(--ann-volume-dir)."
            ) from error
        self.tell("committing")
        self.commit()
        self.tell("persisted", "future")
        return self.resolved(stamp, was_present=False)

    def commit(self) -> None:
        try:
            self.volume.commit()
        except BaseException:
            # Without a stamp, the next run verifies and commits the file again.
            self.stamp_path.unlink(missing_ok=True)
            raise

    def stamp_of_unknown(self) -> Stamp:
        """Checks a file of which nothing is known, and returns its stamp."""
        mtime_ns = self.path.stat().st_mtime_ns
        info, sha256 = check_and_hash(self.path, self.check)
        return self.stamp_for(info, sha256=sha256, mtime_ns=mtime_ns)

    def stamp_for(
        self,
        info: DatasetInfo,
        *,
        sha256: str,
        source: str | None = None,
        mtime_ns: int | None = None,
    ) -> Stamp:
        return Stamp(
            sha256=sha256,
            size_bytes=self.path.stat().st_size,
            source=source,
            info=info,
            mtime_ns=mtime_ns or self.path.stat().st_mtime_ns,
        )

    def try_write(self, stamp: Stamp, place: Path) -> bool:
        """Writes a stamp; returns False for a read-only volume, whose files can still be used."""
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            stamp.write(place)
        except OSError as error:
            self.tell("not-stamped", reason=error.strerror or str(error))
            return False
        return True

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Holds the dataset's lock, so that two runs at once download it once."""
        import filelock

        directory = self.volume.lock_dir
        lock = filelock.FileLock(directory / f"{self.dataset.name}.lock")
        try:
            directory.mkdir(parents=True, exist_ok=True)
            try:
                lock.acquire(blocking=False)
            except filelock.Timeout:
                self.tell("waiting")
                lock.acquire()
        except (OSError, NotImplementedError):
            pass  # a read-only volume: an error follows only if the run has to write
        try:
            yield
        finally:
            lock.release()

    @property
    def stamp_path(self) -> Path:
        return self.path.with_suffix(".json")

    def tell(self, *keys: str, **facts: object) -> None:
        self.log.tell(*keys, **facts)

    def resolved(self, stamp: Stamp, *, was_present: bool) -> Resolved:
        hdf5.mark_checked(self.path, stamp.info)
        return Resolved(
            path=self.path,
            name=self.dataset.name,
            was_present=was_present,
            size_bytes=stamp.size_bytes,
            sha256=stamp.sha256,
            seconds=time.perf_counter() - self.started,
            info=stamp.info,
        )


def _marks() -> Iterator[str]:
    yield ""
    number = 1
    while True:
        number += 1
        yield f"-{number}"
