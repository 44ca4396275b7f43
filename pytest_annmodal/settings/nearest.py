"""What may have been meant by a name that nothing has."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable
from pathlib import Path

MOST_SHOWN = 3
LEAST_ALIKE = 0.5  # of difflib's ratio, 1 for equal names
NEARLY_AS_ALIKE = 0.2  # below the best: what is farther off was not meant


def nearest_names(name: str, names: Iterable[str], *, before: str = "") -> str:
    """``; did you mean 'x' or 'y'?``, or a full stop: the end of a sentence.

    Args:
        before: what all of them begin with, and is shown: it makes no two names alike.
    """
    import difflib

    close = difflib.get_close_matches(name, list(names), n=MOST_SHOWN, cutoff=LEAST_ALIKE)
    alike = [difflib.SequenceMatcher(None, one, name).ratio() for one in close]
    meant = [one for one, it in zip(close, alike, strict=True) if it > alike[0] - NEARLY_AS_ALIKE]
    shown = " or ".join(repr(f"{before}{one}") for one in meant)
    return f"; did you mean {shown}?" if close else "."


def not_there(path: Path) -> str:
    """What is missing in the last folder on the way that is there, and what may be meant."""
    folder = next(place for place in path.parents if os.path.lexists(place))
    wanted = path.relative_to(folder)
    there = [item.name for item in folder.glob("*")]  # none, if it is a file or cannot be read
    near = "." if glob.has_magic(wanted.parts[0]) else nearest_names(wanted.parts[0], there)
    what = "nothing matches" if glob.has_magic(str(wanted)) else "there is no"
    return f"{what} {str(wanted)!r} in {folder}{near}"
