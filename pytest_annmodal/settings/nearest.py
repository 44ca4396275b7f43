"""Suggests existing names for one that does not exist."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable
from pathlib import Path

MOST_SHOWN = 3
LEAST_ALIKE = 0.5  # of difflib's ratio, 1 for equal names
NEARLY_AS_ALIKE = 0.2  # how far below the best match a suggestion may be


def nearest_names(name: str, names: Iterable[str], *, before: str = "") -> str:
    """Returns the end of a sentence: ``; did you mean 'x' or 'y'?``, or a full stop.

    Args:
        before: a prefix of all names, which is shown but not compared.
    """
    import difflib

    close = difflib.get_close_matches(name, list(names), n=MOST_SHOWN, cutoff=LEAST_ALIKE)
    alike = [difflib.SequenceMatcher(None, one, name).ratio() for one in close]
    meant = [one for one, it in zip(close, alike, strict=True) if it > alike[0] - NEARLY_AS_ALIKE]
    shown = " or ".join(repr(f"{before}{one}") for one in meant)
    return f"; did you mean {shown}?" if close else "."


def not_there(path: Path) -> str:
    """Says which part of a path is missing in its deepest existing folder, with near names."""
    folder = next(place for place in path.parents if os.path.lexists(place))
    wanted = path.relative_to(folder)
    there = [item.name for item in folder.glob("*")]  # none, if it is a file or cannot be read
    near = "." if glob.has_magic(wanted.parts[0]) else nearest_names(wanted.parts[0], there)
    what = "nothing matches" if glob.has_magic(str(wanted)) else "there is no"
    return f"{what} {str(wanted)!r} in {folder}{near}"
