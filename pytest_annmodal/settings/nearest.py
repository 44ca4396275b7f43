"""Suggests existing names for one that does not exist."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable
from pathlib import Path

MOST_SHOWN = 3
LEAST_BEGUN = 3  # characters of a name that a longer one is suggested for
LEAST_ALIKE = 0.5  # of difflib's ratio, 1 for equal names
NEARLY_AS_ALIKE = 0.2  # how far below the best match a suggestion may be


def nearest_names(name: str, names: Iterable[str], *, before: str = "") -> str:
    """Returns the end of a sentence: ``; did you mean 'x' or 'y'?``, or a full stop.

    Args:
        before: a prefix of all names, which is shown but not compared.
    """
    import difflib

    known = list(names)
    if longer := _longer(name, known):
        return f"; did you mean {' or '.join(repr(f'{before}{one}') for one in longer)}?"
    close = difflib.get_close_matches(name, known, n=MOST_SHOWN, cutoff=LEAST_ALIKE)
    alike = [difflib.SequenceMatcher(None, one, name).ratio() for one in close]
    meant = [one for one, it in zip(close, alike, strict=True) if it > alike[0] - NEARLY_AS_ALIKE]
    shown = " or ".join(repr(f"{before}{one}") for one in meant)
    return f"; did you mean {shown}?" if close else "."


def _longer(name: str, names: Iterable[str]) -> list[str]:
    """Returns names that begin with the given one, in any case: ``sift-128-euclidean``."""
    begin = name.casefold()
    found = [one for one in names if one.casefold().startswith(begin)]
    return sorted(found)[:MOST_SHOWN] if len(begin) >= LEAST_BEGUN else []


def one_by_one(text: str, option: str) -> str:
    """Returns advice for names with commas between them, for the end of a message; or ""."""
    names = [part.strip() for part in text.split(",") if part.strip()]
    if "," not in text or "[" in text:
        return ""
    each = " ".join(f"{option} {name}" for name in names)
    return f" Write each name by itself: {each} (in an ini file with spaces between them)."


def not_there(path: Path) -> str:
    """Says which part of a path is missing in its deepest existing folder, with near names."""
    folder = next(place for place in path.parents if os.path.lexists(place))
    wanted = path.relative_to(folder)
    there = [item.name for item in folder.glob("*")]  # none, if it is a file or cannot be read
    near = "." if glob.has_magic(wanted.parts[0]) else nearest_names(wanted.parts[0], there)
    what = "nothing matches" if glob.has_magic(str(wanted)) else "there is no"
    return f"{what} {str(wanted)!r} in {folder}{near}"
