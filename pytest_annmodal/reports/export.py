"""Exports stored cases in formats for other programs and papers.

A new format is a function here and its row in ``FORMATS``.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence

from pytest_annmodal.errors import ConfigurationError
from pytest_annmodal.reports import escape
from pytest_annmodal.reports.columns import COLUMNS, Value, record
from pytest_annmodal.reports.text_tables import latex, markdown
from pytest_annmodal.results.stored import StoredCase

Cases = Sequence[StoredCase]


def as_csv(cases: Cases) -> bytes:
    """Returns CSV (RFC 4180) with a header; no cell is a formula in a spreadsheet."""
    file = io.StringIO(newline="")
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(column.name for column in COLUMNS)
    for case in cases:
        writer.writerow(_cell(value) for value in record(case).values())
    return file.getvalue().encode()


def _cell(value: Value) -> str:
    if value is None:
        return ""
    return escape.csv_cell(value) if isinstance(value, str) else json.dumps(value)


def as_json(cases: Cases) -> bytes:
    """Returns a JSON list of objects; a number that is missing or not finite is null."""
    return json.dumps([record(case) for case in cases], indent=1, allow_nan=False).encode() + b"\n"


def as_parquet(cases: Cases) -> bytes:
    """Returns a Parquet file of one row group, with a type for each column.

    Raises:
        ConfigurationError: pyarrow is not installed.
    """
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError as error:
        raise ConfigurationError(
            "--format parquet needs pyarrow, which is not installed. Run `pip install pyarrow`, "
            "or choose csv or json."
        ) from error
    types = {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_()}
    schema = pa.schema([(column.name, types[column.kind]) for column in COLUMNS])
    file = io.BytesIO()
    parquet.write_table(pa.Table.from_pylist([*map(record, cases)], schema=schema), file)
    return file.getvalue()


FORMATS: Mapping[str, Callable[[Cases], bytes]] = {
    "csv": as_csv,
    "json": as_json,
    "parquet": as_parquet,
    "markdown": lambda cases: markdown(cases).encode(),
    "latex": lambda cases: latex(cases).encode(),
}
