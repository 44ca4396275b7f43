"""Makes a virtual environment and installs into it, with uv if it is installed, else with pip."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pytest_annmodal.errors import EnvironmentBuildError, ExecutorError

LAST_LINES = 30
Say = Callable[[str], None]
# Our environment variables that would mislead an installer or its builds.
# uv breaks its reasons into lines of COLUMNS.
HIDDEN = frozenset(
    {"PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "PYTHONWARNINGS", "PIP_TARGET", "COLUMNS"}
)
NO_NETWORK = re.compile(
    r"dns error|error sending request|Temporary failure in name resolution|Connection refused|"
    r"NewConnectionError|ConnectTimeout|Network is unreachable|Could not resolve host|"
    r"network was disabled|client error \(Connect\)",
    re.IGNORECASE,
)
WHY = re.compile(r"\s*(?:error|cause)\b", re.IGNORECASE)
NO_ROOM = re.compile("No space left on device|Disk quota exceeded")
WITHOUT_ROOM = (
    "there is no room on the disk; `annmodal environments --prune` removes environments that are "
    "not in use"
)
# Run by a finished environment's interpreter.
REPORT = """
import json, sys
from importlib.metadata import distributions
import numpy
print(json.dumps({
    "python": "%d.%d.%d" % sys.version_info[:3],
    "base_prefix": sys.base_prefix,
    "numpy": numpy.__version__,
    "versions": {d.metadata["Name"]: d.version for d in distributions() if d.metadata["Name"]},
}))
"""


def surroundings(environ: Mapping[str, str]) -> dict[str, str]:
    """Returns the environment variables for an installer, with indexes and proxies."""
    return {name: value for name, value in environ.items() if name not in HIDDEN}


def install(folder: Path, python: str, requirements: Sequence[str], say: Say) -> None:
    """Makes a virtual environment in ``folder`` and installs the requirements into it.

    Args:
        python: the interpreter to make it from.
        say: called with each line of the installer's output.

    Raises:
        EnvironmentBuildError: the installation fails; with the end of the installer's output.
        ExecutorError: there is no network, no room on the disk, or the installer was ended.
    """
    own = str(folder / "bin" / "python")
    if uv := shutil.which("uv"):
        make = [uv, "venv", "--quiet", "--no-project", "--python", python, str(folder)]
        put = [uv, "pip", "install", "--python", own]
    else:
        make = [python, "-m", "venv", str(folder)]
        put = [own, "-m", "pip", "install", "--no-input", "--disable-pip-version-check"]
    _check(make, folder.parent, say)
    _check([*put, *requirements], folder.parent, say)


def report(folder: Path) -> dict[str, Any]:
    """Returns a finished environment's ``python``, ``base_prefix``, ``numpy`` and ``versions``.

    Raises:
        EnvironmentBuildError: its numpy cannot be imported.
    """
    status, lines = _run([str(folder / "bin" / "python"), "-I", "-c", REPORT], folder, print_none)
    if status:
        raise EnvironmentBuildError("numpy cannot be imported in it" + _end(lines))
    found: dict[str, Any] = json.loads(lines[-1])
    return found


def print_none(_line: str) -> None:
    """Ignores a line of output."""


def resolve_version(requirement: str, python: str) -> str:
    """Returns the version that an installer would choose: ``hnswlib==0.7.0`` for ``==0.7.*``.

    Raises:
        EnvironmentBuildError: there is no such version.
        ExecutorError: there is no network.
    """
    place = Path.home() if Path.home().is_dir() else Path("/")
    if uv := shutil.which("uv"):
        command = [uv, "pip", "compile", "-", "--no-deps", "--no-header", "--no-annotate"]
        command += ["--quiet", "--python", python]
    else:
        command = [*_pip_for(python), "install", "--dry-run", "--no-deps", "--ignore-installed"]
        command += ["--disable-pip-version-check", requirement]
    lines = _check(command, place, print_none, given=requirement)
    from packaging.requirements import Requirement

    name = re.sub(r"[-_.]+", "[-_.]+", Requirement(requirement).name)
    # uv: "hnswlib==0.7.0"; pip: "Would install hnswlib-0.7.0".
    found = re.compile(rf"(?:^|\s)({name})(?:==|-)(\d\S*)\s*$", re.IGNORECASE)
    for line in lines:
        if (match := found.search(line)) and not line.startswith(("Collecting", "  ")):
            return f"{match[1]}=={match[2]}"
    raise EnvironmentBuildError(f"no version of {requirement} was found" + _end(lines))


def _pip_for(python: str) -> list[str]:
    """Returns the command of our own pip for that interpreter, which may lack pip (Debian)."""
    if find_spec("pip") is None:
        return [python, "-m", "pip"]
    return [sys.executable, "-m", "pip", "--python", python]


def _check(command: Sequence[str], cwd: Path, say: Say, given: str = "") -> list[str]:
    """Runs a command and returns its output lines. Raises as :func:`install` does."""
    status, lines = _run(command, cwd, say, given)
    if status == 0:
        return lines
    text = "\n".join(lines)
    if NO_ROOM.search(text):
        raise ExecutorError(WITHOUT_ROOM + _end(lines))
    if NO_NETWORK.search(text):
        raise ExecutorError("the package index or repository cannot be reached" + _end(lines[-5:]))
    if status < 0:  # too little memory, or a limit
        ended = f"{Path(command[0]).name} was ended by {signal.Signals(-status).name}"
        raise ExecutorError(ended + _end(lines))
    raise EnvironmentBuildError(f"it cannot be installed{_reason(lines)}" + _end(lines))


def _reason(lines: Sequence[str]) -> str:
    """Returns the words of the last output line that begins with "error" or "cause", or ""."""
    named = [line[found.end() :].strip(" :.") for line in lines if (found := WHY.match(line))]
    return f": {named[-1]}" if named else ""


def _end(lines: Sequence[str]) -> str:
    shown = [line for line in lines if line.strip()][-LAST_LINES:]
    return "\n  ".join(["\nThe output ends:", *shown]) if shown else ""


def _run(command: Sequence[str], cwd: Path, say: Say, given: str = "") -> tuple[int, list[str]]:
    """Returns exit status and last lines; an exception here ends the process group."""
    lines: deque[str] = deque(maxlen=10 * LAST_LINES)
    with _started(command, cwd) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(given)
            process.stdin.close()
        for line in process.stdout:
            lines.append(line.rstrip())
            if line.strip():
                say(line.strip())
        return process.wait(), list(lines)


@contextmanager
def _started(command: Sequence[str], cwd: Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        errors="replace",
        cwd=cwd,
        env=surroundings(os.environ),
        start_new_session=True,
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
