"""Decides which libraries outside of site-packages an isolated worker can see.

``pip install -e`` leaves a library in its author's folder and names that folder by a ``.pth``
file, an import hook or a link; ``PYTHONPATH`` names folders as well. A package or module that is
*installed* in this way is shown, read-only. A folder that is only named is shown whole, since the
wanted modules are not known. So it is not shown if it holds, or lies in, private things
(submissions, grades, datasets, the home folder), or if it is a project's own folder. A submission
that lacks a library for this reason gets a message that says so.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import site
import stat
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path

BUILD_FILES = ("pyproject.toml", "setup.py", "setup.cfg")
PROJECT_FILES = (*BUILD_FILES, ".git", ".hg", "conftest.py", "pytest.ini", "tox.ini")
NEVER = ("/proc", "/sys", "/dev")
PYTHONPATH = "PYTHONPATH"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outside:
    """Libraries outside of site-packages.

    Attributes:
        shown: files and folders that a worker sees, by the paths in use.
        path: entries of ``PYTHONPATH`` that a worker gets.
        kept_back: folder → why only what is installed from it is shown.
    """

    shown: tuple[str, ...] = ()
    path: tuple[str, ...] = ()
    kept_back: Mapping[str, str] = field(default_factory=dict)


def outside(private: Sequence[str] = ()) -> Outside:
    """Returns the libraries outside of this interpreter's site-packages.

    Args:
        private: files and folders that no worker may see; the home and current folder are too.
    """
    return _outside(
        _Unseen(holders=(_real(Path.cwd()), *_home()), private=tuple(map(_real, private))),
        os.environ.get(PYTHONPATH, ""),
    )


def missing(name: str, level: str, private: Sequence[str] = ()) -> str | None:
    """Returns why a submission cannot see an installed module; None if it is not installed.

    Args:
        name: the module's, which may come from a submission.
        level: of the isolation.
    """
    top, found = name.partition(".")[0], outside(private)
    for entry, why in found.kept_back.items():
        spec = PathFinder.find_spec(top, [entry])
        if spec is not None and not _is_in(_locations(spec), found.shown):
            return (
                f"{top} lies in {entry}, which a submission is not shown: {why}. {_advice(entry)}"
            )
    for place in (*found.shown, *site_folders()) if level == "uid" else ():
        if Path(place).stem == top or PathFinder.find_spec(top, [place]) is not None:
            closed = _closed(Path(place))
            if closed:
                return (
                    f"{top} lies in {place}, and a submission's user id may not enter "
                    f"{closed}. Let all users read it (chmod -R a+rX), install it without "
                    "-e, or install bubblewrap"
                )
    return None


def site_folders() -> list[str]:
    """Returns the folders of installed libraries."""
    user = [site.getusersitepackages()] if site.ENABLE_USER_SITE else []
    return [*site.getsitepackages(), *user]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Unseen:
    """Places that a submission may not see.

    Attributes:
        holders: folders that hold private files and also libraries: the current and the home.
        private: files and folders of which it may see nothing.
    """

    holders: tuple[str, ...]
    private: tuple[str, ...]

    def in_view(self, place: str) -> str:
        """Returns which private place showing this one would reveal; empty if none."""
        real = _real(place)
        for thing in (*self.holders, *self.private):
            if _is_in([thing], [real]):
                return f"it holds {thing}"
        around = next((thing for thing in self.private if _is_in([real], [thing])), None)
        return f"it lies in {around}" if around else ""

    def in_folder(self, folder: str) -> str:
        """Returns why a whole folder may not be shown; empty if it may."""
        marks = [name for name in PROJECT_FILES if os.path.lexists(Path(folder, name))]
        return self.in_view(folder) or (
            f"it is a project's folder, with {marks[0]} in it" if marks else ""
        )


@lru_cache(maxsize=8)
def _outside(unseen: _Unseen, pythonpath: str) -> Outside:
    named = [str(Path(part).absolute()) for part in pythonpath.split(os.pathsep) if part]
    folders = [place for place in dict.fromkeys((*named, *_of_pth_files())) if _is_folder(place)]
    kept_back = {folder: unseen.in_folder(folder) for folder in folders}
    shown = [folder for folder, why in kept_back.items() if not why]
    shown += [place for place in (*_linked(), *_installed(folders)) if not unseen.in_view(place)]
    return Outside(
        shown=tuple(place for place in dict.fromkeys(shown) if _can_be_shown(place)),
        path=tuple(folder for folder in named if folder in shown),
        kept_back={folder: why for folder, why in kept_back.items() if why},
    )


def _home() -> list[str]:
    try:
        return [_real(Path.home())]
    except RuntimeError:  # the user id has no name
        return []


def _real(place: str | Path) -> str:
    return os.path.realpath(place)


def _can_be_shown(place: str) -> bool:
    return os.path.exists(place) and not place.startswith(NEVER)  # noqa: PTH110 -- never raises


def _is_folder(place: str) -> bool:
    try:
        return Path(place).is_dir()
    except (OSError, ValueError):  # it may not be entered, or is not a valid path
        return False


def _is_in(paths: Iterable[str], folders: Iterable[str]) -> bool:
    """Whether each path is, or lies in, one of the folders."""
    return all(
        any(path == folder or path.startswith(f"{folder.rstrip('/')}/") for folder in folders)
        for path in paths
    )


def _of_pth_files() -> Iterator[str]:
    for folder in site_folders():
        for file in sorted(Path(folder).glob("*.pth")):
            try:
                lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
            except OSError:
                continue
            for line in map(str.strip, lines):
                if line and not line.startswith(("#", "import ", "import\t")):
                    yield str(Path(folder, line).absolute())


def _linked() -> Iterator[str]:
    """Yields the targets of links in site-packages (``flit install --symlink``)."""
    for folder in site_folders():
        if _is_folder(folder):
            with os.scandir(folder) as entries:
                links = [entry.path for entry in entries if entry.is_symlink()]
            yield from map(_real, sorted(links))


def _installed(folders: Sequence[str]) -> Iterator[str]:
    """Yields the packages and modules of editable installations."""
    hooks = [hook for hook in sys.meta_path if "editable" in _module_of(hook)]
    if not (folders or hooks):
        return
    sites = tuple(site_folders())
    for distribution in importlib.metadata.distributions():
        here = str(distribution.locate_file(""))
        if _is_in([here], sites) and not _is_editable(distribution):
            continue
        for name in _names(distribution):
            found = (hook.find_spec(name, None) for hook in hooks)
            spec = next((one for one in found if one is not None), None)
            spec = spec or PathFinder.find_spec(name, list(folders))
            if spec is not None:
                yield from _locations(spec)


def _module_of(hook: object) -> str:
    kind = hook if isinstance(hook, type) else type(hook)
    return kind.__module__


def _is_editable(distribution: importlib.metadata.Distribution) -> bool:
    try:
        url = json.loads(distribution.read_text("direct_url.json") or "{}")
    except ValueError:
        return False
    return bool(isinstance(url, dict) and url.get("dir_info", {}).get("editable"))


def _names(distribution: importlib.metadata.Distribution) -> list[str]:
    """Returns the names that it can be imported by."""
    listed = (distribution.read_text("top_level.txt") or "").split()
    listed += distribution.metadata.get_all("Import-Name") or []
    name = re.sub(r"[-_.]+", "_", distribution.metadata["Name"] or "")
    return [one.partition(".")[0] for one in listed] or [name, name.lower()]


def _locations(spec: ModuleSpec) -> list[str]:
    """Returns a package's folders, or a module's file."""
    folders = spec.submodule_search_locations
    places = [spec.origin or ""] if folders is None else list(folders)
    return [place for place in places if Path(place).is_absolute()]


def _advice(entry: str) -> str:
    places = (Path(entry), *Path(entry).parents[:2])
    found = (place for place in places if any((place / name).exists() for name in BUILD_FILES))
    project = next(found, None)
    install = f"Install it (pip install {project})" if project else "Install it with pip"
    return f"{install}, or move it to a folder that holds only libraries"


def _closed(place: Path) -> str | None:
    """Returns the first folder on the path, or the place itself, that not all users may read."""
    for path in (*reversed(place.parents), place):
        needed = stat.S_IXOTH if path != place else stat.S_IROTH
        if not path.stat().st_mode & needed:
            return str(path)
    return None
