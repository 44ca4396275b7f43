"""Imports sets for jaccard: members with sizes, scipy's CSR, lists, or rows of 0 and 1."""

from __future__ import annotations

import contextlib
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pytest_annmodal.datasets import hdf5
from pytest_annmodal.datasets.hdf5 import other_names
from pytest_annmodal.datasets.hdf5.skeleton import numbered_errors
from pytest_annmodal.datasets.hdf5.stored_rows import LARGEST_MEMBER
from pytest_annmodal.datasets.importers import parquet
from pytest_annmodal.datasets.importers.formats import format_of, open_matrix, opening
from pytest_annmodal.datasets.importers.inputs import chosen_rows, drawn_rows, identity, in_order
from pytest_annmodal.datasets.importers.matrix import Array, Asked
from pytest_annmodal.datasets.importers.reporter import ImportReporter
from pytest_annmodal.datasets.importers.request import Request
from pytest_annmodal.datasets.volume.stamp import hash_file
from pytest_annmodal.distances import exact
from pytest_annmodal.distances.rows import Sets, joined
from pytest_annmodal.errors import ConfigurationError, DatasetError, DatasetFormatError
from pytest_annmodal.settings import suffixes

CSR = ("data", "indices", "indptr", "shape")


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The sets of one file; ``dim`` is the number of possible members, 0 if unknown."""

    sets: Sets
    dim: int


def open_sets(path: Path, asked: Asked) -> Found:
    """Reads all sets of a file.

    Raises:
        ConfigurationError: the format is unknown, or its library is not installed.
        DatasetFormatError: it is damaged, or holds no sets.
        DatasetError: it does not exist.
    """
    reader = _READERS.get(format_of(path).name)
    with opening(path, "set"):
        found = reader(path, asked) if reader is not None else None
    return found or _of_ones(path, asked)


def write_sets(request: Request, target: Path, scratch: Path, reporter: ImportReporter) -> str:
    """Writes a dataset of sets to ``target``; returns its sha256. Holds all sets in memory.

    Raises:
        ConfigurationError, DatasetError: the import is not possible, with the reason.
        OSError: a disk cannot be written; its errno is set.
    """
    if request.truth is not None:
        raise ConfigurationError("--truth: the truth of sets is always computed. Leave it out.")
    reporter.reading(True)
    before = [(Path(name), identity(Path(name))) for name in request.files]
    with contextlib.ExitStack() as closing:
        train, test, dim, attrs = _parts(request, scratch, closing, reporter)
    for path, was in before:
        if identity(path) != was:
            raise DatasetError(
                f"{path}: it was changed while it was read. Try again when nobody writes to it."
            )
    reporter.reading(False)
    k = min(request.truth_k, len(train))
    reporter.line(f"Searching the {k} nearest of {len(test):,} queries exactly...")
    ids, distances = exact.knn(train, test, k, request.metric)
    with numbered_errors():
        hdf5.write(
            target,
            train=train,
            test=test,
            neighbors=ids.astype(np.int32),
            distances=distances,
            metric=request.metric,
            dim=dim,
            **attrs,
        )
    return hash_file(target)


def _parts(
    request: Request, scratch: Path, closing: contextlib.ExitStack, reporter: ImportReporter
) -> tuple[Sets, Sets, int, dict[str, str | float]]:
    """Returns train, test, the number of possible members, and the file's attributes."""

    def opened(name: str, role: str) -> Found:
        asked = Asked(scratch=scratch, closing=closing, role=role, keys=request.keys)
        return open_sets(Path(name), asked)

    names, notes = in_order(request.train)
    found = [opened(name, "train") for name in names]
    train = joined([one.sets for one in found])
    first, end = chosen_rows(request, len(train), Path(names[0]))
    called = ", ".join(request.called or (Path(name).name for name in request.files))
    attrs: dict[str, str | float] = {"source": f"imported by pytest-annmodal from {called}"}
    if request.test is not None:
        found.append(opened(request.test, "test"))
        train, test = train[first:end], found[-1].sets
    else:
        out = drawn_rows(request, first, end)
        stay = np.setdiff1d(np.arange(first, end), out, assume_unique=True)
        train, test = train[stay], train[out]
        attrs["held_out"] = len(out)
        notes += (
            f"Held out {len(out):,} sets, drawn at random, as queries: train has the others.",
        )
    if not len(train.members):
        raise DatasetFormatError(
            f"{names[0]}: all its sets are empty, so that all are equally near; expected members. "
            "Its writer failed: write it again."
        )
    for note in notes:
        reporter.line(note)
    largest = 1 + max(int(sets.members.max(initial=0)) for sets in (train, test))
    return train, test, max(largest, *(one.dim for one in found)), attrs


