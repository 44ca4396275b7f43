"""``annmodal import`` of a large file beside copying it and computing its truth."""

from __future__ import annotations

import os
import shutil
import struct
import time
from pathlib import Path

from . import made
from .processes import ask, python_s
from .scale import Scale, Size
from .sessions import Memory
from .table import Values

METRIC = "euclidean"
COPIES = 2  # of the file, that an import may take beside its truth: it reads, and it writes


def imported(scale: Scale, directory: Path) -> Values:
    """Seconds and memory of the import; a copy and the truth alone are taken in turn with it."""
    directory.mkdir(parents=True, exist_ok=True)
    size = scale.imported
    train = _fbin(directory / "train.fbin", size, made.SEED)
    test = _fbin(
        directory / "test.fbin", Size(n=scale.imported_queries, dim=size.dim), made.SEED + 1
    )
    found: dict[str, list[float]] = {"import": [], "import-memory": []}
    for _turn in range(scale.alternations):
        copy_s = _copy_s(train, directory / "copy")
        truth_s = ask("memory_mapped_truth", threads=None, train=str(train), test=str(test))[0]
        volume, memory = directory / "volume", Memory()
        import_s = python_s(
            *("-m", "pytest_annmodal", "import", "imported"),
            *(f"--train={train}", f"--test={test}", f"--metric={METRIC}", f"--volume={volume}"),
            cwd=directory,
            watch=memory.watch,
        )
        shutil.rmtree(volume)
        found["import"].append(import_s / (COPIES * copy_s + truth_s["truth_s"]))
        found["import-memory"].append((memory.parent_bytes + memory.child_bytes) / 1e6)
    return found


def _fbin(path: Path, size: Size, seed: int) -> Path:
    """Clustered rows in the layout of big-ann-benchmarks, written part by part."""
    with path.open("wb") as stream:
        stream.write(struct.pack("<II", size.n, size.dim))
        for start in range(0, size.n, made.CHUNK_ROWS):
            n = min(made.CHUNK_ROWS, size.n - start)
            made.vectors(n, size.dim, seed + start).tofile(stream)
        stream.flush()
        os.fsync(stream.fileno())  # its writing back would be measured otherwise
    return path


def _copy_s(path: Path, target: Path) -> float:
    """Seconds of ``cp`` until the copy is on the disk, as an import's file is at its end."""
    start = time.perf_counter()
    shutil.copyfile(path, target)
    with target.open("rb+") as stream:
        os.fsync(stream.fileno())
    taken_s = time.perf_counter() - start
    target.unlink()
    return taken_s
