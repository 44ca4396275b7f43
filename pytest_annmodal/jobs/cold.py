"""A first pass of all queries with the files that they read dropped from the page cache."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace

from pytest_annmodal.figures import size
from pytest_annmodal.jobs.asking import OnPhase
from pytest_annmodal.jobs.scorer import FirstAnswers, Unscored
from pytest_annmodal.jobs.trial import Trial
from pytest_annmodal.model import Search
from pytest_annmodal.outcome import Dropped
from pytest_annmodal.sandbox import page_cache
from pytest_annmodal.scoring import validity

OF_A_SUBMISSION = (
    "--ann-cold: what a submission reads lies in memory, and no file is behind it, so it was asked "
    "as ever"
)
IN_MEMORY = (
    "--ann-cold: it has no file of its own open or mapped, so its index was in memory as ever, and "
    "only the dataset's rows were cold"
)
NOTHING = (
    "--ann-cold: no file is open or mapped that its queries could read, so its first pass was as "
    "warm as the others"
)


def with_first_pass(
    trial: Trial, search: Search, on_phase: OnPhase, ask: Callable[[], Unscored]
) -> Unscored:
    """What one search gave, with a cold first pass before it where that is asked for.

    What compiles itself has done so by then: it has been asked warm-up queries.

    Raises:
        SubmissionError: as asking does.
    """
    if not trial.job.limits.cold:
        return ask()
    if not trial.job.implementation.trusted:
        return _noted(ask(), (OF_A_SUBMISSION,))
    asked, _ = trial.views[search.case_id]
    on_phase("first pass")
    warmed = trial.probe(replace(search, rounds=1), replace(asked, test=trial.warmup), on_phase)
    dropped = _dropped(trial)
    with trial.worker.watched() as contention:
        (times_ns, ids, counts), _ = trial.asker.block(search, asked.test, warm=False)
    found = _noted(ask(), tuple(_notes(dropped)))
    return replace(
        found,
        observed=replace(found.observed, first_query_ns=warmed.first_query_ns),
        first=FirstAnswers(
            times_ns=times_ns,
            given=validity.Given(ids=ids, counts=counts),
            dropped=dropped,
            disturbed=contention().disturbed,
        ),
    )


def _noted(unscored: Unscored, notes: tuple[str, ...]) -> Unscored:
    return replace(unscored, observed=unscored.observed.noted(notes))


def _dropped(trial: Trial) -> Dropped:
    """Drop the files of a worker that is about to be asked."""
    family = trial.worker.family()
    ours = page_cache.files_of(os.getpid())
    own = {path: at for path, at in page_cache.files_of(*family).items() if path not in ours}
    dataset = _dataset(trial)
    every = {**own, **dataset}
    before = page_cache.cached_bytes(own), page_cache.cached_bytes(dataset)
    page_cache.write_out(every)
    if dataset:
        page_cache.let_go(trial.data.train)
    trial.worker.request("page-out", {"paths": list(every)}, expect="paged-out")
    page_cache.drop(every)
    after = page_cache.cached_bytes(own), page_cache.cached_bytes(dataset)
    return Dropped(
        n_files=len(own),
        file_bytes=max(before[0] - after[0], 0),
        dataset_bytes=max(before[1] - after[1], 0),
        left_bytes=sum(after),
    )


def _dataset(trial: Trial) -> dict[str, str]:
    """The dataset's file, where the worker maps that and no copy in memory."""
    place = f"/proc/self/fd/{trial.train_file.fd}"
    try:
        return {os.readlink(place): place} if trial.train_file.is_dataset else {}  # noqa: PTH115
    except OSError:  # another system than Linux
        return {}


def _notes(dropped: Dropped) -> Iterator[str]:
    if not dropped.n_files:
        yield IN_MEMORY if dropped.dataset_bytes else NOTHING
    if dropped.left_bytes:
        yield (
            f"--ann-cold: {size(dropped.left_bytes)} of its files stayed in the page cache: "
            "another process has them mapped, they lie in memory (tmpfs), they belong to another "
            "user, or this system does not drop them"
        )
