"""Ids that pytest shows and ``-k`` reads: readable, bounded, and equal from run to run.

pytest 9 puts a counter in the place of an automatic id of more than 100 characters. The ids of
cases are given explicitly, and what is too long loses some of its settings instead.
"""

from __future__ import annotations

import hashlib

MAX_CHARS = 100  # as pytest shows it: what is not ASCII counts as its escape
MAX_END = 48  # of what follows the settings: the dataset and k
CUT = "~"  # before what tells a shortened id from others; no setting is shown so


def short(text: str) -> str:
    """The id itself, or its start and its end (the dataset) with eight digits of its hash.

    ``hnsw[M=16,ef_constr~1b2c3d4e]-gist-960-euclidean-k10`` is cut inside of the brackets.
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
