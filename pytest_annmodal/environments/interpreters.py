"""Finds Python interpreters on this machine by version."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from functools import lru_cache
from pathlib import Path

from pytest_annmodal.errors import EnvironmentBuildError

OLDEST = (3, 10)  # that runs the worker's code
ASK_TIMEOUT_S = 30
WHO = "import sys; print('%d.%d.%d' % sys.version_info[:3], sys.executable, sep='\\n')"


@lru_cache
def find(wanted: str) -> tuple[str, str]:
    """Returns path and full version of a Python; for an empty text, of this one's base.

    Raises:
        EnvironmentBuildError: it is not installed, or too old.
    """
    here = ".".join(map(str, sys.version_info[:2]))
    if wanted in {"", here}:
        return _base(), platform.python_version()
    if tuple(map(int, wanted.split("."))) < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        raise EnvironmentBuildError(
            f"the worker needs Python {oldest} or newer; numpy 1.22 runs on {oldest}"
        )
    for place in (_by_uv(wanted), shutil.which(f"python{wanted}"), *_by_pyenv(wanted)):
        said = _run([place, "-I", "-c", WHO]) if place else ""
        version, _, path = said.partition("\n")
        if version.startswith(f"{wanted}."):
            return path, version
    raise EnvironmentBuildError(
        f"there is no Python {wanted} on this machine; install it, so that "
        f"python{wanted} is on the PATH (or `uv python install {wanted}`)"
    )


def _base() -> str:
    """Returns this interpreter, or in a virtual environment the one it was made from."""
    return str(getattr(sys, "_base_executable", None) or sys.executable)


def _by_uv(wanted: str) -> str | None:
    uv = shutil.which("uv")
    return _run([uv, "python", "find", "--no-python-downloads", wanted]) if uv else None


def _by_pyenv(wanted: str) -> list[str]:
    """Returns pyenv's interpreters; its shims would run only the selected versions."""
    root = Path(os.environ.get("PYENV_ROOT") or Path("~/.pyenv").expanduser())
    return sorted(map(str, root.glob(f"versions/{wanted}.*/bin/python")), reverse=True)


def _run(command: list[str]) -> str:
    """Returns the command's output; "" if it fails."""
    hidden = {"VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME"}
    env = {name: value for name, value in os.environ.items() if name not in hidden}
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=ASK_TIMEOUT_S,
            check=False,
            env=env,
            cwd=Path("/"),
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
