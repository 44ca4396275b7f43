"""Names of files in ASCII, for test ids, file names and the service."""

from __future__ import annotations

import re

# Letters that Unicode does not decompose into an ASCII letter and its marks.
WRITTEN = str.maketrans(
    {"ß": "ss", "æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE", "ø": "o", "Ø": "O"}
    | {"ł": "l", "Ł": "L", "đ": "d", "Đ": "D", "ı": "i"}
)


def plain(text: str, *, instead: str = "-") -> str:
    """Returns a text in letters of ``A-Za-z0-9._-``.

    Letters lose their accents (``Zoë`` becomes ``Zoe``), and those of other scripts become their
    numbers in Unicode (``张三`` becomes ``u5f20u4e09``), so that other names stay other names.

    Args:
        instead: stands for each run of other characters.
    """
    if not text.isascii():
        import unicodedata  # few names need it

        whole = unicodedata.normalize("NFC", text).translate(WRITTEN)
        text = "".join(map(_letter, whole))
    return re.sub(r"[^A-Za-z0-9._-]+", instead, text)


def _letter(char: str) -> str:
    import unicodedata

    base = unicodedata.normalize("NFKD", char)[0]
    if base.isascii() or not char.isalnum():
        return "" if unicodedata.category(char) == "Mn" else base
    return f"u{ord(char):x}"
