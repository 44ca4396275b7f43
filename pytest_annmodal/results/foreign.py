"""Reads results of other programs as stored cases, to compare curves with published ones.

ann-benchmarks' result files (HDF5, a folder of them), VIBE's ``summary.parquet`` and the JSON of
pytest-benchmark with our figures. Figures that they lack are None. To add a kind, write a function
here and its row in ``READERS``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import msgspec

from pytest_annmodal.datasets import catalog
from pytest_annmodal.errors import ConfigurationError, DatasetError
from pytest_annmodal.model import finite
from pytest_annmodal.results.stored import StoredCase

KILOBYTE = 1024  # bytes in a unit of ann-benchmarks' and VIBE's index sizes
FOLDERS = ("**/summary.parquet", "**/*.hdf5")  # files that make a folder one of results
BY_THEIR_RULE = "recall by ann-benchmarks' rule (within 0.001 of the k-th distance)"
FASTEST = "speed of the fastest of its runs"


def read(path: Path, truth: Path | None) -> Iterator[StoredCase]:
    """Yields the cases of a file of another program.

    Args:
        truth: a folder with dataset files, to compute the recall of ann-benchmarks' results.

    Raises:
        ConfigurationError: it is not of the kind of its suffix, or cannot be read here.
    """
    yield from READERS[path.suffix.lower()](path, truth)


def ann_benchmarks(path: Path, truth: Path | None) -> Iterator[StoredCase]:
    """Reads one result file of ann-benchmarks, in a separate process."""
    from pytest_annmodal.datasets.hdf5.checker import CHECKER

    try:
        said = CHECKER.result(path, truth)
    except DatasetError as error:
        raise ConfigurationError(str(error)) from error
    seconds = _positive(said["best_search_time"])
    qps = 1 / seconds if seconds else None
    recall = _share(said["recall"])
    size = _positive(said["index_size"])
    name, k = said["name"] or path.stem, int(_positive(said["count"]) or 0)
    missing = () if recall is not None else ("recall is not in the file: plot it once there",)
    alone = not said["batch_mode"]  # a batch has no times of single queries
    yield StoredCase(
        source="ann-benchmarks",
        session=_session(path),
        case_id=f"{name}-{said['dataset']}-k{k}",
        implementation=said["algo"],
        label=_label(said["algo"], name),
        build_label=_label(said["algo"], name),
        dataset=said["dataset"],
        metric=said["distance"] or None,
        n_queries=said["n_queries"],
        k=k,
        recall=recall,
        recall_ann_benchmarks=recall,
        qps=qps if alone else None,
        mean_s=_positive(said["mean_s"]) if alone else None,
        p50_s=_positive(said["p50_s"]) if alone else None,
        p95_s=_positive(said["p95_s"]) if alone else None,
        p99_s=_positive(said["p99_s"]) if alone else None,
        batch_qps=None if alone else qps,
        build_s=_positive(said["build_time"]),
        index_bytes=None if size is None else round(size * KILOBYTE),
        notes=(BY_THEIR_RULE, FASTEST, *missing),
    )


def vibe(path: Path, _truth: Path | None) -> Iterator[StoredCase]:
    """Reads VIBE's summary, which has a row per setting."""
    try:
        from pyarrow import parquet
    except ImportError as error:
        raise ConfigurationError(
            f"{path}: reading Parquet needs pyarrow, which is not installed. Run "
            "`pip install pyarrow`."
        ) from error
    try:
        rows = parquet.read_table(path, columns=list(VIBE_COLUMNS)).to_pylist()
    except (OSError, ValueError, KeyError, NotImplementedError) as error:
        raise ConfigurationError(
            f"{path}: not a summary of VIBE; expected the columns {', '.join(VIBE_COLUMNS)} "
            f"({str(error).splitlines()[0][:200]})"
        ) from error
    for row in rows:
        words = [str(row[name]) for name in ("algorithm", "params", "dataset")]
        algorithm, parameters, dataset = words
        size, k = _positive(row["index_size"]), int(_positive(row["k"]) or 0)
        recall = _share(row["recall"])
        build = parameters.rpartition("|")[0] or parameters
        yield StoredCase(
            source="vibe",
            session=_session(path),
            case_id=f"{algorithm}[{parameters}]-{dataset}-k{k}",
            implementation=algorithm,
            label=_label(algorithm, parameters),
            build_label=_label(algorithm, build),
            dataset=dataset,
            k=k,
            recall=recall,
            recall_ann_benchmarks=recall,
            qps=_positive(row["qps"]),
            build_s=_positive(row["build_time"]),
            index_bytes=None if size is None else round(size * KILOBYTE),
            notes=(BY_THEIR_RULE, FASTEST),
        )


