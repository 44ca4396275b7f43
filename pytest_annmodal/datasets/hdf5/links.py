"""Follows the links of a name inside an HDF5 file, and stops at a link into another file.

HDF5 would open the other file, whatever it is. So names are followed here, link by link.
"""

from __future__ import annotations

from typing import Any

import h5py

MOST_SOFT_LINKS = 16  # HDF5's own limit


class LinkOutError(Exception):
    """The name leads into another file; its argument is that file's name."""


def hard_path(container: Any, name: str) -> str | None:
    """Returns the name's path by hard links alone, or None if it leads nowhere.

    Raises:
        LinkOutError: an external link is on the way.
    """
    done, ahead, n_soft = "", name.split("/"), 0
    while ahead:
        part = ahead.pop(0)
        if part in ("", "."):
            continue
        place = f"{done}/{part}"
        link = container.get(place, getlink=True) if _is_group(container, done) else None
        if isinstance(link, h5py.ExternalLink):
            raise LinkOutError(link.filename)
        if isinstance(link, h5py.SoftLink):
            n_soft += 1
            if n_soft > MOST_SOFT_LINKS:
                return None
            done = "" if link.path.startswith("/") else done
            ahead = link.path.split("/") + ahead
        elif link is None:
            return None
        else:
            done = place
    return done or "/"


def _is_group(container: Any, place: str) -> bool:
    return not place or isinstance(container[place], h5py.Group)
