"""Results of other programs are read: ann-benchmarks, VIBE, pytest-benchmark."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from stored_cases import measured, stored

from pytest_annmodal.errors import ConfigurationError
from pytest_annmodal.reports.export import FORMATS
from pytest_annmodal.results.reading import read_results
from pytest_annmodal.results.stored import StoredCase

ATTRIBUTES = {
    "algo": "annoy",
    "dataset": "small-8-euclidean",
    "distance": "euclidean",
    "name": "Annoy(n_trees=100,search_k=400)",
    "best_search_time": 0.0005,
    "build_time": 12.5,
    "index_size": 2048.0,
    "count": 10,
    "batch_mode": False,
    "run_count": 3,
    "candidates": 10.0,
    "expect_extra": False,
}


def result_file(folder: Path, *, recall: float | None = 0.875, **replace: Any) -> Path:
    """Writes a file at ann-benchmarks' path ``results/DATASET/COUNT/ALGORITHM/ARGUMENTS.hdf5``."""
    path = (
        folder / "small-8-euclidean" / "10" / "annoy" / f"{len(list(folder.rglob('*.hdf5')))}.hdf5"
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        file.attrs.update({**ATTRIBUTES, **replace})
        file["times"] = np.linspace(0.0004, 0.0014, 20, dtype=np.float32)
        file["neighbors"] = np.zeros((20, 10), np.int32)
        file["distances"] = np.zeros((20, 10), np.float32)
        if recall is not None:
            file.create_group("metrics/knn").attrs["mean"] = recall
    return path


def test_ann_benchmarks(tmp_path: Path) -> None:
    """A folder of results is read with our units and without invented figures."""
    result_file(tmp_path)
    result_file(tmp_path, batch_mode=True, recall=float("nan"), index_size=-5.0)
    one, batch = read_results([tmp_path]).cases
    assert (one.source, one.is_foreign, one.machine, one.key) == ("ann-benchmarks", True, "", None)
    assert (one.implementation, one.dataset, one.k) == ("annoy", "small-8-euclidean", 10)
    assert one.label == "annoy[Annoy(n_trees=100,search_k=400)]"
    assert (one.recall, one.recall_ann_benchmarks, one.recall_ids) == (0.875, 0.875, None)
    assert (one.qps, one.build_s, one.index_bytes) == (2000, 12.5, 2048 * 1024)
    assert one.p50_s == pytest.approx(0.0009)
    assert one.n_queries == 20
    assert (batch.qps, batch.batch_qps, batch.p50_s) == (None, 2000, None)
    assert (batch.recall, batch.index_bytes) == (None, None)
    assert "fastest of its runs" in " ".join(one.notes)


def test_recall_from_the_dataset(tmp_path: Path, small_dataset: Callable[..., Path]) -> None:
    """A missing recall is computed by ann-benchmarks' rule if the dataset is there."""
    results, volume = tmp_path / "results", tmp_path / "volume"
    volume.mkdir()
    path = result_file(results, recall=None)
    (missing,) = read_results([results], truth=volume).cases
    assert missing.recall is None
    assert any("recall is not in the file" in note for note in missing.notes)
    with h5py.File(small_dataset(directory=volume), "r") as data, h5py.File(path, "r+") as file:
        found = data["distances"][:, :10] + 0.0005
        found[:, 5:] = np.inf  # missing answers
        file["distances"][:] = found
    (case,) = read_results([results], truth=volume).cases
    assert case.recall == 0.5


def vibe_file(path: Path, **replace: Any) -> Path:
    import pyarrow as pa
    from pyarrow import parquet

    columns = {
        "k": [100, 100],
        "dataset": ["agnews-mxbai-1024-euclidean"] * 2,
        "algorithm": ["hnswlib", "glass"],
        "params": ["hnsw(M=16)|ef_10", "glass|20"],
        "qps": [1000.0, float("inf")],
        "recall": [0.9, 1.5],
        "build_time": [60.0, None],
        "index_size": [1000.0, 0.0],
    }
    parquet.write_table(pa.table({**columns, **replace}), path)
    return path


def test_vibe(tmp_path: Path) -> None:
    """Each row is a case; impossible figures are missing."""
    vibe_file(tmp_path / "summary.parquet")
    one, two = read_results([tmp_path]).cases
    assert (one.source, one.label, one.build_label) == (
        "vibe",
        "hnswlib[hnsw(M=16)|ef_10]",
        "hnswlib[hnsw(M=16)]",
    )
    assert (one.qps, one.recall, one.build_s, one.index_bytes) == (1000, 0.9, 60, 1_024_000)
    assert (two.qps, two.recall, two.build_s, two.index_bytes) == (None, None, None, None)


def saved_json(path: Path, **replace: Any) -> Path:
    info = {
        "case_id": "annoy[n_trees=10,search_k=5]-gist-960-euclidean-k10",
        "k": 10,
        "rounds": 3,
        "recall": 0.5,
        "qps": 100.0,
        "p50_s": 0.01,
        "p99_s": float("nan"),
        "notes": ["noisy: x"],
        "where": "modal",
        "asked": {"n_trees": 10},
        "unknown": 1,
        **replace,
    }
    plain = {**info, "case_id": "bruteforce-random-blobs-k10"}
    saved = {
        "machine_info": {
            "cpu": {"brand_raw": "Some CPU", "count": 4},
            "system": "Linux",
            "machine": "x86_64",
            "node": "somebodys-laptop",
        },
        "datetime": "2026-11-29T21:00:00.123456+00:00",
        "benchmarks": [{"extra_info": info}, {"extra_info": {}}, {"extra_info": plain}],
    }
    path.write_text(json.dumps(saved), encoding="utf-8")
    return path


def test_pytest_benchmark(tmp_path: Path) -> None:
    """Our figures in ``--benchmark-json`` are read with their machine; other benchmarks are ignored."""
    one, two = read_results([saved_json(tmp_path / "out.json")]).cases
    assert (one.source, one.machine) == ("pytest-benchmark", "Some CPU, 4 cores, Linux x86_64")
    assert (one.label, one.dataset, one.implementation) == (
        "annoy[n_trees=10,search_k=5]",
        "gist-960-euclidean",
        "annoy",
    )
    assert (one.recall, one.p50_s, one.p99_s, one.where) == (0.5, 0.01, None, "modal")
    assert one.measured_at == "2026-11-29T21:00:00Z"
    assert two.implementation == "bruteforce"


def test_a_session_s_own_json(tmp_path: Path) -> None:
    """Every figure that a session wrote is read again."""
    import dataclasses

    from session_data import measurement

    from pytest_annmodal.results.rows import extra_info

    own = dataclasses.replace(measurement(), case_id="exact[a=1]-small-8-euclidean-k10")
    path = tmp_path / "out.json"
    rows = [{"extra_info": extra_info(own, "local")}]
    path.write_text(json.dumps({"benchmarks": rows, "machine_info": {}}), encoding="utf-8")
    (case,) = read_results([path]).cases
    assert (case.recall, case.qps, case.p99_s) == (own.recall, own.qps, own.p99_s)
    assert (case.build_s, case.notes, case.asked) == (own.build_s, own.notes, own.asked)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.hdf5", b"not HDF5", "not a result file of ann-benchmarks"),
        ("a.json", b"[1", "not JSON of pytest-benchmark"),
        (
            "a.json",
            b'{"benchmarks": [{"extra_info": {"case_id": "x"}}]}',
            "lacks figures of an ANN",
        ),
        ("a.json", b'{"benchmarks": [3]}', "not JSON of pytest-benchmark"),
        ("a.json", b"[" * 99_999, "not JSON of pytest-benchmark"),
        ("a.parquet", b"PAR1 no", "not a summary of VIBE"),
    ],
)
def test_files_that_are_not_what_they_say(
    tmp_path: Path, name: str, content: bytes, words: str
) -> None:
    """A file that cannot be read is reported in one line; the others are used."""
    (tmp_path / name).write_bytes(content)
    own = stored(tmp_path / "own", measured())
    found = read_results([tmp_path / name, own])
    assert len(found.cases) == 1
    (said,) = found.warnings
    assert words in said
    assert said.startswith(str(tmp_path / name))
    assert said.endswith("It was skipped.")
    assert "\n" not in said


