"""What messages about a file are made of."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pytest_annmodal.errors import DatasetFormatError

LONGEST_NAME = 80
MOST_NAMES = 8


def printable(text: str, longest: int = LONGEST_NAME) -> str:
    """Text out of a stranger's file, for a terminal: short, and nothing but characters."""
    shown = "".join(c if c.isprintable() else "?" for c in text[: longest + 1])
    return shown if len(shown) <= longest else f"{shown[:longest]}…"


def printable_path(path: str, longest: int = LONGEST_NAME) -> str:
    """A file's name out of a stranger's file: of a long one the end, which tells it from others."""
    shown = "".join(c if c.isprintable() else "?" for c in path[-longest:])
    return shown if len(path) <= longest else f"…{shown}"


def few(names: Sequence[str]) -> str:
    """The names, or the first of them."""
    more = len(names) - MOST_NAMES
    return ", ".join(names[:MOST_NAMES]) + (f" and {more:,} more" if more > 0 else "")


def damaged(path: Path, what: str) -> DatasetFormatError:
    return DatasetFormatError(
        f"{path}: the HDF5 file is damaged or cut off: {what}. Fetch or write it again."
    )
