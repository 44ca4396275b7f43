"""Damages files of vectors and sets at random, and counts the results."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import os
import resource
import signal
import struct
import sys
import tempfile
import time
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import vector_files as files

from pytest_annmodal.datasets.importers import formats, sets
from pytest_annmodal.datasets.importers.matrix import Asked
from pytest_annmodal.errors import AnnModalError

SPARE_BYTES = 2 * 2**30
EDGE = 96  # bytes at both ends, where headers and footers are


def damage(content: bytes, rng: np.random.Generator) -> bytes:
    """Changes a few bytes, mostly near the ends, or zeroes, moves, repeats or cuts off a piece."""
    spoiled = bytearray(content)
    ends = [*range(min(EDGE, len(content))), *range(max(0, len(content) - EDGE), len(content))]
    kind = rng.choice(
        ["ends", "anywhere", "zeros", "moved", "longer", "cut"],
        p=[0.6, 0.15, 0.05, 0.05, 0.05, 0.1],
    )
    if kind in {"ends", "anywhere"}:
        among = ends if kind == "ends" else range(len(spoiled))
        for place in rng.choice(among, rng.integers(1, 5)):
            new = (int(rng.integers(256)), spoiled[place] ^ (1 << int(rng.integers(8))), 0, 255)
            spoiled[place] = new[rng.choice(4, p=[0.4, 0.4, 0.1, 0.1])]
        return bytes(spoiled)
    start, length = int(rng.integers(len(spoiled))), int(rng.integers(1, 65))
    other = int(rng.integers(len(spoiled)))
    if kind == "cut":
        return bytes(spoiled[:start])
    if kind == "longer":
        return bytes(spoiled + spoiled[other : other + length])
    piece = bytes(length) if kind == "zeros" else bytes(spoiled[other : other + length])
    spoiled[start : start + len(piece)] = piece
    return bytes(spoiled[: len(content)])


def _vecs(path: Path) -> np.ndarray:
    raw = files.gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    dtype = np.dtype(
        {"f": "<f4", "i": "<i4", "b": "|u1"}[
            path.name.split(".")[-2 if path.suffix == ".gz" else -1][0]
        ]
    )
    rows, at = [], 0
    while at < len(raw):
        (dim,) = struct.unpack_from("<i", raw, at)
        rows.append(np.frombuffer(raw, dtype, dim, at + 4))
        at += 4 + dim * dtype.itemsize
    return np.stack(rows)


def _bins(path: Path) -> np.ndarray:
    raw = path.read_bytes()
    kinds = {
        ".fbin": "<f4",
        ".ibin": "<i4",
        ".u8bin": "|u1",
        ".i8bin": "|i1",
        ".hbin": "<f2",
        ".f16bin": "<f2",
        ".bin": "<f4",
    }
    for header, code in ((8, "<II"), (16, "<QQ")):
        n, dim = struct.unpack_from(code, raw)
        with contextlib.suppress(ValueError):
            return np.frombuffer(raw, kinds[path.suffix], offset=header).reshape(n, dim)
    raise ValueError(path)


def _npz(path: Path) -> np.ndarray:
    with zipfile.ZipFile(path) as archive:
        names = [name[:-4] for name in archive.namelist() if name.endswith(".npy")]
    with np.load(path, allow_pickle=False) as held:
        return held["emb" if "emb" in names else names[0]]


def _safetensors(path: Path) -> np.ndarray:
    raw = path.read_bytes()
    (length,) = struct.unpack_from("<Q", raw)
    header = json.loads(raw[8 : 8 + length])
    entry = next(e for name, e in header.items() if name != "__metadata__" and len(e["shape"]) == 2)
    first, end = entry["data_offsets"]
    kinds = {"BF16": "<u2", "F32": "<f4", "F16": "<f2", "F64": "<f8", "I32": "<i4", "U32": "<u4"}
    values = np.frombuffer(raw[8 + length :][first:end], kinds[entry["dtype"]]).reshape(
        entry["shape"]
    )
    return (values.astype("<u4") << 16).view("<f4") if entry["dtype"] == "BF16" else values


def _table(table) -> np.ndarray:
    name = next(f.name for f in table.schema if "list" in str(f.type))
    return np.array(table.column(name).to_pylist())


def _arrow(path: Path) -> np.ndarray:
    opener = files.pa.ipc.open_file if path.suffix == ".arrow" else files.pa.ipc.open_stream
    return _table(opener(path.read_bytes()).read_all())


def _hdf5(path: Path) -> np.ndarray:
    found = []
    with files.h5py.File(path) as file:
        file.visititems(
            lambda _, item: found.append(item[:]) if getattr(item, "ndim", 0) == 2 else None
        )
    return found[0]


def _text(path: Path) -> np.ndarray:
    """Read as lines of numbers, by the most frequent delimiter; the first line may be a header."""
    lines = [line for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    sign = max("\t,; ", key=lambda s: sum(s in line for line in lines))
    rows = []
    for number, line in enumerate(lines):
        try:
            rows.append([float(cell) for cell in line.split(sign)])
        except ValueError:
            if number:
                raise
    return np.array(rows)


# By suffix, how somebody else would read it.
OTHERS: dict[str, Callable[[Path], np.ndarray]] = {
    **dict.fromkeys((".fvecs", ".ivecs", ".bvecs", ".gz"), _vecs),
    **dict.fromkeys((".fbin", ".ibin", ".u8bin", ".i8bin", ".hbin", ".f16bin", ".bin"), _bins),
    ".npy": lambda path: np.load(path, allow_pickle=False),
    ".npz": _npz,
    ".safetensors": _safetensors,
    ".parquet": lambda path: _table(files.pq.read_table(path)),
    **dict.fromkeys((".arrow", ".ipc"), _arrow),
    **dict.fromkeys((".hdf5", ".h5"), _hdf5),
    **dict.fromkeys((".csv", ".tsv"), _text),
}


def _set_of_ones(matrix: np.ndarray) -> list[set[int]]:
    assert set(np.unique(matrix).tolist()) <= {0, 1}
    return [set(np.flatnonzero(row).tolist()) for row in matrix]


def _run(path: Path) -> list[set[int]]:
    with files.h5py.File(path) as file:
        if "size_train" not in file:
            return _set_of_ones(_hdf5(path))
        edges = np.cumsum(file["size_train"][:])[:-1]
        return [set(part.tolist()) for part in np.split(file["train"][:], edges)]


def _csr(path: Path) -> list[set[int]]:
    """Read by scipy; without scipy's mark for a sparse matrix the file has plain arrays."""
    with zipfile.ZipFile(path) as archive:
        if "format.npy" not in archive.namelist():
            return _set_of_ones(_npz(path))
    return [set(row.indices.tolist()) for row in files.sparse.load_npz(path).tocsr()]


