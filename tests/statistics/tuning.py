"""Settings that ``--ann-target-recall`` finds, beside the smallest of a full sweep (docs/settings.md).

    python tests/statistics/tuning.py [IMPLEMENTATION…]

Each built-in that can be tuned is asked for three recalls on two datasets. Then the same build is
measured at every value up to the largest that was found (whole numbers; steps of 1 % where there are
many; 0.01 on a linear axis). Recalls are compared on the same queries, those that tuning keeps for
figures. Times play no part. Takes minutes.
"""

from __future__ import annotations

import dataclasses
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from pytest_annmodal import data
from pytest_annmodal.datasets import synthetic
from pytest_annmodal.execution import run_job
from pytest_annmodal.jobs.tuning import ranges
from pytest_annmodal.jobs.tuning.axis import Axis
from pytest_annmodal.manifests import manifest
from pytest_annmodal.model import Arguments, Dataset, Implementation, Job, Limits, Search, Target
from pytest_annmodal.outcome import Measurement

TARGETS = 0.9, 0.95, 0.99
K = 10
DENSE = 300  # below it every whole number is tried
RATIO = 1.01  # of two values above it
STEP = 0.01  # of a linear axis


def measured(job: Job, path: Path) -> list[Measurement]:
    found = run_job(job, path)
    for one in found:
        assert isinstance(one, Measurement), one
    return [one for one in found if isinstance(one, Measurement)]


def swept(axis: Axis, high: float) -> Iterator[float]:
    """Yields the values of an axis from its lower end to ``high``."""
    value = axis.low
    while value <= high:
        yield value
        if not axis.whole:
            value = round(value + STEP, 4)
        else:
            value = value + 1 if value < DENSE else max(value + 1, round(value * RATIO))


def on_figure_queries(one: Measurement) -> float:
    """The recall on every second query, from the second on, as tuning splits them."""
    assert one.query_hits is not None
    return float(np.asarray(one.query_hits)[1::2].mean()) / (K * one.rounds)


def pair(item: Implementation, dataset: Dataset, path: Path) -> Iterator[str]:
    """Yields, for each recall, the found value and the smallest, or what is wrong."""
    variant, name = item.variants[0], item.tune[0].name
    settings = (variant.search,)
    job = Job(
        dataset=dataset,
        implementation=item,
        build=variant.build,
        searches=tuple(
            Search(
                case_id=f"{target}",
                arguments=variant.search,
                k=K,
                rounds=1,
                target=Target(recall=target, settings=settings, budget_s=600.0),
            )
            for target in TARGETS
        ),
        limits=Limits(phase_timeout_s=600.0),
    )
    tuned = measured(job, path)
    values = [one.tuned.arguments.kwargs[name] for one in tuned if one.tuned]
    axis = ranges.axes(job, job.searches[0], n=dataset.n_train or 0, dim=64)[0][name]
    tried = sorted({*swept(axis, max(values)), *values})
    searches = tuple(
        Search(case_id=f"{value}", arguments=Arguments(kwargs={name: value}), k=K, rounds=1)
        for value in tried
    )
    sweep = measured(dataclasses.replace(job, searches=searches), path)
    recalls = dict(zip(tried, map(on_figure_queries, sweep), strict=True))
    for one, value, target in zip(tuned, values, TARGETS, strict=True):
        assert one.tuned is not None
        smallest = min((v for v, recall in recalls.items() if recall >= target), default=None)
        n_probes = len(one.tuned.probes)
        words = f"{value:g} / " + ("–" if smallest is None else f"{smallest:g}")
        if abs(recalls[value] - one.recall) > 1e-9:
            words += f" (another build: recall {recalls[value]:.4f}, tuned {one.recall:.4f})"
        yield f"{words} ({n_probes})" if one.tuned.reached else f"not reached: {words}"


def main(names: list[str]) -> None:
    print(f"| dataset | implementation | argument | {' | '.join(map(str, TARGETS))} |")
    print("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        clusters = Path(folder) / "clusters-64-euclidean.hdf5"
        synthetic.generate(clusters, "euclidean")
        digits = Path(str(data.__file__)).parent / "digits-64-euclidean.hdf5"
        for path, n_train in ((digits, 1_597), (clusters, 20_000)):
            dataset = Dataset(name=path.stem, source=f"file:{path}", n_train=n_train)
            for item in manifest.builtin():
                if item.tune and (not names or item.name in names):
                    found = " | ".join(pair(item, dataset, path))
                    print(
                        f"| {path.stem} | {item.name} | `{item.tune[0].name}` | {found} |",
                        flush=True,
                    )


if __name__ == "__main__":
    main(sys.argv[1:])
