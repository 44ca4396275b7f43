"""Decides how imported rows are written: bytes unchanged, bits packed, all else as float32."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pytest_annmodal.datasets.importers.matrix import Array, Matrix, Take, finite_floats
from pytest_annmodal.distances import metrics
from pytest_annmodal.errors import DatasetFormatError

BYTES = {"|u1": "uint8", "|i1": "int8", "uint8": "uint8", "int8": "int8"}
SAMPLE_ROWS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """The form in which rows are written.

    Attributes:
        dtype: name of the numpy type.
        width: values of that type in a row.
        dim: numbers or bits of a row.
        take: converts rows of a file to this form, or raises DatasetFormatError.
        n_bits: bits of a packed row; None for rows that are not packed.
    """

    dtype: str
    width: int
    dim: int
    take: Take
    n_bits: int | None = None


def kept_as(metric: str, matrices: Sequence[Matrix]) -> Kept:
    """Returns how rows of these files are written for a metric."""
    layout, width = metrics.named(metric).layout, matrices[0].dim
    types = {BYTES.get(matrix.dtype) for matrix in matrices}
    if layout == "floats":
        name = types.pop() if len(types) == 1 else None
        if name is None:
            return Kept(dtype="float32", width=width, dim=width, take=finite_floats)
        return Kept(dtype=name, width=width, dim=width, take=_as_they_are)
    if types == {"uint8"} and max(map(_largest, matrices)) > 1:
        return Kept(dtype="uint8", width=width, dim=8 * width, take=_as_they_are, n_bits=8 * width)
    return Kept(dtype="uint8", width=-(-width // 8), dim=width, take=_packed, n_bits=width)


def _largest(matrix: Matrix) -> int:
    """Returns the largest byte of the first rows; above 1, bytes are eight packed bits."""
    return max(int(block.max()) for block in matrix.blocks(0, min(matrix.n, SAMPLE_ROWS)))


def _as_they_are(path: Path, block: Array, first: int) -> Array:
    return block


def _packed(path: Path, block: Array, first: int) -> Array:
    """Packs rows of one value per bit."""
    wrong = np.argwhere((block != 0) & (block != 1))
    if wrong.size:
        row, column = (int(i) for i in wrong[0])
        raise DatasetFormatError(
            f"{path}: row {first + row:,}, column {column} holds {block[row, column]}; expected 0 "
            "or 1 for each bit. Packed bits must be uint8 in the order of numpy.packbits."
        )
    return np.packbits(block != 0, axis=1)
