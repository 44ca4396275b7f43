"""Opens Parquet and Arrow IPC files with a column of lists (the extra ``parquet``)."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from pytest_annmodal.datasets.hdf5.messages import few, printable
from pytest_annmodal.datasets.importers.matrix import Array, Asked, Matrix, chosen, rows_a_block
from pytest_annmodal.errors import ConfigurationError, DatasetFormatError

FIRST_ROWS = 1024
MOST_SHOWN = 5
Columns = Callable[[str, int, int], Iterator[Any]]  # name, first row, rows of a piece


def open_parquet(path: Path, asked: Asked) -> Matrix:
    _pyarrow()
    import pyarrow.parquet as pq

    file = asked.closing.enter_context(pq.ParquetFile(path, memory_map=True))
    groups = [file.metadata.row_group(i).num_rows for i in range(file.metadata.num_row_groups)]

    def column(name: str, first: int, step: int) -> Iterator[Any]:
        done = 0
        for number, n_rows in enumerate(groups):
            skip = max(0, first - done)
            done += n_rows
            if skip >= n_rows:
                continue
            for batch in file.iter_batches(step, row_groups=[number], columns=[name]):
                piece = batch.column(0)
                yield piece.slice(skip)
                skip = max(0, skip - len(piece))

    return _matrix(path, asked, file.schema_arrow, file.metadata.num_rows, column)


def open_arrow(path: Path, asked: Asked) -> Matrix:
    """Opens the file and the stream format; batches are mapped."""
    pa = _pyarrow()
    mapped = asked.closing.enter_context(pa.memory_map(str(path), "r"))
    with path.open("rb") as stream:
        is_file = stream.read(6) == b"ARROW1"
    if is_file:
        reader = pa.ipc.open_file(mapped)
        batches = [reader.get_batch(i) for i in range(reader.num_record_batches)]
    else:
        reader = pa.ipc.open_stream(mapped)
        batches = list(reader)
    for batch in batches:
        batch.validate(full=True)

    def column(name: str, first: int, step: int) -> Iterator[Any]:
        done = 0
        for batch in batches:
            values = batch.column(name)
            for start in range(max(0, first - done), len(values), step):
                yield values.slice(start, step)
            done += len(values)

    return _matrix(path, asked, reader.schema, sum(map(len, batches)), column)


def _pyarrow() -> Any:
    try:
        import pyarrow as pa
    except ImportError as error:
        raise ConfigurationError(
            "Parquet and Arrow files need pyarrow: pip install 'pytest-annmodal[parquet]'"
        ) from error
    return pa


def _matrix(path: Path, asked: Asked, schema: Any, n: int, column: Columns) -> Matrix:
    there = {field.name: f"({field.type})" for field in schema if _is_vectors(field.type)}
    if not there:
        every = few([printable(f"{field.name} ({field.type})") for field in schema])
        raise DatasetFormatError(
            f"{path}: it has the columns {every or 'none'}; expected one of lists of numbers, one "
            "vector per row."
        )
    name = chosen(path, asked, there, "column")
    head = next(column(name, 0, FIRST_ROWS), None)
    if n == 0 or head is None or len(head) == 0:
        raise DatasetFormatError(f"{path}: it has no rows; expected at least one vector.")
    dim = _values(path, head, 0, 0).shape[1]

    def blocks(first: int, end: int) -> Iterator[Array]:
        row = first
        for piece in column(name, first, rows_a_block(dim)):
            if row >= end:
                break
            block = _values(path, piece.slice(0, end - row), row, dim)
            row += len(block)
            yield block

    dtype = str(schema.field(name).type.value_type)
    matrix = Matrix(path=path, n=n, dim=dim, dtype=dtype, blocks=blocks)
    if asked.ids is None or asked.role != "train":
        return matrix
    return dataclasses.replace(matrix, ids=_ids(path, asked.ids, schema, column))


def lists(path: Path, asked: Asked) -> Iterator[tuple[Array, Array]]:
    """Yields members and sizes of a Parquet column of lists of whole numbers, batch by batch.

    Raises:
        DatasetFormatError: there is no such column, or a row or number is null.
    """
    pa = _pyarrow()
    import pyarrow.parquet as pq

    with pq.ParquetFile(path, memory_map=True) as file:
        there = {
            field.name: f"({field.type})"
            for field in file.schema_arrow
            if _is_vectors(field.type) and pa.types.is_integer(field.type.value_type)
        }
        name, first = chosen(path, asked, there, "column of lists of whole numbers"), 0
        for batch in file.iter_batches(FIRST_ROWS, columns=[name]):
            piece = batch.column(0)
            if piece.null_count or piece.flatten().null_count:
                raise DatasetFormatError(
                    f"{path}: one of the {len(piece):,} rows from row {first:,} on is null or has "
                    "a null; expected a list of whole numbers in every row. Remove such rows."
                )
            flat: Array = piece.flatten().to_numpy(zero_copy_only=False)
            yield flat, piece.value_lengths().to_numpy(zero_copy_only=False)
            first += len(piece)


def _is_vectors(kind: Any) -> bool:
    import pyarrow as pa

    a_list = pa.types.is_list(kind) or pa.types.is_large_list(kind)
    if not (a_list or pa.types.is_fixed_size_list(kind)):
        return False
    value = kind.value_type
    return bool(pa.types.is_floating(value) or pa.types.is_integer(value))


def _values(path: Path, piece: Any, first: int, dim: int) -> Array:
    """Returns a column's vectors (n, d). Nulls are refused: flattening would drop them silently.

    Args:
        first: the number of its first row.
        dim: dimension of every vector, or 0 to take the first one's.
    """
    import pyarrow as pa

    if piece.null_count:
        rows = first + np.flatnonzero(piece.is_null().to_numpy(zero_copy_only=False))
        _refuse_rows(path, rows, piece.null_count, "null")
    if pa.types.is_fixed_size_list(piece.type):
        lengths = np.full(len(piece), piece.type.list_size)
        start = piece.offset * piece.type.list_size
    else:
        offsets = piece.offsets.to_numpy()
        lengths, start = np.diff(offsets), int(offsets[0])
    dim = dim or int(lengths[0])
    wrong = np.flatnonzero(lengths != dim)
    if wrong.size:
        raise DatasetFormatError(
            f"{path}: row {first + int(wrong[0]):,} has {int(lengths[wrong[0]]):,} numbers; "
            f"expected {dim:,}, as in row 0."
        )
    if dim == 0:
        raise DatasetFormatError(f"{path}: its vectors have no dimensions; expected at least one.")
    flat = piece.values.slice(start, len(piece) * dim)
    if flat.null_count:
        rows = first + np.flatnonzero(flat.is_null().to_numpy(zero_copy_only=False)) // dim
        _refuse_rows(path, np.unique(rows), len(np.unique(rows)), "a vector with a null in it")
    values: Array = flat.to_numpy(zero_copy_only=False)
    return values.reshape(len(piece), dim)


def _refuse_rows(path: Path, rows: Array, count: int, what: str) -> None:
    shown = ", ".join(f"{int(row):,}" for row in rows[:MOST_SHOWN])
    more = " and more" if count > MOST_SHOWN else ""
    raise DatasetFormatError(
        f"{path}: {what} in row {shown}{more}; expected a vector of numbers in every row. Remove "
        "such rows, from the truth too."
    )


def _ids(path: Path, name: str, schema: Any, column: Columns) -> Array:
    """Returns the column of row ids, int64 (n,)."""
    import pyarrow as pa

    if name not in schema.names or not pa.types.is_integer(schema.field(name).type):
        named = [field.name for field in schema if pa.types.is_integer(field.type)]
        raise DatasetFormatError(
            f"{path}: it has no column {name!r} of integers (--ids); it has "
            f"{few([printable(text) for text in named]) or 'none'}."
        )
    pieces = list(column(name, 0, 2**20))
    if any(piece.null_count for piece in pieces):
        raise DatasetFormatError(f"{path}: the column {name!r} (--ids) has nulls; expected ids.")
    ids = np.concatenate([piece.to_numpy(zero_copy_only=False) for piece in pieces])
    return np.asarray(ids, dtype=np.int64)