def _lists(path: Path) -> list[set[int]]:
    table = files.pq.read_table(path)
    name = next(f.name for f in table.schema if "list" in str(f.type))
    return [set(one) for one in table.column(name).to_pylist()]


SETS: dict[str, Callable[[Path], list[set[int]]]] = {
    ".hdf5": _run,
    ".npz": _csr,
    ".parquet": _lists,
    ".npy": lambda path: _set_of_ones(np.load(path, allow_pickle=False)),
}


def outcome(path: Path, scratch: Path, before: Any) -> str:
    """What becomes of a damaged file: a word to be counted. Anything else raises.

    Args:
        before: what it held: an array, or a list of sets.
    """
    read = _read_sets if isinstance(before, list) else _read_vectors
    try:
        with contextlib.ExitStack() as closing:
            served, others = read(path, Asked(scratch=scratch, closing=closing))
    except AnnModalError as error:
        said = str(error)
        assert said.startswith(str(path)), said
        assert said.isprintable(), said
        return "refused"
    if np.array_equal(served, before):
        return "equal"
    try:
        theirs = others(path)
    except Exception:
        return "other data, and others cannot read it"
    if isinstance(before, list):
        assert served == theirs
        return "other data, and others read the same"
    with np.errstate(over="ignore", invalid="ignore"):
        np.testing.assert_array_equal(served, theirs.astype("f4"))
    return "other data, and others read the same"