def test_hdf5_without_what_a_result_has(tmp_path: Path) -> None:
    """A dataset file is no result; neither is a file whose times are two-dimensional."""
    path = result_file(tmp_path)
    with h5py.File(path, "r+") as file:
        del file["times"]
        file["times"] = np.zeros((3, 3))
    with h5py.File(result_file(tmp_path), "r+") as file:
        del file.attrs["algo"]
    found = read_results([tmp_path])
    assert found.cases == ()
    assert all("not a result file of ann-benchmarks" in said for said in found.warnings)
    assert len(found.warnings) == 2


def test_parquet_with_other_columns(tmp_path: Path) -> None:
    """A Parquet file with other columns is refused with the expected ones."""
    path = vibe_file(tmp_path / "a.parquet", k=["x", "y"])
    (one, _) = read_results([path]).cases
    assert one.k == 0
    import pyarrow as pa
    from pyarrow import parquet

    parquet.write_table(pa.table({"a": [1]}), path)
    (said,) = read_results([path]).warnings
    assert "k, dataset, algorithm, params, qps" in said


def test_without_pyarrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where pyarrow is not installed, a Parquet file says what to install."""
    path = vibe_file(tmp_path / "summary.parquet")
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    (said,) = read_results([path]).warnings
    assert "pip install pyarrow" in said


def test_an_unknown_kind(tmp_path: Path) -> None:
    """An unknown kind of file is refused with the known ones."""
    (tmp_path / "a.txt").write_text("")
    with pytest.raises(ConfigurationError, match=r"expected \.jsonl, or of other programs \.hdf5"):
        read_results([tmp_path / "a.txt"])


def test_foreign_results_are_marked(tmp_path: Path) -> None:
    """Every format shows which program measured."""
    result_file(tmp_path)
    cases: list[StoredCase] = [measured(), *read_results([tmp_path]).cases]
    assert "measured by ann-benchmarks, on another machine" in FORMATS["markdown"](cases).decode()
    assert "measured by ann{-}benchmarks" in FORMATS["latex"](cases).decode()
    assert json.loads(FORMATS["json"](cases))[1]["source"] == "ann-benchmarks"
