"""A guard on Python's imports: no module of this process comes from a submission.

Python may look for modules where submissions lie: pytest puts the folders of tests and conftest
files on its path, ``python -m pytest`` and ``PYTHONPATH=.`` the folder they are started in.
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
    """The first of Python's finders: passes over what was handed in, as if it were not there."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self._suspect: dict[str, bool] = {}  # folder: whether a submission's module can be there

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
        """Nothing, which lets the other finders look, unless they might find a submission.

        Raises:
            ModuleNotFoundError: a submission is all that has the name.
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
        """Whether a submission's file would be the module, looked for in this folder."""
        try:
            return self._held(PathFinder.find_spec(fullname, [folder]))
        except KeyError:  # a folder without __init__.py whose own parent is not imported yet
            name = fullname.rpartition(".")[2]
            return self._places.holder(os.path.join(folder, name)) is not None  # noqa: PTH118

    def _held(self, spec: ModuleSpec | None) -> bool:
        if spec is None:
            return False
        where = [spec.origin] if spec.has_location else spec.submodule_search_locations
        return any(self._places.holder(place) for place in where or () if place)


def imported_already(places: Places) -> tuple[str, str] | None:
    """The name and file of a module that came from a submission before there was a guard."""
    for name, module in sorted(sys.modules.items()):
        spec: Any = getattr(module, "__spec__", None)
        # The origin of a module without a place is a word, such as "built-in", and no path.
        origin = getattr(spec, "origin", None) if getattr(spec, "has_location", False) else None
        file = getattr(module, "__file__", None) or origin
        if name != "__main__" and isinstance(file, str) and places.holder(file):
            return name, file
    return None
