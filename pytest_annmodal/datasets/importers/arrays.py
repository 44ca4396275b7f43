"""Opens npy, npz and safetensors: arrays whose header gives their shape and type."""

from __future__ import annotations

import contextlib
import json
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from pytest_annmodal.datasets.importers.matrix import (
    Array,
    Asked,
    Matrix,
    chosen,
    mapped_bytes,
    of_array,
    require_shape,
    rows_a_block,
)
from pytest_annmodal.errors import DatasetFormatError

COPY_BYTES = 2**20
LONGEST_HEADER = 100 * 2**20  # the limit of safetensors itself
TENSORS = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "BF16": "<u2",
    "I64": "<i8",
    "I32": "<i4",
    "I16": "<i2",
    "I8": "|i1",
    "U64": "<u8",
    "U32": "<u4",
    "U16": "<u2",
    "U8": "|u1",
}


def open_npy(path: Path, asked: Asked) -> Matrix:
    """Maps the array."""
    return _npy(path, path)


def _npy(path: Path, file: Path) -> Matrix:
    """Maps the array of the npy ``file``; errors name ``path``."""
    shape, fortran, dtype, offset = _npy_header(path, file)
    require_shape(path, shape, dtype)
    n_bytes, there = shape[0] * shape[1] * dtype.itemsize, file.stat().st_size - offset
    if n_bytes != there:
        raise DatasetFormatError(
            f"{path}: its header says shape {shape} of {dtype}, which takes {n_bytes:,} bytes, but "
            f"{there:,} follow. It is cut off, or has extra bytes: write it again."
        )
    raw = np.memmap(file, np.uint8, "r")[offset:].view(dtype)
    return of_array(path, raw.reshape(shape, order="F" if fortran else "C"))


def _npy_header(path: Path, file: Path) -> tuple[tuple[int, ...], bool, Any, int]:
    readers = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    with file.open("rb") as stream:
        try:
            version = np.lib.format.read_magic(stream)
            shape, fortran, dtype = readers[version](stream)
        except (ValueError, KeyError, SyntaxError, TypeError, MemoryError, RecursionError) as error:
            raise DatasetFormatError(
                f"{path}: its header cannot be read ({str(error)[:200]!r}); expected an npy file "
                "of version 1 or 2. It is damaged: write it again."
            ) from error
        if dtype.hasobject:
            raise DatasetFormatError(
                f"{path}: it holds pickled Python objects, and reading these can run any code. "
                "Write numbers: "
                'np.save("vectors.npy", np.stack(objects).astype("f4")).'
            )
        return shape, fortran, dtype, stream.tell()


def open_npz(path: Path, asked: Asked) -> Matrix:
    """Unpacks one member into the scratch folder, checks its checksum and maps it."""
    with contextlib.ExitStack() as stack:
        try:
            archive = stack.enter_context(zipfile.ZipFile(path))
            names = {
                name.removesuffix(".npy"): ""
                for name in archive.namelist()
                if name.endswith(".npy")
            }
            target = asked.spooled(".npy")
            name = chosen(path, asked, names, "array")
            member = stack.enter_context(archive.open(f"{name}.npy"))
            with target.open("wb") as stream:
                shutil.copyfileobj(member, stream, COPY_BYTES)
        except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
            raise DatasetFormatError(
                f"{path}: it cannot be unpacked ({error}); expected a whole npz file that is not "
                "encrypted. Write it again."
            ) from error
    return _npy(path, target)


def open_safetensors(path: Path, asked: Asked) -> Matrix:
    """Maps one tensor; bfloat16 is converted while it is read."""
    raw = mapped_bytes(path)
    header, begin = _tensors(path, raw)
    two = {
        name: f"({entry['dtype']} {entry['shape']})"
        for name, entry in header.items()
        if len(entry["shape"]) == 2
    }
    entry = header[chosen(path, asked, two, "tensor")]
    kind, shape = entry["dtype"], tuple(entry["shape"])
    if kind not in TENSORS:
        raise DatasetFormatError(
            f"{path}: the tensor holds {kind}; expected one of {', '.join(TENSORS)}. Convert it."
        )
    dtype = np.dtype(TENSORS[kind])
    require_shape(path, shape, dtype, "the tensor")
    first, end = (begin + offset for offset in entry["data_offsets"])
    if end - first != shape[0] * shape[1] * dtype.itemsize or end > len(raw):
        raise DatasetFormatError(
            f"{path}: its header puts a tensor of shape {shape} and {kind} at bytes {first:,} to "
            f"{end:,} of {len(raw):,}, which does not fit. It is damaged: fetch it again."
        )
    values = raw[first:end].view(dtype).reshape(shape)
    return _of_bfloat16(path, values) if kind == "BF16" else of_array(path, values)


def _tensors(path: Path, raw: Array) -> tuple[dict[str, Any], int]:
    """Returns the header with its used fields checked, and where the data begin."""
    length = int(raw[:8].view("<u8")[0]) if len(raw) >= 8 else -1
    if not 2 <= length <= min(len(raw) - 8, LONGEST_HEADER):
        raise DatasetFormatError(
            f"{path}: its first 8 bytes give a header of {length:,} bytes, but the file has "
            f"{len(raw):,}; expected a safetensors file. It is damaged or cut off: fetch it again."
        )
    try:
        header = json.loads(raw[8 : 8 + length].tobytes())
        header.pop("__metadata__", None)
        for entry in header.values():
            numbers = [*entry["shape"], *entry["data_offsets"]]
            fits = all(type(number) is int and 0 <= number < 2**62 for number in numbers)
            if not fits or len(entry["data_offsets"]) != 2 or type(entry["dtype"]) is not str:
                raise ValueError(f"an entry is {entry}")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DatasetFormatError(
            f"{path}: its header is not one of safetensors ({str(error)[:200]!r}). It is damaged: "
            "fetch it again."
        ) from error
    return header, 8 + length


def _of_bfloat16(path: Path, values: Array) -> Matrix:
    """Converts bfloat16, the upper half of a float32, to float32 block by block."""

    def blocks(first: int, end: int) -> Iterator[Array]:
        step = rows_a_block(values.shape[1])
        for start in range(first, end, step):
            wide = values[start : min(start + step, end)].astype("<u4") << np.uint32(16)
            yield wide.view("<f4")

    return of_array(path, values, dtype="bfloat16", blocks=blocks)
