"""Vectors in a file of any format, read block by block from front to back."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_annmodal.datasets.hdf5.messages import few, printable
from pytest_annmodal.errors import AnnModalError, DatasetFormatError

BLOCK_BYTES = 16 * 2**20
Array = npt.NDArray[Any]
Floats32 = npt.NDArray[np.float32]
Blocks = Callable[[int, int], Iterator[Array]]
Take = Callable[[Path, Array, int], Array]  # of the file, rows of it, and the first row's number


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """How a file is to be opened.

    Attributes:
        scratch: a folder for unpacked files.
        closing: closes files that stay open while blocks are read.
        role: ``train``, ``test`` or ``truth``.
        keys: name of the array or column by role, for files with several; "" is for every role.
        ids: the column of row ids, or None.
        rows: the wanted rows [first, end); None: all.
    """

    scratch: Path
    closing: contextlib.ExitStack
    role: str = "train"
    keys: Mapping[str, str] = dataclasses.field(default_factory=dict)
    ids: str | None = None
    rows: tuple[int, int] | None = None

    @property
    def key(self) -> str | None:
        return self.keys.get(self.role) or self.keys.get("")

    def spooled(self, suffix: str) -> Path:
        """Returns the path of a new file in the scratch folder."""
        return self.scratch / f"{len(list(self.scratch.iterdir()))}{suffix}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Matrix:
    """The n rows of d numbers in one file.

    Attributes:
        dtype: of the numbers in the file.
        blocks: yields rows [first, end) as arrays (rows, dim) of any numeric dtype, in order.
        ids: int64 (n,), the file's ids of its rows, if they were asked for.
        more: other arrays of a truth: ``distances``.
    """

    path: Path
    n: int
    dim: int
    dtype: str
    blocks: Blocks
    ids: npt.NDArray[np.int64] | None = None
    more: Mapping[str, Array] = dataclasses.field(default_factory=dict)

    def floats(self, first: int, end: int) -> Iterator[Floats32]:
        """Yields rows [first, end) as finite float32.

        Raises:
            DatasetFormatError: the file is damaged, or a number is not finite.
        """
        return self.taken(first, end, finite_floats)

    def taken(self, first: int, end: int, take: Take) -> Iterator[Array]:
        """Yields rows [first, end) as converted by ``take``.

        Raises:
            DatasetFormatError: the file is damaged, or ``take`` refuses a row.
        """
        row = first
        for block in guarded(self.path, self.blocks(first, end)):
            yield take(self.path, block, row)
            row += len(block)
        if row != end:
            raise DatasetFormatError(
                f"{self.path}: it gave {row - first:,} rows; expected {end - first:,}. "
                "The file is damaged or was changed meanwhile: fetch it again."
            )

    def whole(self) -> Array:
        """Returns all rows in one array, unconverted."""
        return np.concatenate(list(guarded(self.path, self.blocks(0, self.n))))


def finite_floats(path: Path, block: Array, first: int) -> Floats32:
    """Converts rows to float32; the first of them is number ``first`` of the file.

    Raises:
        DatasetFormatError: a number is not finite, or beyond float32.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        values = np.asarray(block, dtype=np.float32)
        total = np.add.reduce(values, axis=None)  # NaN and infinity survive a sum
    if not np.isfinite(total):
        bad = np.flatnonzero(~np.isfinite(values).all(axis=1))
        if bad.size:
            column = int(np.argmin(np.isfinite(values[bad[0]])))
            raise DatasetFormatError(
                f"{path}: row {first + int(bad[0]):,}, column {column} holds "
                f"{block[bad[0], column]}; expected a finite number within float32. Remove or "
                "repair such rows."
            )
    return values


def guarded(path: Path, blocks: Iterator[Array]) -> Iterator[Array]:
    """Yields the same blocks, with library errors turned into a DatasetFormatError.

    Raises:
        DatasetFormatError: the file is damaged, or not of its format.
        OSError: the disk cannot be read or written.
    """
    with one_sentence(path):
        yield from blocks


@contextlib.contextmanager
def one_sentence(path: Path) -> Iterator[None]:
    """Turns any library error into a DatasetFormatError that names the file."""
    try:
        yield
    except (AnnModalError, GeneratorExit):
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        said = "".join(c if c.isprintable() else " " for c in str(error))[:200]
        raise DatasetFormatError(
            f"{path}: the file is damaged, cut off, or not what its name says "
            f"({type(error).__name__}: {said}). Fetch or write it again."
        ) from error


