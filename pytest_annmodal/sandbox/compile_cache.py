"""Where numba keeps what it has compiled: one folder for each environment, for trusted code only.

numba loads what lies there by executing it, so strangers never share a folder with anybody. It
does not see that a library was changed which others have compiled into their own code, so an
environment in which anything was installed since gets a new folder.
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
    """The folder of this environment; the user's own, if there is one.

    None without numba, or where nothing can be kept.
    """
    if VARIABLE in os.environ:
        return os.environ[VARIABLE]
    return None if find_spec("numba") is None else _kept(_key())


def folder_of(made: Made) -> str | None:
    """The same for an environment that was made for a ``NAME@SPEC``."""
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
    """Equal for one interpreter with the same libraries, installed at the same times."""
    words = [sys.executable, sys.version, platform.machine(), *sorted(_installed())]
    return hashlib.sha256("\n".join(words).encode("utf-8", "backslashreplace")).hexdigest()[:16]


def _installed() -> Iterator[str]:
    for place in libraries.site_folders():
        with contextlib.suppress(OSError), os.scandir(place) as entries:
            for entry in entries:
                if entry.name.endswith(INSTALLED):
                    yield f"{entry.path} {entry.stat().st_mtime_ns}"


def _forget_old(parent: Path) -> None:
    """Remove the folders of environments that nobody has used for long."""
    for place in parent.iterdir():
        if place.stat().st_mtime < time.time() - KEPT_S:
            shutil.rmtree(place, ignore_errors=True)
