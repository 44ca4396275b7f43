"""Builds the parts of messages about a file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pytest_annmodal.errors import DatasetFormatError

LONGEST_NAME = 80
MOST_NAMES = 8


def printable(text: str, longest: int = LONGEST_NAME) -> str:
    """Returns text from an untrusted file, cut short and with printable characters only."""
    shown = "".join(c if c.isprintable() else "?" for c in text[: longest + 1])
    return shown if len(shown) <= longest else f"{shown[:longest]}…"


def printable_path(path: str, longest: int = LONGEST_NAME) -> str:
    """Returns a path from an untrusted file likewise; a long one keeps its end."""
    shown = "".join(c if c.isprintable() else "?" for c in path[-longest:])
    return shown if len(path) <= longest else f"…{shown}"


def few(names: Sequence[str]) -> str:
    """Returns the names in one line, at most ``MOST_NAMES`` of them."""
    more = len(names) - MOST_NAMES
    return ", ".join(names[:MOST_NAMES]) + (f" and {more:,} more" if more > 0 else "")


def damaged(path: Path, what: str) -> DatasetFormatError:
    return DatasetFormatError(
        f"{path}: the HDF5 file is damaged or cut off: {what}. Fetch or write it again."
    )
