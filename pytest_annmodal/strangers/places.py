"""The files and folders of submissions, which pytest must neither import nor read."""

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
    """All paths that ``--submission`` names, found without reading any file.

    If a folder's name has a wildcard, as in ``submissions/*/index.py``, the whole folder counts:
    ``submissions/eve``.
    """

    def __init__(self, texts: Iterable[str]) -> None:
        self.roots = frozenset(
            form
            for text in texts
            for path in _handed_in(text)
            for form in (forms(str(path)) if str(path) == text else _roots(path))
        )
        # Python itself is trusted, even inside of a folder that is measured.
        own = {form for place in (sys.prefix, sys.base_prefix, PACKAGE) for form in forms(place)}
        self._trusted = frozenset(path for path in own if self._root(path) is not None)

    def holder(self, path: str | os.PathLike[str]) -> Path | None:
        """Returns the submission that a path is or lies in, or None."""
        for form in forms(os.fspath(path)):
            root = self._root(form)
            if root is not None and self._trusted.isdisjoint((form, *form.parents)):
                return root
        return None

    def unread(self) -> list[Path]:
        """Returns pytest's files in submissions, at most one folder deep; they are not read."""
        folders = (root for root in self.roots if root == root.resolve() and root.is_dir())
        found = (
            file
            for folder in folders
            for name in FOR_PYTEST
            for file in (folder / name, *folder.glob(f"*/{name}"))
        )
        return sorted(file for file in found if file.is_file() and not file.is_symlink())

    def directly_in(self, folder: str) -> bool:
        """Whether a submission lies directly in a folder, as a module or package."""
        return any(form == root.parent for form in forms(folder) for root in self.roots)

    def _root(self, path: Path) -> Path | None:
        return next((place for place in (path, *path.parents) if place in self.roots), None)


def forms(path: str | os.PathLike[str]) -> tuple[Path, ...]:
    """Returns the absolute path as written, and with links resolved."""
    return _forms(os.path.abspath(path))  # noqa: PTH100 -- links stay


def _roots(path: Path) -> tuple[Path, ...]:
    """Returns the forms of a match of a pattern; a link may lead anywhere and is not followed."""
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
