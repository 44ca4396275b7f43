"""Replaces characters that a terminal or file cannot show by the nearest ASCII.

If output is not UTF-8 (``LANG=C``, ``PYTHONIOENCODING=ascii``, Latin-1), Python raises at the first
character that it cannot write, and pytest then escapes a whole table into one line. Here each such
character is replaced alone, when it is written, so this covers every line printed in the session.
"""

from __future__ import annotations

import codecs
import sys
from collections.abc import Iterable
from typing import Any

NAME = "pytest-annmodal-nearest"
# Error handlers of a stream that are replaced by this one.
STRICT = ("strict", "surrogateescape", "backslashreplace")
NEAREST = {
    "µ": "u",
    "μ": "u",
    "×": "x",
    "÷": "/",
    "±": "+/-",
    "·": "|",
    "…": "...",
    "✓": "+",
    "✅": "[ok]",
    "❌": "[failed]",
    "⚠": "[!]",
    "\ufe0f": "",  # asks for the coloured form of the character before it
    "📦": "*",
    "📥": "*",
    "📤": "*",
    "💾": "*",
    **dict.fromkeys("‐‑‒–—−─━╌╍═╴╶╸╺╼╾", "-"),
    **dict.fromkeys("│┃║╵╷", "|"),
    **dict.fromkeys("‘’‚", "'"),
    **dict.fromkeys("“”„", '"'),
}
BOX_DRAWING = range(0x2500, 0x2580)


def replace(error: UnicodeError) -> tuple[str, int]:
    """Handles encoding errors, for ``codecs.register_error``."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(_nearest, error.object[error.start : error.end])), error.end


def _nearest(char: str) -> str:
    if char in NEAREST:
        return NEAREST[char]
    if ord(char) in BOX_DRAWING:
        return "+"
    return char.encode("ascii", "backslashreplace").decode("ascii")


def install(streams: Iterable[Any] = ()) -> None:
    """Makes this process's output and these streams replace characters they cannot write."""
    codecs.register_error(NAME, replace)
    for stream in (sys.__stdout__, sys.__stderr__, sys.stdout, sys.stderr, *streams):
        if getattr(stream, "errors", None) in STRICT and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors=NAME)
