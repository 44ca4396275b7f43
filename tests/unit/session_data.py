"""An implementation, a dataset and a measurement, as small as they can be."""

from __future__ import annotations

from pytest_annmodal.model import Arguments, Dataset, Implementation, Variant
from pytest_annmodal.outcome import Measurement

INDEX = "class Index:\n    def fit(self, X): ...\n    def query(self, v, k): ...\n"


def implementation(
    name: str = "a", n_builds: int = 1, n_searches: int = 1, **more
) -> Implementation:
    variants = tuple(
        Variant(build=Arguments(kwargs={"b": b}), search=Arguments(kwargs={"s": s}))
        for b in range(n_builds)
        for s in range(n_searches)
    )
    more = {"metrics": ("euclidean", "angular"), **more}
    return Implementation(
        name=name, path=f"/{name}.py", class_name="Index", variants=variants, **more
    )


def dataset(name: str = "d", metric: str | None = "euclidean") -> Dataset:
    return Dataset(name=name, source=f"file:/{name}.hdf5", metric=metric)


def measurement(latencies_ns: tuple[int, ...] = (3, 2_000, 10**10)) -> Measurement:
    return Measurement(
        case_id="c",
        k=2,
        rounds=1,
        metric="euclidean",
        dim=4,
        n_train=5,
        n_queries=3,
        recall=0.5,
        recall_ids=0.4,
        recall_ann_benchmarks=0.6,
        latencies_ns=latencies_ns,
        qps=100.0,
        mean_s=0.01,
        p50_s=0.02,
        p95_s=0.03,
        p99_s=0.04,
        batch_qps=None,
        batch_recall=None,
        build_s=1.5,
        first_query_ns=7,
        index_bytes=1000,
        reported_index_bytes=None,
        peak_rss_bytes=2000,
        clock="worker",
        clock_floor_ns=30,
        mailbox_floor_ns=2000,
        log_tail="printed",
    )
