"""Where submissions lie: files and folders of which nothing may configure or enter pytest."""

from __future__ import annotations

import glob
import os
import sys
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]
FOR_PYTEST = ("conftest.py", "pytest.ini", ".pytest.ini", "pytest.toml", ".pytest.toml")


class Places:
    """Everything that ``--submission`` hands in, found without reading any of it.

    Of a pattern with a wildcard in a folder's name, as ``submissions/*/index.py``, the folder
    was handed in: ``submissions/eve``.
    """

    def __init__(self, texts: Iterable[str]) -> None:
        self.roots = frozenset(
            form
            for text in texts
            for path in _handed_in(text)
            for form in (forms(str(path)) if str(path) == text else _roots(path))
        )
        # Python itself is the organiser's, also where they keep it in a folder they measure.
        own = {form for place in (sys.prefix, sys.base_prefix, PACKAGE) for form in forms(place)}
        self._trusted = frozenset(path for path in own if self._root(path) is not None)

    def holder(self, path: str | os.PathLike[str]) -> Path | None:
        """The submission in which a path lies, or that it is."""
        for form in forms(os.fspath(path)):
            root = self._root(form)
            if root is not None and self._trusted.isdisjoint((form, *form.parents)):
                return root
        return None

    def unread(self) -> list[Path]:
        """Files for pytest in what is handed in, at its top or one folder deeper: none is read."""
        folders = (root for root in self.roots if root == root.resolve() and root.is_dir())
        found = (
            file
            for folder in folders
            for name in FOR_PYTEST
            for file in (folder / name, *folder.glob(f"*/{name}"))
        )
        return sorted(file for file in found if file.is_file() and not file.is_symlink())

    def directly_in(self, folder: str) -> bool:
        """Whether a folder holds a submission itself, as a module or package of its own."""
        return any(form == root.parent for form in forms(folder) for root in self.roots)

    def _root(self, path: Path) -> Path | None:
        return next((place for place in (path, *path.parents) if place in self.roots), None)


def forms(path: str | os.PathLike[str]) -> tuple[Path, ...]:
    """A path as it is written and as it is behind links, absolute."""
    return _forms(os.path.abspath(path))  # noqa: PTH100 -- links stay


def _roots(path: Path) -> tuple[Path, ...]:
    """The forms of what a pattern matches; of a link only its own: it may lead anywhere."""
    if path.is_symlink():
        return tuple(parent / path.name for parent in forms(path.parent))
    return forms(path)


@lru_cache(maxsize=4096)
def _forms(written: str) -> tuple[Path, ...]:
    return tuple(dict.fromkeys((Path(written), Path(os.path.realpath(written)))))


def _handed_in(text: str) -> Iterator[Path]:
    if os.path.lexists(text):
        yield Path(text)
        return
    parts = Path(text).parts
    n_fixed = next((i for i, part in enumerate(parts) if glob.has_magic(part)), len(parts))
    for found in glob.iglob(text, include_hidden=True):  # noqa: PTH207 -- absolute patterns
        yield Path(*Path(found).parts[: n_fixed + 1])
