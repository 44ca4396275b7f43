"""Keeps this process from importing a module from a submission.

Submissions may be on Python's path: pytest adds the folders of tests and conftest files to it,
``python -m pytest`` and ``PYTHONPATH=.`` add the current folder.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

from pytest_annmodal.strangers.places import Places


class Guard:
    """The first of Python's finders; it makes files of submissions invisible to imports."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self._suspect: dict[str, bool] = {}  # folder: whether it may hold a submission's module

    def install(self) -> None:
        sys.meta_path.insert(0, self)

    def remove(self) -> None:
        if self in sys.meta_path:
            sys.meta_path.remove(self)

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None = None,
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        """Returns None, so that the other finders search, unless they would find a submission.

        Raises:
            ModuleNotFoundError: only a submission has a module of this name.
        """
        folders = [str(folder) for folder in (sys.path if path is None else path)]
        suspects = [folder for folder in folders if self._is_suspect(folder)]
        held = {folder for folder in suspects if self._would_find(fullname, folder)}
        if not held:
            return None
        others = [folder for folder in folders if folder not in held]
        for finder in [item for item in sys.meta_path if item is not self]:
            if finder is PathFinder:
                spec = PathFinder.find_spec(fullname, others, target)
            else:
                spec = finder.find_spec(fullname, path, target)
            if spec is not None and not self._held(spec):
                return spec
        raise ModuleNotFoundError(
            f"No module named {fullname!r} (one lies in a submission: {', '.join(sorted(held))})",
            name=fullname,
        )

    def _is_suspect(self, folder: str) -> bool:
        place = os.path.abspath(folder)  # noqa: PTH100 -- an empty entry is the working directory
        if place not in self._suspect:
            within = self._places.holder(place) is not None
            self._suspect[place] = within or self._places.directly_in(place)
        return self._suspect[place]

    def _would_find(self, fullname: str, folder: str) -> bool:
        """Whether this folder would give the module from a submission's file."""
        try:
            return self._held(PathFinder.find_spec(fullname, [folder]))
        except KeyError:  # a folder without __init__.py whose parent is not imported yet
            name = fullname.rpartition(".")[2]
            return self._places.holder(os.path.join(folder, name)) is not None  # noqa: PTH118

    def _held(self, spec: ModuleSpec | None) -> bool:
        if spec is None:
            return False
        where = [spec.origin] if spec.has_location else spec.submodule_search_locations
        return any(self._places.holder(place) for place in where or () if place)


def imported_already(places: Places) -> tuple[str, str] | None:
    """Returns name and file of a module that was imported from a submission, or None."""
    for name, module in sorted(sys.modules.items()):
        spec: Any = getattr(module, "__spec__", None)
        # The origin of a module without a file is a word such as "built-in", not a path.
        origin = getattr(spec, "origin", None) if getattr(spec, "has_location", False) else None
        file = getattr(module, "__file__", None) or origin
        if name != "__main__" and isinstance(file, str) and places.holder(file):
            return name, file
    return None
