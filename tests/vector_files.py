"""Files of vectors in every format that can be imported, written here by their descriptions."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from scipy import sparse


def vecs(path: Path, rows: np.ndarray) -> None:
    parts = [np.int32(len(row)).tobytes() + np.ascontiguousarray(row).tobytes() for row in rows]
    path.write_bytes(b"".join(parts))


def vecs_gz(path: Path, rows: np.ndarray) -> None:
    vecs(path, rows)
    path.write_bytes(gzip.compress(path.read_bytes(), mtime=0))


def bins(path: Path, rows: np.ndarray) -> None:
    path.write_bytes(np.array(rows.shape, "<u4").tobytes() + rows.tobytes())


def bins_of_cuvs(path: Path, rows: np.ndarray) -> None:
    path.write_bytes(np.array(rows.shape, "<u8").tobytes() + rows.tobytes())


def truth_bins(path: Path, ids: np.ndarray, distances: np.ndarray) -> None:
    head = np.array(ids.shape, "<u4").tobytes()
    path.write_bytes(head + ids.astype("<u4").tobytes() + distances.astype("<f4").tobytes())


def npy_fortran(path: Path, rows: np.ndarray) -> None:
    np.save(path, np.asfortranarray(rows))


def safetensors(path: Path, rows: np.ndarray, kind: str = "F32", name: str = "emb") -> None:
    other = np.arange(4, dtype="<f4")
    header = {
        "__metadata__": {"format": "pt"},
        "other": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]},
        name: {
            "dtype": kind,
            "shape": list(rows.shape),
            "data_offsets": [16, 16 + rows.nbytes],
        },
    }
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(len(text).to_bytes(8, "little") + text + other.tobytes() + rows.tobytes())


def bfloat16(path: Path, rows: np.ndarray) -> None:
    safetensors(path, (rows.view("<u4") >> 16).astype("<u2"), "BF16")


def table(rows: np.ndarray, *, fixed: bool = True) -> pa.Table:
    flat = pa.array(rows.reshape(-1))
    n, dim = rows.shape
    lists = (
        pa.FixedSizeListArray.from_arrays(flat, dim)
        if fixed
        else pa.ListArray.from_arrays(pa.array(np.arange(n + 1, dtype=np.int32) * dim), flat)
    )
    return pa.table({"id": pa.array(np.arange(n) + 1000), "emb": lists})


def parquet(path: Path, rows: np.ndarray) -> None:
    pq.write_table(table(rows, fixed=False), path, row_group_size=7)


def parquet_fixed(path: Path, rows: np.ndarray) -> None:
    pq.write_table(table(rows), path, row_group_size=7)


def arrow_file(path: Path, rows: np.ndarray) -> None:
    with pa.ipc.new_file(path, table(rows).schema) as writer:
        writer.write_table(table(rows), max_chunksize=7)


def arrow_stream(path: Path, rows: np.ndarray) -> None:
    with pa.ipc.new_stream(path, table(rows, fixed=False).schema) as writer:
        writer.write_table(table(rows, fixed=False), max_chunksize=7)


def hdf5(path: Path, rows: np.ndarray) -> None:
    with h5py.File(path, "w") as file:
        file["group/emb"] = rows
        file["names"] = np.arange(3)


def hdf5_gzip(path: Path, rows: np.ndarray) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset(
            "emb", data=rows, chunks=(min(4, len(rows)), rows.shape[1]), compression="gzip"
        )


def csv(path: Path, rows: np.ndarray) -> None:
    lines = [",".join(map(repr, row.tolist())) for row in rows]
    head = ",".join(f"x{i}" for i in range(rows.shape[1]))
    path.write_text("\n".join([head, *lines]) + "\n")


def tsv(path: Path, rows: np.ndarray) -> None:
    path.write_text("\r\n".join("\t".join(map(repr, row.tolist())) for row in rows))


Write = Callable[[Path, np.ndarray], None]
# How each kind is written: a name that tells it, the file's suffix, the dtype, and the writer.
WRITERS: dict[str, tuple[str, str, Write]] = {
    "fvecs": (".fvecs", "<f4", vecs),
    "ivecs": (".ivecs", "<i4", vecs),
    "bvecs": (".bvecs", "|u1", vecs),
    "fvecs.gz": (".fvecs.gz", "<f4", vecs_gz),
    "bvecs.gz": (".bvecs.gz", "|u1", vecs_gz),
    "fbin": (".fbin", "<f4", bins),
    "ibin": (".ibin", "<i4", bins),
    "u8bin": (".u8bin", "|u1", bins),
    "i8bin": (".i8bin", "|i1", bins),
    "hbin": (".hbin", "<f2", bins),
    "f16bin of cuVS": (".f16bin", "<f2", bins_of_cuvs),
    "fbin of cuVS": (".fbin", "<f4", bins_of_cuvs),
    "bin": (".bin", "<f4", bins),
    "npy": (".npy", "<f8", np.save),
    "npy, big-endian": (".npy", ">f4", np.save),
    "npy, Fortran order": (".npy", "<f4", npy_fortran),
    "npz": (".npz", "<f4", lambda path, rows: np.savez(path, emb=rows, other=rows[:1].ravel())),
    "npz, compressed": (".npz", "<i8", lambda path, rows: np.savez_compressed(path, emb=rows)),
    "safetensors": (".safetensors", "<f4", safetensors),
    "safetensors, bfloat16": (".safetensors", "<f4", bfloat16),
    "parquet": (".parquet", "<f4", parquet),
    "parquet, fixed size": (".parquet", "<f8", parquet_fixed),
    "arrow": (".arrow", "<f4", arrow_file),
    "arrow stream": (".ipc", "<f2", arrow_stream),
    "hdf5": (".hdf5", "<f4", hdf5),
    "hdf5, gzip": (".h5", "<i2", hdf5_gzip),
    "csv": (".csv", "<f4", csv),
    "tsv": (".tsv", "<f8", tsv),
}


def run_of_sets(path: Path, ones: np.ndarray, name: str = "train") -> None:
    """As ann-benchmarks has them: all members, and how many each set has."""
    with h5py.File(path, "a") as file:
        file[name] = np.nonzero(ones)[1].astype("<i4")
        file[f"size_{name}"] = ones.sum(axis=1)


def csr(path: Path, ones: np.ndarray, *, compressed: bool = True) -> None:
    sparse.save_npz(path, sparse.csr_array(ones.astype("<i8")), compressed)


def csr_stored(path: Path, ones: np.ndarray) -> None:
    csr(path, ones, compressed=False)


def lists_of_members(path: Path, ones: np.ndarray) -> None:
    lists = pa.array([np.flatnonzero(row) for row in ones], pa.list_(pa.int64()))
    pq.write_table(pa.table({"id": range(len(ones)), "items": lists}), path, row_group_size=7)


# The same of sets, which are given as bool, a row each with a column for each possible member.
SETS: dict[str, tuple[str, Write]] = {
    "sets, a run": (".hdf5", run_of_sets),
    "sets, csr": (".npz", csr_stored),
    "sets, csr, compressed": (".npz", csr),
    "sets, lists": (".parquet", lists_of_members),
    "sets, a row of 0 and 1": (".npy", np.save),
}


def ones(n: int = 23, dim: int = 17, seed: int = 0) -> np.ndarray:
    """Sets of which some are empty, and no one has the last member but the first set."""
    drawn = np.random.default_rng(seed).random((n, dim)) < 0.2
    drawn[:, -1] = np.arange(n) == 0
    return drawn


def vectors(kind: str, n: int = 23, dim: int = 5, seed: int = 0) -> np.ndarray:
    """Numbers that every format holds exactly, of the kind's dtype."""
    numbers = np.random.default_rng(seed).integers(0, 120, (n, dim))
    return numbers.astype(WRITERS[kind][1])


def written(folder: Path, kind: str, rows: np.ndarray, stem: str = "vectors") -> Path:
    """A file of one of WRITERS, or of SETS."""
    suffix, *_, write = {**WRITERS, **SETS}[kind]
    path = folder / f"{stem}{suffix}"
    write(path, rows)
    return path
