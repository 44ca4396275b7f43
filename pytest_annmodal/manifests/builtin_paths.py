"""Converts paths of built-in implementations between machines."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from pytest_annmodal.model import Implementation

PACKAGE = Path(__file__).parents[1]
BUILTIN = "builtin:"  # prefix of a path relative to this package


def is_builtin(implementation: Implementation) -> bool:
    """Returns whether its file is in this package, so that every machine has it."""
    return Path(implementation.path).is_relative_to(PACKAGE)


def portable(implementation: Implementation) -> Implementation:
    """Returns a built-in with its path relative to this package; any other unchanged."""
    if not is_builtin(implementation):
        return implementation
    inside = Path(implementation.path).relative_to(PACKAGE).as_posix()
    return dataclasses.replace(implementation, path=BUILTIN + inside, folder=None)


def is_portable(implementation: Implementation) -> bool:
    return implementation.path.startswith(BUILTIN)


def located(implementation: Implementation) -> Implementation:
    """Returns the implementation with its file's path on this machine."""
    if not is_portable(implementation):
        return implementation
    path = PACKAGE / implementation.path.removeprefix(BUILTIN)
    return dataclasses.replace(implementation, path=str(path))
