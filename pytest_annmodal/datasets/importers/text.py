"""Reads CSV and TSV once, into a file of float64 that is then mapped."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pytest_annmodal.datasets.importers.matrix import Array, Asked, Matrix, of_array
from pytest_annmodal.errors import DatasetFormatError

LINES_BYTES = 4 * 2**20
DELIMITERS = ("\t", ",", ";", " ")
LONGEST_SHOWN = 40


def open_text(path: Path, asked: Asked) -> Matrix:
    """Reads the numbers of all lines; a first line that is not all numbers is a header."""
    target = asked.spooled(".f8")
    dim, n, line = 0, 0, 1
    try:
        with path.open(encoding="utf-8-sig", newline=None) as stream, target.open("wb") as out:
            delimiter: str | None = None
            begun = False
            while lines := stream.readlines(LINES_BYTES):
                if not begun:
                    blank = sum(1 for _ in itertools.takewhile(str.isspace, lines))
                    lines, line = lines[blank:], line + blank
                    begun = bool(lines)
                    delimiter = _delimiter(lines)
                    if begun and _is_header(path, _cells(lines[0], delimiter)):
                        lines, line = lines[1:], line + 1
                values = _numbers(path, lines, line, delimiter, dim)
                line += len(lines)
                if values.size:
                    n, dim = n + len(values), values.shape[1]
                    out.write(values.tobytes())
    except UnicodeDecodeError as error:
        raise DatasetFormatError(
            f"{path}: it is not text ({error.reason} near byte {error.start:,}); expected numbers "
            "in UTF-8, one vector per line."
        ) from error
    if n == 0:
        raise DatasetFormatError(
            f"{path}: it holds no line of numbers; expected one vector per line."
        )
    return of_array(path, np.memmap(target, "<f8", "r", shape=(n, dim)), dtype="text")


def _delimiter(lines: Sequence[str]) -> str | None:
    """Returns the first of ``DELIMITERS`` in a line of numbers; None: any white space."""
    full = [line for line in lines if line.strip()][:2]  # the second is never a header
    sample = full[-1].strip("\r\n") if full else ""
    found = next((sign for sign in DELIMITERS if sign in sample), None)
    return None if found == " " else found


def _cells(line: str, delimiter: str | None) -> list[str]:
    return line.strip("\r\n").split(delimiter)


def _is_header(path: Path, cells: Sequence[str]) -> bool:
    """Returns whether these are column names, or the 0, 1, 2, … of pandas for unnamed columns."""
    if cells[0] == "" and len(cells) > 1:
        raise DatasetFormatError(
            f"{path}: its first column has no name, like an index of pandas; expected only the "
            "columns of the vectors. Write it with to_csv(index=False)."
        )
    counting = len(cells) > 1 and list(cells) == [str(number) for number in range(len(cells))]
    return counting or not all(map(_is_number, cells))


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _numbers(
    path: Path, lines: Sequence[str], first: int, delimiter: str | None, dim: int
) -> Array:
    """Returns the lines' numbers, float64 (n, d); blank lines are skipped."""
    full = [line for line in lines if line.strip()]
    if not full:
        return np.empty((0, 0))
    try:
        values = np.loadtxt(full, delimiter=delimiter, comments=None, ndmin=2)
    except ValueError as error:
        _require_lines(path, lines, first, delimiter, dim)
        raise DatasetFormatError(
            f"{path}: lines {first:,} to {first + len(lines) - 1:,} cannot be read "
            f"({str(error)[:200]}); expected numbers."
        ) from error
    if dim and values.shape[1] != dim:
        _require_lines(path, lines, first, delimiter, dim)
    return np.ascontiguousarray(values, "<f8")


def _require_lines(
    path: Path, lines: Sequence[str], first: int, delimiter: str | None, dim: int
) -> None:
    """Raises DatasetFormatError for the first line that does not fit the lines before."""
    for number, line in enumerate(lines, start=first):
        if not line.strip():
            continue
        cells = _cells(line, delimiter)
        dim = dim or len(cells)
        if len(cells) != dim:
            raise DatasetFormatError(
                f"{path}: line {number:,} has {len(cells):,} values; expected {dim:,}, as in the "
                "lines before."
            )
        bad = next((i for i, cell in enumerate(cells) if not _is_number(cell)), None)
        if bad is not None:
            shown = "".join(c for c in cells[bad][:LONGEST_SHOWN] if c.isprintable())
            raise DatasetFormatError(
                f"{path}: line {number:,}, column {bad + 1} holds {shown!r}; expected a number. "
                "Keep only the columns of the vectors."
            )