def rows_a_block(dim: int) -> int:
    return max(1, BLOCK_BYTES // (4 * dim))


def of_array(path: Path, values: Array, **fields: Any) -> Matrix:
    """Returns a matrix over an array (n, d), mapped or not."""
    require_shape(path, values.shape, values.dtype)

    def blocks(first: int, end: int) -> Iterator[Array]:
        step = rows_a_block(values.shape[1])
        for start in range(first, end, step):
            yield values[start : min(start + step, end)]

    n, dim = values.shape
    return Matrix(
        path=path, **{"n": n, "dim": dim, "dtype": values.dtype.str, "blocks": blocks, **fields}
    )


def require_shape(path: Path, shape: tuple[int, ...], dtype: Any, what: str = "the array") -> None:
    """Raises DatasetFormatError unless the array is a table of numbers and not empty."""
    kind = np.dtype(dtype)
    if kind.kind == "V" and kind.names is None:
        raise DatasetFormatError(f"{path}: {what} {opaque(kind.itemsize)}")
    if kind.kind not in "fiub" or kind.itemsize > 8:
        raise DatasetFormatError(
            f"{path}: {what} holds {kind}; expected floats or integers of at most 64 bits. "
            "Convert it."
        )
    if len(shape) != 2:
        raise DatasetFormatError(
            f"{path}: {what} has shape {shape}; expected two dimensions, one row per vector."
        )
    if 0 in shape:
        raise DatasetFormatError(
            f"{path}: {what} has shape {shape}; expected at least one row and one column."
        )


def opaque(size: int) -> str:
    """Returns the end of a message on values of an opaque type, with how to convert them."""
    if size == 2:
        said = "of 2 bytes, as bfloat16 arrays of ml_dtypes are written"
        line = '(values.view("<u2").astype("<u4") << 16).view("<f4")'
    elif size == 1:
        said = "of 1 byte, as float8 arrays of ml_dtypes are written"
        line = 'values.view(ml_dtypes.float8_e4m3fn).astype("<f4")'
    else:
        return f"holds opaque values of {size} bytes; expected floats or integers. Convert it."
    return (
        f"holds opaque values {said}; expected floats or integers. Write them as float32: {line}, "
        "where values is the array as read."
    )


def mapped_bytes(path: Path, file: Path | None = None) -> npt.NDArray[np.uint8]:
    """Maps the whole file for reading, as uint8.

    Args:
        path: the file that errors name.
        file: the unpacked file, if it had to be unpacked.

    Raises:
        DatasetFormatError: it is empty.
    """
    file = file or path
    if file.stat().st_size == 0:
        raise DatasetFormatError(f"{path}: the file is empty; expected at least one vector.")
    return np.memmap(file, np.uint8, "r")


def chosen(path: Path, asked: Asked, there: Mapping[str, str], kind: str) -> str:
    """Chooses an array or column: the one asked for, one named as the role, or the only one.

    Args:
        there: the possible ones, with a few words on each.
        kind: the format's word for them.

    Raises:
        DatasetFormatError: it is missing, or several are possible.
    """
    listed = few([f"{printable(name)} {words}".strip() for name, words in there.items()])
    if asked.key is not None:
        if asked.key in there:
            return asked.key
        raise DatasetFormatError(
            f"{path}: it has no {kind} {asked.key!r} that could be {asked.role}; it has "
            f"{listed or 'none that could'}."
        )
    known = [name for name in ROLE_NAMES[asked.role] if name in there]
    if known or len(there) == 1:
        return known[0] if known else next(iter(there))
    raise DatasetFormatError(
        f"{path}: which {kind} is {asked.role}? It has {listed or 'none that could be'}. "
        f"Choose with --key {asked.role}=NAME."
        if there
        else f"{path}: it has no {kind} that could be {asked.role}: expected rows of numbers."
    )


ROLE_NAMES: Mapping[str, tuple[str, ...]] = {
    "train": ("train", "base", "emb", "embedding", "embeddings", "vector", "vectors"),
    "test": ("test", "query", "queries", "emb", "embedding", "embeddings", "vector", "vectors"),
    "truth": ("neighbors", "neighbours", "truth", "ids", "knns", "neighbors_id", "groundtruth"),
}
