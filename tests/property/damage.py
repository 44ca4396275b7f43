"""Damages dataset files at random, and checks that each is refused or read exactly."""

from __future__ import annotations

import argparse
import itertools
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from pytest_annmodal.datasets import hdf5
from pytest_annmodal.datasets.hdf5 import known
from pytest_annmodal.datasets.hdf5.checker import Checker
from pytest_annmodal.distances import exact
from pytest_annmodal.distances.rows import Sets
from pytest_annmodal.errors import DatasetError

N, DIM, QUERIES, K = 60, 4, 10, 5  # all queries are among those that validate() probes
BITS = 13  # not whole bytes
SCRATCH_FILES = 64  # kept for a while: a new file with an old one's inode and time is not new
NAMES = ("train", "test", "neighbors", "distances")
GZIP = {"chunks": (16, DIM), "compression": "gzip"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How one kind of file is written.

    Attributes:
        rows: ``numbers``, ``ones`` (a bool each), ``packed`` or ``run`` (of sets).
        options: how train is stored.
        truth: whether there is one.
        libver: HDF5's version.
    """

    metric: str
    dtype: str = "<f4"
    rows: str = "numbers"
    options: Mapping[str, Any] = field(default_factory=dict)
    truth: bool = True
    libver: str = "earliest"


LAYOUTS = {
    "contiguous": Layout(metric="euclidean"),
    "contiguous, no truth": Layout(metric="angular", truth=False),
    "float64": Layout(metric="dot", dtype="<f8"),
    "chunked": Layout(metric="euclidean", options={"chunks": (16, DIM)}),
    "chunked, no truth": Layout(metric="angular", options={"chunks": (16, DIM)}, truth=False),
    "gzip": Layout(metric="dot", options=GZIP),
    "gzip float64, no truth": Layout(
        metric="euclidean", dtype="<f8", options={**GZIP, "shuffle": True}, truth=False
    ),
    "gzip, newer format": Layout(
        metric="angular", options={**GZIP, "fletcher32": True}, libver="v110"
    ),
    "uint8": Layout(metric="euclidean", dtype="|u1"),
    "int8, no truth": Layout(metric="manhattan", dtype="|i1", truth=False),
    "bits, a bool each": Layout(metric="hamming", dtype="?", rows="ones"),
    "bits, packed": Layout(metric="hamming", dtype="|u1", rows="packed"),
    "sets, a run": Layout(metric="jaccard", dtype="<i4", rows="run"),
}


def kept_rows(layout: Layout, rng: np.random.Generator, n: int) -> Any:
    """As a dataset keeps them."""
    if layout.rows == "numbers":
        spread = 1 if layout.dtype.startswith("<f") else 20
        numbers = spread * rng.standard_normal((n, DIM))
        return (np.abs(numbers) if layout.dtype == "|u1" else numbers).astype(layout.dtype)
    ones = rng.random((n, BITS)) < 0.4
    return Sets.from_matrix(ones) if layout.rows == "run" else np.packbits(ones, axis=1)


def written_rows(layout: Layout, rows: Any) -> Any:
    """As a file has them."""
    if layout.rows == "ones":
        return np.unpackbits(rows, axis=1, count=BITS).astype(bool)
    return rows.members.astype(layout.dtype) if layout.rows == "run" else rows


def originals(folder: Path) -> Iterator[tuple[str, str, Path]]:
    """Good files: layout, metric and place of each."""
    for number, (name, layout) in enumerate(LAYOUTS.items()):
        rng = np.random.default_rng(number)
        train, test = (kept_rows(layout, rng, n) for n in (N, QUERIES))
        path = folder / f"original-{number}-{layout.metric}.hdf5"
        with h5py.File(path, "w", libver=(layout.libver, "v110")) as file:
            file.attrs["distance"] = layout.metric
            if layout.rows == "packed":
                file.attrs["bits"] = BITS
            file.create_dataset("train", data=written_rows(layout, train), **layout.options)
            file.create_dataset("test", data=written_rows(layout, test))
            if layout.rows == "run":
                file["size_train"], file["size_test"] = train.sizes, test.sizes
            if layout.truth:
                ids, distances = exact.knn(train, test, K, layout.metric)
                file["neighbors"], file["distances"] = ids.astype("<i4"), distances
        yield name, layout.metric, path


def headers(path: Path) -> list[int]:
    """The bytes of a file that are not values of arrays."""
    free = np.ones(path.stat().st_size, dtype=bool)
    with h5py.File(path) as file:
        for array in file.values():
            if array.chunks:
                infos = [array.id.get_chunk_info(i) for i in range(array.id.get_num_chunks())]
                pieces = [(info.byte_offset, info.size) for info in infos]
            else:
                pieces = [(array.id.get_offset(), array.id.get_storage_size())]
            for start, size in pieces:
                free[start : start + size] = False
    used = np.frombuffer(path.read_bytes(), np.uint8) != 0  # most of it is room for more
    return [*np.flatnonzero(free).tolist(), *(np.flatnonzero(free & used).tolist() * 4)]


def damage(content: bytes, places: list[int], rng: np.random.Generator) -> bytes:
    """Changes a few bytes, mostly of headers, or zeroes, moves or cuts off a piece."""
    spoiled = bytearray(content)
    kind = rng.choice(
        ["header", "anywhere", "zeros", "moved", "cut"], p=[0.8, 0.08, 0.05, 0.05, 0.02]
    )
    if kind in {"header", "anywhere"}:
        among = places if kind == "header" else range(len(spoiled))
        for place in rng.choice(among, rng.integers(1, 9)):
            new = (int(rng.integers(256)), spoiled[place] ^ (1 << int(rng.integers(8))), 0, 255)
            spoiled[place] = new[rng.choice(4, p=[0.4, 0.4, 0.1, 0.1])]
        return bytes(spoiled)
    start, length = int(rng.choice(places)), int(rng.integers(1, 65))
    if kind == "cut":
        return bytes(spoiled[:start])
    other = int(rng.choice(places))
    piece = bytes(length) if kind == "zeros" else bytes(spoiled[other : other + length])
    spoiled[start : start + len(piece)] = piece
    return bytes(spoiled[: len(content)])


def outcome(path: Path, before: hdf5.LoadedDataset, checker: Checker) -> str:
    """The result for a damaged file, as a word to be counted; raises for anything else."""
    try:
        info = checker.look(path, whole=True)
    except DatasetError as error:
        said = str(error)
        assert said.startswith(str(path)), said
        assert said.isprintable(), said
        if "was stopped" in said:
            return "refused: looped"
        return "refused: crashed" if "library crash" in said else "refused"
    known.remember(path, info)
    served = hdf5.load(path)
    if _same(served, before):
        return "equal"
    require_consistent(path, served)
    return "other data"


def _same(one: hdf5.LoadedDataset, other: hdf5.LoadedDataset) -> bool:
    if (one.info.metric, one.info.dim) != (other.info.metric, other.info.dim):
        return False
    return all(np.array_equal(_plain(one, name), _plain(other, name)) for name in NAMES)


def _plain(served: hdf5.LoadedDataset, name: str) -> np.ndarray:
    """An array of its numbers, bits or sets: bool (n, d) of the last two."""
    rows = getattr(served, name)
    if isinstance(rows, Sets):
        return _matrix(rows.lists(), served.info.dim)
    if name in {"train", "test"} and served.info.metric == "hamming":
        return np.unpackbits(rows, axis=1, count=served.info.dim).astype(bool)
    return rows


def _matrix(sets: Sequence[Any], dim: int) -> np.ndarray:
    ones = np.zeros((len(sets), dim), bool)
    for row, members in zip(ones, sets, strict=True):
        row[members] = True
    return ones


def theirs(file: h5py.File, name: str, served: hdf5.LoadedDataset) -> np.ndarray:
    """The same data, read by h5py and numpy alone."""
    values, metric, dim = file[name][:], served.info.metric, served.info.dim
    if metric == "jaccard" and values.ndim == 1:
        return _matrix(np.split(values, np.cumsum(file[f"size_{name}"][:])[:-1]), dim)
    if metric == "hamming" and values.shape[1] != dim:
        return np.unpackbits(values, axis=1, count=dim).astype(bool)
    if metric in {"hamming", "jaccard"}:
        assert set(np.unique(values).tolist()) <= {0, 1}
        return values.astype(bool)
    return np.asarray(values, dtype=np.float32)


def require_consistent(path: Path, served: hdf5.LoadedDataset) -> None:
    """Raises AssertionError unless the data equals the file's, with a correct truth."""
    with h5py.File(path) as file:
        for name in ("train", "test"):
            values = theirs(file, name, served)
            assert np.isfinite(values).all(), name
            np.testing.assert_array_equal(_plain(served, name), values, err_msg=name)
    k = served.info.k_truth
    _, distances = exact.knn(served.train, served.test, k, served.info.metric)
    np.testing.assert_allclose(served.distances, distances, rtol=2e-3, atol=2e-3)


def run(
    n_files: int, seed: int, folder: Path, *, limit_s: float, say: Callable[[str], None] = print
) -> Counter[tuple[str, str]]:
    """Counts the results for each layout.

    A file that is neither refused nor read rightly is printed, kept, and counted as WRONG.
    """
    files = list(originals(folder))
    wholes = [path.read_bytes() for _, _, path in files]
    places = [headers(path) for _, _, path in files]
    before = [hdf5.load(path) for _, _, path in files]
    counted: Counter[tuple[str, str]] = Counter()
    checker = Checker(limit_s)
    try:
        for number, which in zip(range(n_files), itertools.cycle(range(len(files)))):
            layout, metric, _ = files[which]
            rng = np.random.default_rng([seed, number])
            path = folder / f"{seed}-{number}-{metric}.hdf5"
            path.write_bytes(damage(wholes[which], places[which], rng))
            started = time.monotonic()
            try:
                found = outcome(path, before[which], checker)
            except Exception as error:  # a finding, and the others are still to be seen
                say(f"WRONG {path}: {type(error).__name__}: {error}")
                counted[layout, "WRONG"] += 1
                continue
            counted[layout, found] += 1
            if time.monotonic() - started > limit_s / 2:
                say(f"slow: {layout}, --seed {seed}, file {number}: {found}")
            folder.joinpath(f"{seed}-{number - SCRATCH_FILES * len(files)}-{metric}.hdf5").unlink(
                missing_ok=True
            )
    finally:
        checker.close()
    return counted


def table(counted: Counter[tuple[str, str]]) -> str:
    columns = sorted({found for _, found in counted})
    lines = [f"{'':24}" + "".join(f"{column:>18}" for column in columns)]
    for layout in LAYOUTS:
        cells = "".join(f"{counted[layout, column]:>18,}" for column in columns)
        lines.append(f"{layout:24}{cells}")
    sums = "".join(f"{sum(counted[name, c] for name in LAYOUTS):>18,}" for c in columns)
    return "\n".join([*lines, f"{'all':24}{sums}"])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", type=int, help="how many files to damage")
    parser.add_argument("--seed", type=int, default=0, help="another seed damages otherwise")
    parser.add_argument("--limit", type=float, default=10, help="seconds until a loop is one")
    asked = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="annmodal-damage-"))
    started = time.monotonic()
    counted = run(asked.files, asked.seed, folder, limit_s=asked.limit)
    print(table(counted))
    print(f"{asked.files:,} files in {time.monotonic() - started:,.0f} s; what is left: {folder}")
    return int(any(found == "WRONG" for _, found in counted))


if __name__ == "__main__":
    sys.exit(main())
