"""Scoring and storing the answers of one job, in a process of its own."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from pytest_annmodal.datasets import hdf5
from pytest_annmodal.jobs.scorer import Observed, Scorer, Unscored
from pytest_annmodal.model import Arguments, Dataset, Implementation, Job, Search
from pytest_annmodal.results import outcomes, store
from pytest_annmodal.scoring.validity import Given

K = 100
MOST_WRONG = 20  # of the ids of one answer, at the setting that finds least


def run(spec: dict[str, Any], tell: Callable[[dict[str, Any]], None]) -> None:
    path = Path(spec["dataset"])
    data = hdf5.load(path, k=K, truth_cache=path.parent / "kept")
    n_settings = spec["settings"]
    job = Job(
        dataset=Dataset(name=path.stem, source=f"file:{path}"),
        implementation=Implementation(
            name="answers", path=str(path), class_name="Index", metrics=(data.info.metric,)
        ),
        build=Arguments(),
        searches=tuple(
            Search(case_id=str(n), arguments=Arguments(kwargs={"n": n}), k=K, rounds=1)
            for n in range(n_settings)
        ),
    )
    answers = [_answers(data, n, n_settings) for n in range(n_settings)]
    for turn in range(spec["alternations"]):
        results = store.ResultStore(path.parent / f"results-{turn}", "session")
        start = time.perf_counter()
        _score_and_store(job, data, answers, results)
        tell({"seconds": time.perf_counter() - start})


def _answers(data: hdf5.LoadedDataset, number: int, n_settings: int) -> Unscored:
    """True neighbours but for some other rows, fewer with each setting."""
    rng = np.random.default_rng(number)
    n = len(data.test)
    ids = data.neighbors[:, :K].astype(np.int64)
    n_wrong = MOST_WRONG * (n_settings - number) // n_settings
    start = rng.integers(len(data.train), size=(n, 1))
    for column in range(n_wrong):
        other = (start + column) % len(data.train)
        is_new = (ids != other).all(axis=1)
        ids[is_new, K - 1 - column] = other[is_new, 0]
    return Unscored(
        case_id=str(number),
        times_ns=rng.integers(100_000, 200_000, size=(1, n)),
        answers=Given(ids=ids[None], counts=np.full((1, n), K)),
        batch=None,
        observed=Observed(
            build_s=1.0,
            first_query_ns=1,
            index_bytes=1,
            reported_index_bytes=None,
            peak_rss_bytes=1,
            clock_floor_ns=1,
            mailbox_floor_ns=1,
            uncertain_share=None,
            n_left_out=0,
            disturbed=(),
            environment={},
            notes=(),
            log_tail="",
        ),
    )


def _score_and_store(
    job: Job, data: hdf5.LoadedDataset, answers: list[Unscored], results: store.ResultStore
) -> None:
    """As a session does it: each setting is scored when it was asked, the job stored at its end."""
    scorer = Scorer(job, data)
    found = [scorer.measurement(unscored) for unscored in answers]
    results.add(
        (
            outcomes.stored_case(
                job, search, outcome, key="key", content=None, where="local", machine="this"
            ),
            store.samples_of(outcome),
        )
        for search, outcome in zip(job.searches, found, strict=True)
    )
    results.close()
