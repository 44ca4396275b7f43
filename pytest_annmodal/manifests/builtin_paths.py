"""Where the built-in implementations lie, on whichever machine."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from pytest_annmodal.model import Implementation

PACKAGE = Path(__file__).parents[1]
BUILTIN = "builtin:"  # before a path inside this package, wherever that lies


def is_builtin(implementation: Implementation) -> bool:
    """Whether its file is in this package, so that every machine with the package has it."""
    return Path(implementation.path).is_relative_to(PACKAGE)


def portable(implementation: Implementation) -> Implementation:
    """A built-in as it is called on every machine; any other as it is."""
    if not is_builtin(implementation):
        return implementation
    inside = Path(implementation.path).relative_to(PACKAGE).as_posix()
    return dataclasses.replace(implementation, path=BUILTIN + inside, folder=None)


def is_portable(implementation: Implementation) -> bool:
    return implementation.path.startswith(BUILTIN)


def located(implementation: Implementation) -> Implementation:
    """The same with its file's path on this machine."""
    if not is_portable(implementation):
        return implementation
    path = PACKAGE / implementation.path.removeprefix(BUILTIN)
    return dataclasses.replace(implementation, path=str(path))
