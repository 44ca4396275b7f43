"""Chooses numba's folder for compiled code: one for each environment, for trusted code only.

numba executes what it loads from there, so submissions never share a folder. numba also misses
changes of a library that others have compiled into their code, so an environment gets a new folder
after each installation.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import shutil
import sys
import time
from collections.abc import Iterator
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

from pytest_annmodal.datasets.volume.volume import cache_dir
from pytest_annmodal.environments.kept import Made
from pytest_annmodal.errors import ConfigurationError
from pytest_annmodal.sandbox import libraries

VARIABLE = "NUMBA_CACHE_DIR"
KEPT_S = 30 * 24 * 3600.0
INSTALLED = (".dist-info", ".egg-info", ".pth", ".egg-link")


@lru_cache(maxsize=1)
def folder() -> str | None:
    """Returns the folder of this environment, or the one that the user has set.

    None without numba, or where the folder cannot be written.
    """
    if VARIABLE in os.environ:
        return os.environ[VARIABLE]
    return None if find_spec("numba") is None else _kept(_key())


def folder_of(made: Made) -> str | None:
    """Returns the folder of an environment that was made for a ``NAME@SPEC``."""
    if VARIABLE in os.environ:
        return os.environ[VARIABLE]
    return _kept(made.key) if "numba" in made.versions else None


def _kept(key: str) -> str | None:
    with contextlib.suppress(OSError, ConfigurationError):
        place = cache_dir(os.environ) / "numba" / key
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.utime(place)
        _forget_old(place.parent)
        if place.stat().st_uid == os.geteuid() and os.access(place, os.W_OK):
            return str(place)
    return None


def _key() -> str:
    """Returns a hash of the interpreter, its libraries and when they were installed."""
    words = [sys.executable, sys.version, platform.machine(), *sorted(_installed())]
    return hashlib.sha256("\n".join(words).encode("utf-8", "backslashreplace")).hexdigest()[:16]


def _installed() -> Iterator[str]:
    for place in libraries.site_folders():
        with contextlib.suppress(OSError), os.scandir(place) as entries:
            for entry in entries:
                if entry.name.endswith(INSTALLED):
                    yield f"{entry.path} {entry.stat().st_mtime_ns}"


def _forget_old(parent: Path) -> None:
    """Removes the folders of environments that were not used for :data:`KEPT_S`."""
    for place in parent.iterdir():
        if place.stat().st_mtime < time.time() - KEPT_S:
            shutil.rmtree(place, ignore_errors=True)