def _read_vectors(path: Path, asked: Asked) -> tuple[np.ndarray, Callable[[Path], np.ndarray]]:
    matrix = formats.open_matrix(path, asked)
    served = np.concatenate(list(matrix.floats(0, matrix.n)))
    assert served.shape == (matrix.n, matrix.dim)
    assert np.isfinite(served).all()
    return served, OTHERS[path.suffix]


def _read_sets(path: Path, asked: Asked) -> tuple[list[set[int]], Callable[[Path], Any]]:
    found = sets.open_sets(path, asked)
    lists = [one.tolist() for one in found.sets.lists()]
    assert all(one == sorted(set(one)) for one in lists)
    assert not found.dim or all(one[-1] < found.dim for one in lists if one)
    return [set(one) for one in lists], SETS[path.suffix]


def in_a_fork(path: Path, before: Any, limit_s: float) -> str:
    """The result, from a process with an import's limits."""
    read_fd, write_fd = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(read_fd)
        signal.setitimer(signal.ITIMER_REAL, limit_s)
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        size = pages * resource.getpagesize() + SPARE_BYTES
        resource.setrlimit(resource.RLIMIT_AS, (size, size))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        try:
            with tempfile.TemporaryDirectory(dir=path.parent) as scratch:
                said = outcome(path, Path(scratch), before)
        except MemoryError:
            said = "refused: memory"
        except BaseException as error:
            said = f"WRONG {type(error).__name__}: {error}"
        os.write(write_fd, said.encode()[:60_000])
        os._exit(0)
    os.close(write_fd)
    with os.fdopen(read_fd, "rb") as stream:
        said = stream.read().decode()
    _, status = os.waitpid(pid, 0)
    ended = os.waitstatus_to_exitcode(status)
    if ended == 0:
        return said
    return "refused: stopped" if ended == -signal.SIGALRM else f"refused: crashed ({ended})"


def original(kind: str) -> tuple[str, np.ndarray, Any]:
    """For a kind of file: its suffix, what is written, and what should be read."""
    if kind in files.SETS:
        ones = files.ones()
        return files.SETS[kind][0], ones, _set_of_ones(ones)
    rows = files.vectors(kind)
    return files.WRITERS[kind][0], rows, rows.astype("f4")


def run(n_files: int, seed: int, folder: Path, limit_s: float) -> Counter[tuple[str, str]]:
    kinds = {kind: original(kind) for kind in (*files.WRITERS, *files.SETS)}
    for row in formats.FORMATS:  # once, and not in each fork
        importlib.import_module(row.opener.partition(":")[0])
    if os.fork() == 0:  # Arrow's threads do not survive a fork: none are started here
        for kind, (_, rows, _) in kinds.items():
            files.written(folder, kind, rows, stem=f"original-{kind}")
        os._exit(0)
    os.wait()
    counted: Counter[tuple[str, str]] = Counter()
    for number in range(n_files):
        kind = list(kinds)[number % len(kinds)]
        suffix, _, before = kinds[kind]
        whole = (folder / f"original-{kind}{suffix}").read_bytes()
        path = folder / f"{seed}-{number}{suffix}"
        path.write_bytes(damage(whole, np.random.default_rng([seed, number])))
        started = time.monotonic()
        found = in_a_fork(path, before, limit_s)
        if found.startswith("WRONG") or time.monotonic() - started > limit_s / 2:
            print(f"{kind}, {path}: {found}", flush=True)
        else:
            path.unlink()
        counted[kind, found if not found.startswith("WRONG") else "WRONG"] += 1
    return counted


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", type=int, help="how many files to damage")
    parser.add_argument("--seed", type=int, default=0, help="another seed damages otherwise")
    parser.add_argument("--limit", type=float, default=20, help="seconds until a loop is one")
    asked = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="annmodal-vectors-"))
    counted = run(asked.files, asked.seed, folder, asked.limit)
    columns = sorted({found for _, found in counted})
    for found in columns:
        by_kind = {kind: n for (kind, what), n in counted.items() if what == found}
        print(f"{sum(by_kind.values()):>8,}  {found}: {by_kind}")
    return int("WRONG" in columns)


if __name__ == "__main__":
    sys.exit(main())
