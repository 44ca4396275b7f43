"""What a name in a file leads to, without ever leaving the file.

HDF5 opens another file as soon as a name leads into it, whatever that file is. So names are
followed here, one link at a time.
"""

from __future__ import annotations

from typing import Any

import h5py

MOST_SOFT_LINKS = 16  # HDF5's own limit


class LinkOutError(Exception):
    """The name leads into another file; its argument is that file's name."""


def hard_path(container: Any, name: str) -> str | None:
    """The same place by hard links alone, which stay in the file; None if it leads nowhere.

    Raises:
        LinkOutError: there is an external link on the way.
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
