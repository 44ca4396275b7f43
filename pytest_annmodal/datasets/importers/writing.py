"""Writes vectors and truth of other files into one dataset file, in bounded memory."""

from __future__ import annotations

import contextlib
import hashlib
import shutil
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from pytest_annmodal.datasets.hdf5.skeleton import Shapes, write_skeleton
from pytest_annmodal.datasets.hdf5.stored_rows import attributes
from pytest_annmodal.datasets.importers import given_truth
from pytest_annmodal.datasets.importers.formats import open_matrix
from pytest_annmodal.datasets.importers.inputs import Inputs, open_inputs, whole_test
from pytest_annmodal.datasets.importers.kept import kept_as
from pytest_annmodal.datasets.importers.matrix import Array, Asked
from pytest_annmodal.datasets.importers.nearest import nearest
from pytest_annmodal.datasets.importers.reporter import ImportReporter
from pytest_annmodal.datasets.importers.request import Request
from pytest_annmodal.datasets.importers.sets import write_sets
from pytest_annmodal.datasets.volume.stamp import hash_file
from pytest_annmodal.distances import metrics
from pytest_annmodal.errors import DatasetError, DatasetFormatError

Floats32 = npt.NDArray[np.float32]


class _Written:
    """Writes the target and hashes it at the same time; both take about as long."""

    def __init__(self, path: Path, stream: BinaryIO, pool: ThreadPoolExecutor) -> None:
        self._path, self._stream, self._pool = path, stream, pool
        self._digest: Any = hashlib.sha256()
        self._last: Future[None] | None = None
        self._in_order = True

    def write_at(self, offset: int, values: Array) -> None:
        """Writes values at an offset, and hashes the bytes between the last write and it."""
        self._in_order = self._in_order and offset >= self._stream.tell()
        if self._in_order:
            self._hash(self._stream.read(offset - self._stream.tell()))
        self._stream.seek(offset)
        self.write(values)

    def write(self, values: Array) -> None:
        raw = np.ascontiguousarray(values).reshape(-1).view(np.uint8).data
        self._hash(raw)
        self._stream.write(raw)

    def _hash(self, raw: Any) -> None:
        if self._last is not None:
            self._last.result()
        self._last = self._pool.submit(self._digest.update, raw)

    def sha256(self) -> str:
        """Returns the sha256 of the whole file, hex."""
        self._hash(self._stream.read())
        self._stream.flush()
        if not self._in_order:  # HDF5 may put small arrays before others
            return hash_file(self._path)
        if self._last is not None:
            self._last.result()
        return str(self._digest.hexdigest())


def write_dataset(request: Request, target: Path, scratch: Path, reporter: ImportReporter) -> str:
    """Writes the dataset file ``target``; returns its sha256.

    Args:
        scratch: an empty folder for unpacked files.

    Raises:
        ConfigurationError, DatasetError: the import is not possible, with the reason.
        OSError: a disk cannot be written.
    """
    if metrics.named(request.metric).layout == "sets":
        return write_sets(request, target, scratch, reporter)
    with contextlib.ExitStack() as closing:
        reporter.reading(True)
        inputs = open_inputs(request, scratch, closing)
        truth = given_truth.read(inputs, request) if inputs.truth is not None else None
        for note in inputs.notes:
            reporter.line(note)
        k = min(request.truth_k, inputs.train.n) if truth is None else truth.ids.shape[1]
        n, m, kept = inputs.train.n, inputs.n_queries, inputs.train.kept
        stored = np.dtype(kept.dtype).newbyteorder("<").str
        shapes = {
            "train": ((n, kept.width), stored),
            "test": ((m, kept.width), stored),
            "neighbors": ((m, k), "<i4" if n < 2**31 else "<i8"),
            "distances": ((m, k), "<f4"),
        }
        _require_room(target, shapes)
        offsets = write_skeleton(target, shapes, request.metric, _attributes(request, inputs))
        with ThreadPoolExecutor(1) as pool, target.open("r+b") as stream:
            written = _Written(target, stream, pool)
            test = _write_vectors(inputs, written, offsets, reporter)
            stream.flush()
            reporter.reading(False)
            train = np.memmap(target, stored, "r", offsets["train"], (n, kept.width))
            ids, distances = _truth(request, truth, train, test, reporter)
            written.write_at(offsets["neighbors"], ids.astype(shapes["neighbors"][1]))
            written.write_at(offsets["distances"], distances)
            return written.sha256()


