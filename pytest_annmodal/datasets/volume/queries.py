"""Imports the user's own queries: stores the rows of a file of vectors in the volume.

The importing process reads the file once, on the session's machine. The stored file is named after
its digest, and is sent to where its jobs run.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from pytest_annmodal.datasets.importers.importing import import_to
from pytest_annmodal.datasets.importers.request import Request
from pytest_annmodal.datasets.lines import Log, Reporter
from pytest_annmodal.datasets.own_queries import OPTION
from pytest_annmodal.datasets.volume.volume import LocalVolume
from pytest_annmodal.errors import ConfigurationError, DatasetError, VolumeError
from pytest_annmodal.queries import OwnQueries
from pytest_annmodal.settings.names import plain

FOLDER = ".queries"
MAX_NAME = 30  # characters of an id


def bring(file: Path, volume: LocalVolume) -> OwnQueries:
    """Reads a file of queries and stores its rows in the volume.

    Raises:
        ConfigurationError: it cannot be read as vectors, with the reason.
        VolumeError: the volume cannot be written.
    """
    folder = volume.path / FOLDER
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            target = Path(scratch) / "rows.npy"
            log = Log(reporter=Reporter(), name=file.name, volume=volume.name, path=target)
            sha256 = import_to(target, Request(train=(), metric="", test=str(file)), log)
            kept = target.replace(folder / f"{sha256}.npy")
    except (DatasetError, ConfigurationError) as error:
        raise ConfigurationError(f"{OPTION} {error}") from error
    except OSError as error:
        raise VolumeError(
            f"volume '{volume.name}' at {volume.path} cannot be written "
            f"({error.strerror or error}), so the queries of {file} cannot be stored. Make it "
            "writable, or use another directory (--ann-volume-dir)."
        ) from error
    n, dim = np.load(kept, mmap_mode="r", allow_pickle=False).shape
    name = plain(file.name.split(".")[0], instead="_").replace("-", "_")[:MAX_NAME] or "unnamed"
    return OwnQueries(name=name, path=str(kept), sha256=sha256, n=int(n), dim=int(dim))
