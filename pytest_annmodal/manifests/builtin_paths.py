"""Where the built-in implementations lie."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from pytest_annmodal.model import Implementation

PACKAGE = Path(__file__).parents[1]


BUILTIN = "builtin:"  # a path inside this package, wherever that lies


def located(implementation: Implementation) -> Implementation:
    """The same with its file's path on this machine."""
    path = implementation.path
    if not path.startswith(BUILTIN):
        return implementation
    return dataclasses.replace(implementation, path=str(PACKAGE / path.removeprefix(BUILTIN)))
