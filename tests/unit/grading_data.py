"""A measurement, a case, a submission and rules, as small as they can be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pytest_annmodal.grading.rules import Rules, read_rules
from pytest_annmodal.grading.score import Plan
from pytest_annmodal.grading.submissions import Submission
from pytest_annmodal.model import Arguments, Case, Dataset, Implementation, Variant
from pytest_annmodal.outcome import Failure, Measurement

DATASET = Dataset(name="tiny-8-euclidean", source="generate:euclidean", metric="euclidean")
OTHER = Dataset(name="other-8-euclidean", source="generate:euclidean", metric="euclidean")
RULES = """
datasets = ["tiny-8-euclidean"]
[[parts]]
name = "Finds"
points = 30
min_recall = { none_at = 0.5, full_at = 0.9 }
[[parts]]
name = "Fast"
points = 10
min_recall = 0.8
min_qps = 1000
"""


def measured(case: Case, **replace: Any) -> Measurement:
    values: dict[str, Any] = {
        "case_id": case.id,
        "k": 10,
        "rounds": 1,
        "metric": "euclidean",
        "dim": 8,
        "n_train": 100,
        "n_queries": 2,
        "recall": 1.0,
        "recall_ids": 1.0,
        "recall_ann_benchmarks": 1.0,
        "latencies_ns": (500_000, 600_000),
        "qps": 2000.0,
        "mean_s": 5e-4,
        "p50_s": 5e-4,
        "p95_s": 6e-4,
        "p99_s": 6e-4,
        "batch_qps": None,
        "batch_recall": None,
        "build_s": 0.5,
        "first_query_ns": 1,
        "index_bytes": 100_000_000,
        "reported_index_bytes": None,
        "peak_rss_bytes": 2,
        "clock": "parent",
        "clock_floor_ns": 1,
        "mailbox_floor_ns": 1,
    }
    return Measurement(**{**values, **replace})


def failed(case: Case, **replace: Any) -> Failure:
    values = {"kind": "raised", "message": "build raised ValueError: no", "phase": "build"}
    return Failure(case_id=case.id, **{**values, **replace})


def plan(*settings: int, name: str = "student", datasets: tuple[Dataset, ...] = (DATASET,)) -> Plan:
    """A submission with one search setting per number, or its default one."""
    variants = tuple(
        Variant(build=Arguments(), search=Arguments(kwargs={"probe": number} if settings else {}))
        for number in settings or (0,)
    )
    path = Path("/class") / f"{name}.py"
    item = Implementation(
        name=name, path=str(path), class_name="Index", trusted=False, variants=variants
    )
    submission = Submission(
        name=name, path=path, shown=path.name, implementations=(item,), digest="0" * 64
    )
    cases = {
        dataset.name: [Case(implementation=item, variant=v, dataset=dataset) for v in variants]
        for dataset in datasets
    }
    return Plan(submission=submission, cases=cases)


def rules(folder: Path, text: str = RULES) -> Rules:
    path = folder / "grading.toml"
    path.write_text(text, encoding="utf-8")
    return read_rules(path)
