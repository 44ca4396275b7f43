r"""Escapes text of submissions for each place where it is shown.

Names, exception texts, log lines and file names may come from a submission. Every character that
does not print becomes its escape (``\x1b``, ``\u202e``), so that nothing moves a cursor, reorders a
line or breaks XML; then each format's own characters are escaped.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from pytest_annmodal.settings.names import plain

MAX_LINE = 500
MAX_TOLD = 4000  # of a first line, which may contain a list of paths
MAX_BLOCK_LINES = 200
MAX_FILE_NAME = 80
CUT = "…"
BAR = "| "  # before lines of a submission
# A spreadsheet runs a cell that begins with one of these; some also accept the wide forms.
FORMULA_STARTS = tuple("=+-@\t\r＝＋－＠")
_MARKDOWN = re.compile(r"([\\`*_\[\]<>#|~&@$])")
# ``##[error]`` (GitHub), ``##vso[…]`` (Azure), ``##teamcity[…]``: anywhere in a line.
_BRACKETED = re.compile(r"##(?=\w*\[)")
_FIRST = re.compile(r"(?m)^(\s*):(?=:)")  # ``::error::`` (GitHub), at the start of a line
_LINKS = re.compile(r"(?i):(?=//|\w+:)|(?<=\bwww)\.")  # bare addresses and :emoji: too
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)


def visible(text: str, *, keep: str = "") -> str:
    """Replaces characters that do not print by their escapes, except those in ``keep``."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() or char in keep else _escape(char) for char in text)


def _escape(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")


def printable(text: str) -> str:
    """Replaces each character that does not print by a question mark, so the width stays."""
    return "".join(char if char.isprintable() else "?" for char in text)


def line(text: object, limit: int = MAX_LINE) -> str:
    """Returns one line of at most ``limit`` characters, with newlines turned into spaces.

    It contains no command to a CI runner.
    """
    words = without_commands(visible(" ".join(str(text)[: 8 * limit].split())))
    return words if len(words) <= limit else words[: limit - 1] + CUT


def block(text: object, *, max_lines: int = MAX_BLOCK_LINES, last: bool = False) -> str:
    """Returns at most ``max_lines`` lines, each of bounded length; with ``last`` the last ones."""
    lines = str(text).replace("\r\n", "\n").split("\n")
    if len(lines) > max_lines:
        lines = [CUT, *lines[-max_lines:]] if last else [*lines[:max_lines], CUT]
    return "\n".join(_bounded(visible(item.expandtabs(4))) for item in lines)


def _bounded(text: str, limit: int = MAX_LINE) -> str:
    return text if len(text) <= limit else text[: limit - 1] + CUT


def terminal(text: object, *, max_lines: int = MAX_BLOCK_LINES, last: bool = False) -> str:
    """Escapes text for a terminal or a CI log: no control characters, no commands to a runner.

    CI runners interpret some lines of a log as commands: see the patterns above.
    """
    return without_commands(block(text, max_lines=max_lines, last=last))


def without_commands(safe: str) -> str:
    """Changes printable text so that a CI runner finds no command in it."""
    return _BRACKETED.sub("## ", _FIRST.sub(r"\1: ", safe))


def quoted(text: object, *, max_lines: int = MAX_BLOCK_LINES, last: bool = False) -> str:
    """Escapes text of a submission for a terminal, with each line behind a bar.

    So no line of it can look like one of pytest (``PASSED …``, ``==== 1 passed ====``) or ours.
    """
    safe = terminal(text, max_lines=max_lines, last=last)
    return "\n".join(f"{BAR}{item}".rstrip() for item in safe.split("\n"))


def told(text: object) -> str:
    """Escapes a message that begins with our words: further lines go behind a bar."""
    first, newline, more = str(text).partition("\n")
    safe = without_commands(_bounded(visible(first.expandtabs(4)), MAX_TOLD))
    return f"{safe}\n{quoted(more)}" if newline else safe


def markdown(text: object, limit: int = MAX_LINE) -> str:
    """Escapes text for a Markdown paragraph or cell: one line without markup or links."""
    safe = _MARKDOWN.sub(r"\\\1", line(text, limit))
    safe = _LINKS.sub(r"\\\g<0>", safe)
    return re.sub(r"^(\s*\d*)([-+.=)])", r"\1\\\2", safe)  # a list, a rule, a heading underlined


def csv_cell(text: object) -> str:
    """Escapes text for a CSV cell in a spreadsheet: one line, never a formula."""
    safe = line(text)
    return f"'{safe}" if safe.startswith(FORMULA_STARTS) else safe


def file_name(text: str) -> str:
    """Returns a file name without a suffix: ``A-Z a-z 0-9 . _ -``, not hidden, not a device."""
    safe = plain(text)[:MAX_FILE_NAME].strip("-.")
    return f"_{safe}" if not safe or _RESERVED.fullmatch(safe) else safe


def file_names(texts: Iterable[str]) -> dict[str, str]:
    """Returns a file name for each text, distinct also if case is ignored."""
    taken: set[str] = set()
    names: dict[str, str] = {}
    for text in dict.fromkeys(texts):
        name = base = file_name(text)
        number = 1
        while name.casefold() in taken:
            number += 1
            name = f"{base}-{number}"
        taken.add(name.casefold())
        names[text] = name
    return names