VIBE_COLUMNS = (
    "k", "dataset", "algorithm", "params", "qps", "recall", "build_time", "index_size",
)  # fmt: skip


def pytest_benchmark(path: Path, _truth: Path | None) -> Iterator[StoredCase]:
    """Reads ANN benchmarks from files of ``--benchmark-json`` and ``--benchmark-save``."""
    try:
        saved = json.loads(path.read_bytes())
        rows = [row["extra_info"] for row in saved["benchmarks"]]
        rows = [row for row in rows if "case_id" in row]
        machine, at = _machine(saved.get("machine_info", {})), str(saved.get("datetime", ""))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ConfigurationError(f"{path}: not JSON of pytest-benchmark ({error})") from error
    for row in rows:
        try:
            yield _saved(row, machine=machine, at=at[:19], session=_session(path))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ConfigurationError(
                f"{path}: {row.get('case_id')!r} lacks figures of an ANN benchmark ({error})"
            ) from error


def _saved(row: Mapping[str, Any], *, machine: str, at: str, session: str) -> StoredCase:
    case_id = str(row["case_id"])
    label, dataset = _parts(case_id.removesuffix(f"-k{row['k']}"))
    known = {item.name for item in fields(StoredCase)}
    plain = {
        **{name: value for name, value in row.items() if name in known},
        "source": "pytest-benchmark",
        "session": session,
        "machine": machine,
        "measured_at": f"{at}Z" if at else "",
        "label": label,
        "build_label": label,
        "implementation": label.partition("[")[0],
        "dataset": dataset,
    }
    try:
        return msgspec.convert(finite(plain), StoredCase)
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from error


def _parts(text: str) -> tuple[str, str]:
    """Splits ``annoy[n_trees=10]-gist-960-euclidean`` into label and dataset."""
    if "]-" in text:
        label, _, dataset = text.rpartition("]-")
        return f"{label}]", dataset
    names = [name for name in catalog.CATALOG if text.endswith(f"-{name}")]
    if names:
        dataset = max(names, key=len)
        return text.removesuffix(f"-{dataset}"), dataset
    label, _, dataset = text.partition("-")
    return label, dataset


def _machine(info: Mapping[str, Any]) -> str:
    cpu = info.get("cpu") or {}
    cores = f"{cpu['count']} cores" if cpu.get("count") else ""
    system = f"{info.get('system', '')} {info.get('machine', '')}".strip()
    return ", ".join(part for part in (str(cpu.get("brand_raw", "")), cores, system) if part)


def _positive(value: Any) -> float | None:
    """Returns a finite number above 0, else None."""
    return float(value) if _is_number(value) and value > 0 else None


def _share(value: Any) -> float | None:
    return float(value) if _is_number(value) and 0 <= value <= 1 else None


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value)


def _label(algorithm: str, parameters: str) -> str:
    return parameters if parameters.startswith(algorithm) else f"{algorithm}[{parameters}]"


def _session(path: Path) -> str:
    """Returns a session name: that of the file, or of the folder of ann-benchmarks results."""
    return path.parent.name if path.suffix.lower() == ".hdf5" else path.name


READERS: Mapping[str, Callable[[Path, Path | None], Iterator[StoredCase]]] = {
    ".hdf5": ann_benchmarks,
    ".parquet": vibe,
    ".json": pytest_benchmark,
}
