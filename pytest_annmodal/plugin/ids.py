"""Test ids that are readable, at most 100 characters long, and the same in every run.

pytest 9 replaces an automatic id of more than 100 characters by a counter. So ids of cases are
given explicitly, and a long one is shortened within its settings.
"""

from __future__ import annotations

import hashlib

MAX_CHARS = 100  # as pytest shows it: non-ASCII characters count as their escapes
MAX_END = 48  # of the part after the settings: the dataset and k
CUT = "~"  # before the hash in a shortened id; no setting contains it


def short(text: str) -> str:
    """Returns the id, or a short form: its start, eight digits of its hash, its end (the dataset).

    ``hnsw[M=16,ef_constr~1b2c3d4e]-gist-960-euclidean-k10`` is cut inside the brackets.
    """
    if _length(text) <= MAX_CHARS:
        return text
    mark = CUT + hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()[:8]
    bracket = text.rfind("]")
    end = text[bracket:] if bracket >= 0 else ""
    if len(end) > MAX_END:
        end = end[0] + end[-MAX_END:]
    while _length(end) > MAX_CHARS // 2:
        end = end[1:]
    start = text[: MAX_CHARS - len(mark)]
    while _length(start + mark + end) > MAX_CHARS:
        start = start[:-1]
    return start + mark + end


def _length(text: str) -> int:
    return len(text.encode("unicode_escape"))
