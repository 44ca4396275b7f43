"""The shape in which something is handed in: what archives leave behind, folders in folders."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from pytest_annmodal.errors import ConfigurationError
from pytest_annmodal.manifests import cpp
from pytest_annmodal.manifests.contents import walk

# Nobody wrote these: Python, macOS, Windows and editors leave them beside what somebody wrote.
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
    """Whether a file or folder of this name is nobody's work."""
    return LEFT_BEHIND.fullmatch(name) is not None


def refuse_wrong_shape(file: Path) -> None:
    """Say what to do with a notebook or an archive.

    Raises:
        ConfigurationError: it is one.
    """
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
    """The folder in ``folder`` that holds what is handed in; most often it is ``folder`` itself.

    An archive of a folder is unpacked to a folder in a folder: the inner one is meant, however
    deep it lies, where there is no other with Python or C++ files in it.

    Raises:
        ConfigurationError: there are several.
        OSError.
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
    """Why a folder without Python and C++ cannot be run, and what of it could be."""
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
