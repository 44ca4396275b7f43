"""Remembers the files that were checked and have not changed: this process may open them."""

from __future__ import annotations

from pathlib import Path

from pytest_annmodal.datasets.hdf5.info import DatasetInfo, Identity
from pytest_annmodal.errors import DatasetError

_KNOWN: dict[Identity, DatasetInfo] = {}


def identity(path: Path) -> Identity:
    """Returns the identity of a file. Raises DatasetError if there is none."""
    try:
        status = path.stat()
    except OSError as error:
        words = "there is no such file" if isinstance(error, FileNotFoundError) else error.strerror
        raise DatasetError(f"{path}: {words}.") from error
    return Identity.of(status)


def remember(path: Path, info: DatasetInfo) -> None:
    _KNOWN[identity(path)] = info


def described(path: Path) -> DatasetInfo:
    """See :func:`pytest_annmodal.datasets.hdf5.inspect`."""
    found = _KNOWN.get(identity(path))
    return found or _looked_at(path, whole=False)


def checked(path: Path) -> DatasetInfo:
    """See :func:`pytest_annmodal.datasets.hdf5.validate`."""
    return _looked_at(path, whole=True)


def _looked_at(path: Path, *, whole: bool) -> DatasetInfo:
    from pytest_annmodal.datasets.hdf5 import checker

    before = identity(path)
    info = checker.CHECKER.look(path, whole=whole)
    require_same(path, before)
    _KNOWN[before] = info
    return info


def require_same(path: Path, before: Identity) -> None:
    """Raises DatasetError if the file has changed."""
    if identity(path) != before:
        raise DatasetError(
            f"{path}: it was changed while it was read. Try again when nobody writes to it."
        )
