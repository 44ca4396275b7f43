"""Columns that stay in line, also where a name has characters that are two columns wide."""

from __future__ import annotations

from collections.abc import Sequence

GAP = "  "


def columns_of(text: str) -> int:
    """How many columns of a terminal a text takes: two for most of East Asia's characters."""
    from rich.cells import cell_len

    return len(text) if text.isascii() else cell_len(text)


def left(text: str, width: int) -> str:
    """At the left of so many columns, or as wide as it is."""
    return text + " " * (width - columns_of(text))


def right(text: str, width: int) -> str:
    return " " * (width - columns_of(text)) + text


def widths(rows: Sequence[Sequence[str]]) -> list[int]:
    """Of each column of a table, the columns of a terminal that its widest cell takes."""
    return [max(map(columns_of, cells)) for cells in zip(*rows, strict=True)]


def lines(rows: Sequence[Sequence[str]], sides: str) -> list[str]:
    """One line a row, all of them equally wide.

    Args:
        sides: a letter for each column: ``<`` puts it to the left, ``>`` to the right.
    """
    sizes = widths(rows)
    put = [left if side == "<" else right for side in sides]
    return [
        GAP.join(place(cell, size) for place, cell, size in zip(put, row, sizes, strict=True))
        for row in rows
    ]
