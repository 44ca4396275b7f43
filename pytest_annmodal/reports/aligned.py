"""Aligns the columns of text tables, also for characters that are two columns wide."""

from __future__ import annotations

from collections.abc import Sequence

GAP = "  "


def columns_of(text: str) -> int:
    """Returns how many terminal columns a text takes: two for most East Asian characters."""
    from rich.cells import cell_len

    return len(text) if text.isascii() else cell_len(text)


def left(text: str, width: int) -> str:
    """Returns the text padded on the right to ``width`` columns."""
    return text + " " * (width - columns_of(text))


def right(text: str, width: int) -> str:
    return " " * (width - columns_of(text)) + text


def widths(rows: Sequence[Sequence[str]]) -> list[int]:
    """Returns, for each column of a table, the width of its widest cell in terminal columns."""
    return [max(map(columns_of, cells)) for cells in zip(*rows, strict=True)]


def lines(rows: Sequence[Sequence[str]], sides: str) -> list[str]:
    """Returns one line for each row, all of equal width.

    Args:
        sides: a letter for each column: ``<`` aligns it left, ``>`` right.
    """
    sizes = widths(rows)
    put = [left if side == "<" else right for side in sides]
    return [
        GAP.join(place(cell, size) for place, cell, size in zip(put, row, sizes, strict=True))
        for row in rows
    ]
