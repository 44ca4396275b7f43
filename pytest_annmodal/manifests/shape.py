"""Finds a submission's root folder, and refuses archives and notebooks."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from pytest_annmodal.errors import ConfigurationError
from pytest_annmodal.manifests import cpp
from pytest_annmodal.manifests.contents import walk

# Files that Python, macOS, Windows and editors create by themselves.
LEFT_BEHIND = re.compile(
    r"__pycache__|__MACOSX|\.DS_Store|\._.*|Thumbs\.db|desktop\.ini|.*~", re.IGNORECASE
)
BESIDE_AN_INDEX = re.compile(r"__init__|conftest|setup|test_.*|.*_test")
NOTEBOOK = ".ipynb"
ARCHIVES = {
    ".zip": "unzip",
    ".tar": "tar xf",
    ".tgz": "tar xf",
    ".gz": "tar xf",
    ".bz2": "tar xf",
    ".xz": "tar xf",
    ".7z": "7z x",
    ".rar": "unrar x",
}
MAX_NAMES = 5


def is_left_behind(name: str) -> bool:
    """Returns whether a program created a file or folder of this name by itself."""
    return LEFT_BEHIND.fullmatch(name) is not None


def refuse_wrong_shape(file: Path) -> None:
    """Raises ConfigurationError for a notebook or an archive, with what to do."""
    name, suffix = shlex.quote(file.name), file.suffix.lower()
    if suffix == NOTEBOOK:
        raise ConfigurationError(
            f"is a notebook; export it with `jupyter nbconvert --to script {name}` and hand in "
            f"{file.stem}.py"
        )
    if suffix in ARCHIVES:
        raise ConfigurationError(
            f"is an archive; unpack it with `{ARCHIVES[suffix]} {name}` and hand in the folder"
        )


def root_of(folder: Path) -> Path:
    """Returns the folder with the submission's files; most often ``folder`` itself.

    Unpacking an archive often gives a folder inside a folder: the inner one is taken, at any depth,
    if no other has Python or C++ files.

    Raises:
        ConfigurationError: several folders have such files.
        OSError: something cannot be read.
    """
    sources = []
    for entry in walk(folder):
        relative = Path(entry.path).relative_to(folder)
        hidden = any(part.startswith(".") or is_left_behind(part) for part in relative.parts)
        if not hidden and (relative.suffix == ".py" or relative.name == cpp.ENTRY):
            sources.append(relative)
    own = [path for path in sources if not BESIDE_AN_INDEX.fullmatch(path.stem)] or sources
    places = {path.parent for path in own}
    roots = sorted(place for place in places if places.isdisjoint(place.parents))
    if len(roots) > 1:
        named = ", ".join(map(str, roots[:MAX_NAMES])) + (", …" if len(roots) > MAX_NAMES else "")
        raise ConfigurationError(
            f"has Python or C++ files in several folders ({named}); hand in the one that holds "
            "the index, or put a submission.py beside them"
        )
    return folder / roots[0] if roots else folder


def nothing_to_run(folder: Path) -> ConfigurationError:
    """Returns the error for a folder without Python or C++, with what to do if possible."""
    for entry in walk(folder):
        if not is_left_behind(entry.name):
            try:
                refuse_wrong_shape(Path(entry.path))
            except ConfigurationError as error:
                return ConfigurationError(
                    f"has no Python or C++ file: {str(Path(entry.path).relative_to(folder))!r} "
                    f"{error}"
                )
    return ConfigurationError(
        f"has neither a .py file with a class with fit and query, nor {cpp.ENTRY}"
    )