def _hdf5(path: Path, asked: Asked) -> Found | None:
    """Reads ann-benchmarks' layout; None if the array is not one run of members."""
    run = other_names.open_run(path, asked)
    return run and Found(sets=_checked(path, run[0], run[1]), dim=run[2])


def _npz(path: Path, asked: Asked) -> Found | None:
    """Reads what ``scipy.sparse.save_npz`` writes; None if the file is not of that kind."""
    with zipfile.ZipFile(path) as archive:
        there = {name.removesuffix(".npy") for name in archive.namelist()}
    if "format" not in there or "shape" not in there:
        return None
    with np.load(path, allow_pickle=False) as held:
        kind = held["format"].item()
        if kind not in {b"csr", "csr"}:
            said = kind.decode(errors="replace") if isinstance(kind, bytes) else kind
            raise DatasetFormatError(
                f"{path}: it holds a sparse matrix as {said!r}; expected csr. Write it again: "
                "scipy.sparse.save_npz(FILE, matrix.tocsr())."
            )
        data, indices, edges, shape = (held[name] for name in CSR)
    _require_whole(path, indices, edges)
    fits = edges.ndim == 1 and shape.shape == (2,) and len(edges) == shape[0] + 1
    if not fits or data.shape != indices.shape or edges[0] != 0:
        raise DatasetFormatError(
            f"{path}: its indptr, indices and data do not fit its shape. It is damaged: write it "
            "again."
        )
    wrong = np.flatnonzero(data != 1)
    if wrong.size:
        raise DatasetFormatError(
            f"{path}: its matrix holds {data[wrong[0]]}; expected 1 for each member of a set. "
            "Convert it: matrix.eliminate_zeros(); matrix.data[:] = 1."
        )
    return Found(sets=_checked(path, indices, np.diff(edges), int(shape[1])), dim=int(shape[1]))


def _lists(path: Path, asked: Asked) -> Found:
    """Reads a column of lists of whole numbers, one set per row."""
    pieces = list(parquet.lists(path, asked))
    if not pieces:
        raise _no_rows(path)
    members, sizes = (np.concatenate(parts) for parts in zip(*pieces, strict=True))
    return Found(sets=_checked(path, members, sizes), dim=0)


def _of_ones(path: Path, asked: Asked) -> Found:
    """Reads a row of 0 and 1 for each set."""
    matrix = open_matrix(path, asked)

    def taken(_: Path, block: Array, first: int) -> Array:
        wrong = np.argwhere((block != 0) & (block != 1))
        if wrong.size:
            row, column = (int(i) for i in wrong[0])
            raise DatasetFormatError(
                f"{path}: row {first + row:,}, column {column} holds {block[row, column]}; "
                "expected 0 or 1 for each possible member. Sets may also be an HDF5 file "
                "with train and size_train, scipy's CSR as .npz, or a Parquet column of lists of "
                "integers (docs/datasets.md)."
            )
        return block

    parts = [Sets.from_matrix(block) for block in matrix.taken(0, matrix.n, taken)]
    return Found(sets=joined(parts), dim=matrix.dim)


def _no_rows(path: Path) -> DatasetFormatError:
    return DatasetFormatError(f"{path}: it has no rows; expected at least one set.")


def _require_whole(path: Path, *arrays: Array) -> None:
    for array in arrays:
        if array.dtype.kind not in "iu":
            raise DatasetFormatError(
                f"{path}: members or sizes are {array.dtype}; expected whole numbers."
            )


def _checked(path: Path, members: Array, sizes: Array, dim: int = LARGEST_MEMBER) -> Sets:
    """Returns sets. Raises DatasetFormatError: sizes do not add up, or a member is out of range."""
    _require_whole(path, members, sizes)
    counts = sizes.astype(np.int64)
    if members.ndim != 1 or counts.ndim != 1:
        raise DatasetFormatError(
            f"{path}: members have shape {members.shape} and sizes {counts.shape}; expected one "
            "run of numbers each."
        )
    if not len(counts):
        raise _no_rows(path)
    if (counts < 0).any() or counts.sum() != len(members):
        raise DatasetFormatError(
            f"{path}: its sizes add up to {int(counts.sum()):,}, but there are {len(members):,} "
            "members. The file is cut off, or its writer failed: write it again."
        )
    wrong = np.flatnonzero((members < 0) | (members >= dim))
    if wrong.size:
        row = int(np.searchsorted(np.cumsum(counts), wrong[0], side="right"))
        raise DatasetFormatError(
            f"{path}: set {row:,} has the member {members[wrong[0]]}; expected members from 0 to "
            f"{dim - 1:,}. Renumber them."
        )
    return Sets.from_flat(members, counts)


_READERS: dict[str, Callable[[Path, Asked], Found | None]] = {
    suffixes.HDF5: _hdf5,
    suffixes.NPZ: _npz,
    suffixes.PARQUET: _lists,
}
