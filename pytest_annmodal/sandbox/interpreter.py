"""The Python interpreter that a worker runs in: the harness's own, or an environment's."""

from __future__ import annotations

import dataclasses
import os
import site
import sys
import sysconfig
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pytest_annmodal.environments.kept import Made
from pytest_annmodal.sandbox import libraries

PACKAGE = Path(__file__).parents[1]
STAND_IN = PACKAGE / "worker" / "stand_in"
SAFE_PATH_SINCE = (3, 11)  # -P
# The package is put last on the path (a checkout is not installed). PYTHONPATH would put it, and
# all files beside it, before the standard library.
START = (
    f"import sys; sys.path.append({str(PACKAGE.parent)!r}); "
    "from pytest_annmodal.worker.worker import main; main()"
)
# An environment gets only the worker of the harness. The empty entry is the current folder.
START_APART = (
    f"import sys; sys.path[:] = [{str(STAND_IN)!r}, *filter(None, sys.path)]; "
    "from pytest_annmodal.worker.worker import main; main()"
)
MISLEADING = ("PYTHONPATH", "PYTHONHOME", "PYTHONUSERBASE", "VIRTUAL_ENV")


@dataclass(frozen=True, slots=True, kw_only=True)
class Interpreter:
    """A Python with its libraries.

    Attributes:
        command: starts a worker; the worker's own arguments are appended.
        places: folders of it, its libraries and this package, which must stay readable.
        scripts: folders of programs that its libraries installed.
        apart: whether it belongs to an environment, and gets no variables of the harness.
        copied: whether its workers may be copies of a process that has imported everything.
    """

    command: tuple[str, ...]
    places: tuple[str, ...]
    scripts: tuple[str, ...]
    apart: bool = False
    copied: bool = True


def own() -> Interpreter:
    """Returns the interpreter of this process."""
    places = {sys.prefix, sys.base_prefix, sys.exec_prefix, *libraries.site_folders()}
    places |= {
        sysconfig.get_paths()[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")
    }
    places |= {str(Path(sys.executable).parent), _home_of(sys.executable), str(PACKAGE)}
    schemes = (sysconfig.get_default_scheme(), sysconfig.get_preferred_scheme("user"))
    scripts = [sysconfig.get_path("scripts", scheme) for scheme in schemes]
    return Interpreter(
        command=(sys.executable, "-P", "-u", "-c", START),
        places=_there(places),
        scripts=(str(Path(sys.executable).parent), *scripts),
    )


def of(made: Made | None, *, anew: bool = False) -> Interpreter:
    """Returns an environment's interpreter, or the harness's own without one.

    Args:
        anew: start each worker as a new process, as in an environment, and not as a copy.
    """
    if made is None:
        return dataclasses.replace(own(), copied=not anew)
    known = tuple(int(part) for part in made.python.split(".")[:2])
    flags = ("-P", "-u") if known >= SAFE_PATH_SINCE else ("-u",)
    places = {made.folder, made.base_prefix, _home_of(made.interpreter), str(PACKAGE)}
    return Interpreter(
        command=(made.interpreter, *flags, "-c", START_APART),
        places=_there(places),
        scripts=(str(Path(made.interpreter).parent),),
        apart=True,
        copied=False,
    )


def _home_of(executable: str) -> str:
    return str(Path(executable).resolve().parent.parent)


def _there(places: Sequence[str] | set[str]) -> tuple[str, ...]:
    # A folder that may not be entered counts as missing.
    return tuple(sorted(p for p in places if os.path.exists(p) and p != "/"))  # noqa: PTH110


def variables(interpreter: Interpreter, private: Sequence[str]) -> dict[str, str]:
    """Returns variables that name an isolated worker's libraries outside of site-packages."""
    if interpreter.apart:
        return {}
    found = {}
    if path := libraries.outside(private).path:
        found[libraries.PYTHONPATH] = os.pathsep.join(path)
    if site.ENABLE_USER_SITE:  # Python looks for it in HOME, which is another one there
        found["PYTHONUSERBASE"] = site.getuserbase()
    return found
