"""Opens the files of one import: train as one sequence of rows, queries and truth."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pytest_annmodal.datasets.hdf5.info import Identity
from pytest_annmodal.datasets.importers.formats import open_matrix
from pytest_annmodal.datasets.importers.kept import Kept, kept_as
from pytest_annmodal.datasets.importers.matrix import Array, Asked, Matrix
from pytest_annmodal.datasets.importers.request import HOLDOUT, HOLDOUT_SHARE, Request
from pytest_annmodal.errors import ConfigurationError, DatasetError, DatasetFormatError

SEED = 0  # for drawing the rows that are held out
Ids = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Train:
    """Rows [first, end) of several files in sequence, without those held out.

    Attributes:
        held_out: int64, ascending, counted from the first row of the first file.
    """

    parts: Sequence[Matrix]
    kept: Kept
    first: int
    end: int
    held_out: Ids

    @property
    def n(self) -> int:
        return self.end - self.first - len(self.held_out)

    def blocks(self) -> Iterator[tuple[Array, Array]]:
        """Yields blocks of rows that stay and of rows that are held out, as written, in order."""
        begins = 0
        for part in self.parts:
            row, stop = max(0, self.first - begins), min(part.n, self.end - begins)
            if row < stop:
                for block in part.taken(row, stop, self.kept.take):
                    yield self._divided(block, begins + row)
                    row += len(block)
            begins += part.n

    def _divided(self, block: Array, first: int) -> tuple[Array, Array]:
        low, high = np.searchsorted(self.held_out, (first, first + len(block)))
        if low == high:
            return block, block[:0]
        out = np.zeros(len(block), dtype=np.bool_)
        out[self.held_out[low:high] - first] = True
        return block[~out], block[out]

    def ids(self) -> Ids | None:
        """Returns the ids that the files give the rows, int64 (n,), if they were asked for."""
        named = [part.ids for part in self.parts if part.ids is not None]
        return np.concatenate(named)[self.first : self.end] if named else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """Everything that one import reads.

    Attributes:
        test: None if rows of train are held out.
        notes: notes for the user on how the files were read.
        before: path and identity of each file when it was opened.
    """

    train: Train
    test: Matrix | None
    truth: Matrix | None
    notes: tuple[str, ...]
    before: tuple[tuple[Path, Identity], ...]

    @property
    def n_queries(self) -> int:
        return len(self.train.held_out) if self.test is None else self.test.n

    def require_unchanged(self) -> None:
        """Raises DatasetError if a file has changed since it was opened."""
        for path, identity in self.before:
            if Identity.of(path.stat()) != identity:
                raise DatasetError(
                    f"{path}: it was changed while it was read. Try again when nobody writes to it."
                )


def open_inputs(request: Request, scratch: Path, closing: contextlib.ExitStack) -> Inputs:
    """Opens the files and checks that their shapes fit each other.

    Raises:
        ConfigurationError: the request contradicts itself.
        DatasetError: a file cannot be used.
    """
    train, notes = in_order(request.train)
    before = tuple((Path(name), identity(Path(name))) for name in request.files)

    def opened(name: str, role: str) -> Matrix:
        asked = Asked(
            scratch=scratch,
            closing=closing,
            role=role,
            keys=request.keys,
            ids=request.ids if role == "train" else None,
            rows=request.rows if role == "train" else None,
        )
        return open_matrix(Path(name), asked)

    parts = [opened(name, "train") for name in train]
    for part in parts[1:]:
        _require_dim(part, parts[0])
    test = opened(request.test, "test") if request.test is not None else None
    if test is not None:
        _require_dim(test, parts[0])
    truth = opened(request.truth, "truth") if request.truth is not None else None
    first, end = chosen_rows(request, sum(part.n for part in parts), parts[0].path)
    held_out = drawn_rows(request, first, end) if test is None else np.empty(0, np.int64)
    if test is None:
        notes += (
            f"Held out {len(held_out):,} rows, drawn at random, as queries: train has the others.",
        )
    kept = kept_as(request.metric, [*parts, *([] if test is None else [test])])
    joined = Train(parts=parts, kept=kept, first=first, end=end, held_out=held_out)
    return Inputs(train=joined, test=test, truth=truth, notes=notes, before=before)


def in_order(names: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Returns the files sorted by the numbers in their names, and a note if that changed them.

    A shell lists part-10 before part-2. Files given in another order than a shell's keep it.
    """
    by_number = sorted(names, key=_numbers_in)
    if list(names) != sorted(names) or by_number == list(names):
        return tuple(names), ()
    first = ", ".join(Path(name).name for name in by_number[:4])
    return tuple(by_number), (f"Files are read in the order of their numbers: {first}, …",)


def _numbers_in(name: str) -> list[tuple[int, str]]:
    parts = re.split(r"(\d+)", name)
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]


def identity(path: Path) -> Identity:
    """Returns a file's present identity. Raises DatasetError if it cannot be read."""
    try:
        return Identity.of(path.stat())
    except OSError as error:
        raise DatasetError(f"{path}: it cannot be read ({error.strerror}).") from error


def _require_dim(one: Matrix, other: Matrix) -> None:
    if one.dim != other.dim:
        raise DatasetFormatError(
            f"{one.path}: it has vectors of {one.dim:,} dimensions; expected {other.dim:,}, as in "
            f"{other.path}."
        )


def chosen_rows(request: Request, there: int, path: Path) -> tuple[int, int]:
    """Returns the range of wanted rows of train, [first, end)."""
    first, end = request.rows or (0, there)
    if not 0 <= first < end <= there:
        raise ConfigurationError(
            f"--rows {first}:{end}: {path}{' and the others' if len(request.train) > 1 else ''} "
            f"{'hold' if len(request.train) > 1 else 'holds'} rows 0:{there}."
        )
    return first, end


def drawn_rows(request: Request, first: int, end: int) -> Ids:
    """Draws the rows that are held out as queries, int64, ascending."""
    n = end - first
    if n < 2:
        raise DatasetFormatError(
            f"{request.names[0]}: it has one row; expected at least two, since one is held out as "
            "the query. Give queries with --test FILE."
        )
    suits = max(1, min(HOLDOUT, n // HOLDOUT_SHARE))
    wanted = suits if request.holdout is None else request.holdout
    if not 1 <= wanted < n:
        raise ConfigurationError(
            f"--holdout {wanted}: there are {n:,} rows; expected 1 to {n - 1:,}. "
            "Hold out fewer, or give queries with --test FILE."
        )
    drawn = np.random.default_rng(SEED).choice(n, wanted, replace=False)
    return np.asarray(np.sort(drawn) + first, dtype=np.int64)


def whole_test(test: Matrix, kept: Kept) -> Array:
    """Returns all queries, in the form in which the rows of train are written."""
    return np.concatenate(list(test.taken(0, test.n, kept.take)))
