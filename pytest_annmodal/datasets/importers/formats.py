"""The table of formats that vectors can be imported from.

To add one, write a row here with a function that returns a
:class:`~pytest_annmodal.datasets.importers.matrix.Matrix`, and its suffixes in
:mod:`pytest_annmodal.settings.suffixes`.
"""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pytest_annmodal.datasets.importers.matrix import Asked, Matrix, one_sentence
from pytest_annmodal.errors import ConfigurationError, DatasetError, DatasetFormatError
from pytest_annmodal.settings import suffixes

HERE = "pytest_annmodal.datasets.importers"


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """One file format.

    Attributes:
        name: a key of :data:`pytest_annmodal.settings.suffixes.BY_FORMAT`.
        opener: module and function that open it.
        checked: what is checked while it is read, for the docs.
        how: how it is read, for the docs.
    """

    name: str
    opener: str
    checked: str
    how: str

    @property
    def suffixes(self) -> tuple[str, ...]:
        """The suffixes of its files."""
        return suffixes.BY_FORMAT[self.name]

    def open(self, path: Path, asked: Asked) -> Matrix:
        module, _, function = self.opener.partition(":")
        opened: Callable[[Path, Asked], Matrix] = getattr(importlib.import_module(module), function)
        return opened(path, asked)


FORMATS = (
    Format(
        name=suffixes.VECS,
        opener=f"{HERE}.vecs:open_vecs",
        checked="the dimension of every row; the number of bytes",
        how="mapped; `.gz` is unpacked first",
    ),
    Format(
        name=suffixes.BINS,
        opener=f"{HERE}.bins:open_bin",
        checked="that the size fits the header, of 8 bytes or cuVS' 16; a truth may hold ids and "
        "then distances",
        how="mapped; `.bin` is float32, or a truth",
    ),
    Format(
        name=suffixes.NPY,
        opener=f"{HERE}.arrays:open_npy",
        checked="shape, type and the number of bytes; Python objects are refused",
        how="mapped, in C and in Fortran order",
    ),
    Format(
        name=suffixes.NPZ,
        opener=f"{HERE}.arrays:open_npz",
        checked="as for npy, and the archive's checksum",
        how="one member (`--key`), unpacked first",
    ),
    Format(
        name=suffixes.SAFETENSORS,
        opener=f"{HERE}.arrays:open_safetensors",
        checked="shape, type and place of the tensor",
        how="one tensor (`--key`), mapped; bfloat16 is converted",
    ),
    Format(
        name=suffixes.PARQUET,
        opener=f"{HERE}.parquet:open_parquet",
        checked="in every row the length of the vector, and that neither it nor a value is null",
        how="one column of lists (`--key`), batch by batch; needs the extra `parquet`",
    ),
    Format(
        name=suffixes.ARROW,
        opener=f"{HERE}.parquet:open_arrow",
        checked="as for Parquet",
        how="as for Parquet",
    ),
    Format(
        name=suffixes.HDF5,
        opener="pytest_annmodal.datasets.hdf5.other_names:open_hdf5",
        checked="as for a dataset: filters, missing chunks, links into other files",
        how="one array (`--key`), slice by slice",
    ),
    Format(
        name=suffixes.TEXT,
        opener=f"{HERE}.text:open_text",
        checked="the number of values and each value, in every line",
        how="read once; a header is recognised",
    ),
)


def format_of(path: Path) -> Format:
    """Returns the format of a file by its name.

    Raises:
        ConfigurationError: the suffix is unknown, or that of a pickle, which is unsafe to read.
    """
    suffix = suffixes.suffix_of(path.name)
    if suffix in suffixes.PICKLED:
        raise ConfigurationError(f"{path}: {suffixes.PICKLED[suffix]}")
    for row in FORMATS:
        if suffix in row.suffixes:
            return row
    every = ", ".join(end for row in FORMATS for end in row.suffixes)
    raise ConfigurationError(
        f"{path}: its suffix is not that of a known format; expected one of {every}."
    )


@contextlib.contextmanager
def opening(path: Path, of: str) -> Iterator[None]:
    """While a file is opened, by whatever library.

    Args:
        of: what a row of it is.

    Raises:
        DatasetFormatError: it is empty, damaged, or not what its name says.
        DatasetError: it is not there.
    """
    if not path.is_file():
        what = "it is a directory" if path.is_dir() else "there is no such file"
        raise DatasetError(f"{path}: {what}; expected a file of {of}s.")
    if path.stat().st_size == 0:
        raise DatasetFormatError(f"{path}: the file is empty; expected at least one {of}.")
    try:
        with one_sentence(path):
            yield
    except OSError as error:
        raise DatasetFormatError(
            f"{path}: it cannot be read ({error.strerror or error})."
        ) from error


def open_matrix(path: Path, asked: Asked) -> Matrix:
    """The vectors (or the ids of a truth) in one file.

    Raises:
        ConfigurationError: no format of the table, or its library is not installed.
        DatasetFormatError: it is damaged or not what its name says.
        DatasetError: it is not there.
    """
    row = format_of(path)
    with opening(path, "vector"):
        return row.open(path, asked)
