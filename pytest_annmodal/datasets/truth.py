"""Computes the true neighbours of a dataset that has none, and caches them."""

from __future__ import annotations

import hashlib
import os
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_annmodal.distances import exact

TRUTH_K = 100


TRUTH_VERSION = 1  # part of every cache key: raise it when the cached values change


Array = npt.NDArray[Any]


def _compute(train: Array, test: Array, k: int, metric: str) -> dict[str, Array]:
    ids, distances = exact.knn(train, test, k, metric)
    return {"neighbors": ids, "distances": distances}


class _Cache:
    """A cache of arrays in a directory, under a key that changes with the dataset file."""

    def __init__(self, path: Path, directory: Path | None) -> None:
        self.directory = directory
        status = path.stat()
        text = f"{TRUTH_VERSION}|{path.name}|{status.st_size}|{status.st_mtime_ns}"
        mark = hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:16]
        self.prefix = f"{path.stem}-{mark}"

    def get(self, what: str, compute: Callable[[], dict[str, Array]]) -> dict[str, Array]:
        """Returns the arrays cached under this name, or computes and caches them."""
        if self.directory is None:
            return compute()
        place = self.directory / f"{self.prefix}-{what}.npz"
        try:
            # Opened here: np.load leaves a damaged file open.
            with place.open("rb") as stream, np.load(stream, allow_pickle=False) as kept:
                return {name: kept[name] for name in kept.files}
        except (OSError, ValueError, EOFError, zipfile.BadZipFile):
            pass  # missing or cut off: computed again
        values = compute()
        self._keep(place, values)
        return values

    def _keep(self, place: Path, values: dict[str, Any]) -> None:
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(dir=place.parent, suffix=".tmp")
        except OSError:
            return  # a cache that cannot be written only costs time
        try:
            with os.fdopen(handle, "wb") as stream:
                np.savez(stream, **values)
            Path(temporary).replace(place)
        except OSError:
            Path(temporary).unlink(missing_ok=True)
