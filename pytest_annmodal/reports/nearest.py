"""Text for terminals and files that cannot take all of it: what they lack in the nearest ASCII.

Where output is not UTF-8 (``LANG=C``, ``PYTHONIOENCODING=ascii``, Latin-1), Python raises at the
first character that it cannot write, and pytest then escapes a whole table into one line. Here
each such character is replaced by itself, when it is written, so it holds for every line that
anybody prints in the session.
"""

from __future__ import annotations

import codecs
import sys
from collections.abc import Iterable
from typing import Any

NAME = "pytest-annmodal-nearest"
# How a stream may be set to do with what it cannot write, to be replaced here.
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
    """A handler of encoding errors, as ``codecs.register_error`` takes it."""
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
    """Have this process's output, and these streams, replace what they cannot write."""
    codecs.register_error(NAME, replace)
    for stream in (sys.__stdout__, sys.__stderr__, sys.stdout, sys.stderr, *streams):
        if getattr(stream, "errors", None) in STRICT and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors=NAME)
