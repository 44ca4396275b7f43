"""Reads result files of ann-benchmarks, which hold the times and distances of one setting.

Called in the process that may crash on a damaged file (:mod:`.checking_process`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np

from pytest_annmodal.datasets.hdf5.messages import printable
from pytest_annmodal.errors import DatasetFormatError

EPSILON = 1e-3  # of ann-benchmarks' recall
WORDS = ("algo", "dataset", "distance", "name")
NUMBERS = ("best_search_time", "build_time", "index_size", "count")
MAX_QUERIES = 10_000_000


def described(path: Path, truth: Path | None) -> dict[str, Any]:
    """Returns the content of a result file as plain data; a missing number is None.

    Args:
        truth: a folder with dataset files, to compute the recall from if the file lacks it.

    Raises:
        DatasetFormatError: it is not a result of ann-benchmarks.
    """
    try:
        with h5py.File(path, "r") as file:
            said: dict[str, Any] = {name: _word(file, name) for name in WORDS}
            said |= {name: _number(file.attrs.get(name)) for name in NUMBERS}
            said["batch_mode"] = bool(file.attrs.get("batch_mode", False))
            times = file["times"]
            if times.ndim != 1 or not 0 < len(times) <= MAX_QUERIES:
                raise ValueError(f"'times' has the shape {times.shape}")
            said |= _times(times[:])
            said["recall"] = _recall(file, said, truth)
    except (KeyError, OSError, TypeError, ValueError, AttributeError) as error:
        why = printable(str(error), 200)
        raise DatasetFormatError(f"{path}: not a result file of ann-benchmarks ({why})") from error
    return said


def _word(file: h5py.File, name: str) -> str:
    value = file.attrs[name] if name in {"algo", "dataset"} else file.attrs.get(name, "")
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


def _times(seconds: Any) -> dict[str, Any]:
    p50, p95, p99 = np.percentile(np.asarray(seconds, np.float64), (50, 95, 99))
    return {
        "n_queries": len(seconds),
        "mean_s": float(np.mean(seconds, dtype=np.float64)),
        "p50_s": float(p50),
        "p95_s": float(p95),
        "p99_s": float(p99),
    }


def _recall(file: h5py.File, said: dict[str, Any], truth: Path | None) -> float | None:
    """Returns the recall that ann-benchmarks stored in the file, or computes it likewise."""
    if "metrics/knn" in file:
        return _number(file["metrics/knn"].attrs.get("mean"))
    k = int(said["count"] or 0)
    place = None if truth is None else truth / f"{Path(said['dataset']).name}.hdf5"
    if place is None or not place.is_file() or k < 1:
        return None
    with h5py.File(place, "r") as dataset:
        true = dataset["distances"]
        if true.shape[0] != said["n_queries"] or true.shape[1] < k:
            return None
        kth = true[:, k - 1]
    return float(np.mean(file["distances"][:, :k] <= kth[:, None] + EPSILON))
