"""Stored cases for tests: what a session would have kept, without a session."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from pytest_annmodal.model import Arguments
from pytest_annmodal.outcome import Failure
from pytest_annmodal.results.samples import Samples
from pytest_annmodal.results.store import ResultStore
from pytest_annmodal.results.stored import StoredCase


def measured(number: int = 0, **replace: Any) -> StoredCase:
    """A measurement; a greater number finds more and is slower."""
    case = StoredCase(
        key=f"{number:064x}",
        session="0123456789abcdef",
        measured_at="2026-11-29T21:00:00Z",
        version="1.0",
        where="local",
        machine="Processor, 2 cores, Linux x86_64",
        case_id=f"hnswlib[M=12,ef={number}]-digits-64-euclidean-k10",
        implementation="hnswlib",
        label=f"hnswlib[M=12,ef={number}]",
        build_label="hnswlib[M=12]",
        build=Arguments(kwargs={"M": 12}),
        search=Arguments(kwargs={"ef": number}),
        dataset="digits-64-euclidean",
        dataset_sha256="ab" * 32,
        metric="euclidean",
        dim=64,
        n_train=1597,
        n_queries=4,
        k=10,
        rounds=2,
        threads=1,
        clock="worker",
        recall=1 - 0.5 ** (1 + number),
        recall_ids=0.5,
        recall_ann_benchmarks=0.5,
        qps=1e5 / (1 + number),
        mean_s=1e-5 * (1 + number),
        p50_s=9e-6 * (1 + number),
        p95_s=2e-5 * (1 + number),
        p99_s=3e-5 * (1 + number),
        build_s=0.25,
        first_query_ns=50_000,
        index_bytes=3_000_000,
        peak_rss_bytes=40_000_000,
        asked={"M": 12, "ef": number},
        effective={"M": 12, "ef": max(10, number)},
        environment={"cpu": "Processor", "versions": {"hnswlib": "0.8.0"}},
    )
    return dataclasses.replace(case, **replace)


def failed(number: int = 0, **replace: Any) -> StoredCase:
    """A case whose implementation raised something."""
    case_id = f"broken[{number}]-digits-64-euclidean-k10"
    case = StoredCase(
        session="0123456789abcdef",
        measured_at="2026-11-29T21:00:00Z",
        where="local",
        case_id=case_id,
        implementation="broken",
        label=f"broken[{number}]",
        build_label="broken",
        dataset="digits-64-euclidean",
        k=10,
        failure=Failure(case_id=case_id, kind="raised", message="ValueError: no", phase="build"),
    )
    return dataclasses.replace(case, **replace)


def samples() -> Samples:
    """Two rounds of four queries, one of them beyond what 32 bits hold."""
    latencies = np.array([[900, 1_000, 1_100, 1_200], [910, 1_010, 1_110, 5_000_000_000]])
    return Samples(latencies_ns=latencies, query_hits=np.array([20, 19, 20, 3]))


def stored(folder: Path, *cases: StoredCase, session: str = "0123456789abcdef") -> Path:
    """The file of a session that kept these cases."""
    store = ResultStore(folder, session)
    store.add([(case, samples() if case.failure is None else None) for case in cases])
    store.close()
    assert store.path is not None
    return store.path