def write_rows(request: Request, target: Path, scratch: Path, reporter: ImportReporter) -> str:
    """Writes only the rows of ``test``, (n, d), as an ``.npy`` file; returns its sha256.

    Bytes are written unchanged, all else as float32, which must be finite.

    Raises:
        ConfigurationError, DatasetError: the file cannot be read, with the reason.
        OSError: a disk cannot be written.
    """
    assert request.test is not None
    with contextlib.ExitStack() as closing:
        reporter.reading(True)
        asked = Asked(scratch=scratch, closing=closing, role="test", keys=request.keys)
        matrix = open_matrix(Path(request.test), asked)
        values = whole_test(matrix, kept_as(metrics.of_layout("floats")[0], [matrix]))
        reporter.reading(False)
        np.save(target, values)
    return hash_file(target)


def _truth(
    request: Request,
    truth: given_truth.GivenTruth | None,
    train: Array,
    test: Array,
    reporter: ImportReporter,
) -> tuple[npt.NDArray[np.int64], Floats32]:
    """Returns ids and distances of the neighbours, given and checked, or computed."""
    metric = request.metric
    if truth is None:
        k = min(request.truth_k, len(train))
        reporter.line(f"Searching the {k} nearest of {len(test):,} queries exactly...")
        return nearest(train, test, k, metric, reporter.progress)
    reporter.line("Searching some queries exactly, to check the truth...")
    ids, distances, notes = given_truth.verified(truth, train, test, metric, reporter.progress)
    for note in notes:
        reporter.line(note)
    return ids, distances


def _write_vectors(
    inputs: Inputs, written: _Written, offsets: Mapping[str, int], reporter: ImportReporter
) -> Array:
    """Writes train and test; returns the queries, held out or from their own file."""
    kept = inputs.train.kept
    total, done, empty = inputs.train.n * kept.width * np.dtype(kept.dtype).itemsize, 0, True
    held = []
    written.write_at(offsets["train"], np.empty(0, np.float32))
    for stay, out in inputs.train.blocks():
        reporter.reading(True)
        written.write(stay)
        empty = empty and not stay.any()
        if len(out):
            held.append(np.array(out))
        done += stay.nbytes
        reporter.progress(done, total)
    if empty:
        raise DatasetFormatError(
            f"{inputs.train.parts[0].path}: its rows hold only zeros, so that all are equally "
            "near; expected vectors. Its writer failed: write it again."
        )
    test = np.concatenate(held) if inputs.test is None else whole_test(inputs.test, kept)
    written.write_at(offsets["test"], test)
    inputs.require_unchanged()
    return test


def _require_room(target: Path, shapes: Shapes) -> None:
    needed = sum(n * width * np.dtype(kind).itemsize for (n, width), kind in shapes.values())
    free = shutil.disk_usage(target.parent).free
    if needed > free:
        raise DatasetError(
            f"{target.parent}: the dataset takes {needed / 1e6:,.1f} MB, but only "
            f"{free / 1e6:,.1f} MB are free. Free some space, or use another directory "
            "(--volume DIR)."
        )


def _attributes(request: Request, inputs: Inputs) -> dict[str, str | float]:
    """Returns the file's attributes, with the source of the vectors."""
    names = ", ".join(request.called or (Path(name).name for name in request.files))
    kept = inputs.train.kept
    none = np.empty((0, kept.width), kept.dtype)
    attrs: dict[str, str | float] = dict(attributes(none, request.metric, kept.n_bits))
    attrs["source"] = f"imported by pytest-annmodal from {names}"
    if inputs.test is None:
        attrs["held_out"] = len(inputs.train.held_out)
    return attrs
