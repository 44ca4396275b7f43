"""Runs a first pass of all queries after dropping the files that they read from the page cache."""

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
    "--ann-cold was left out: a submission reads only memory, so there is no file to drop from "
    "the page cache"
)
IN_MEMORY = (
    "--ann-cold: it has no file of its own open or mapped, so its index stayed in memory and only "
    "the dataset's rows were cold"
)
NOTHING = (
    "--ann-cold: its queries read no file that is open or mapped, so its first pass was as warm as "
    "the others"
)


def with_first_pass(
    trial: Trial, search: Search, on_phase: OnPhase, ask: Callable[[], Unscored]
) -> Unscored:
    """Asks one search, with a cold first pass before it if that was asked for.

    Warm-up queries come before that pass, so that compiling is not timed in it.

    Raises:
        SubmissionError: the worker ended, or an answer is wrong.
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
    """Drops the files of a worker from the page cache, before it is asked."""
    family = trial.worker.family()
    ours = page_cache.files_of(os.getpid())
    own = {path: at for path, at in page_cache.files_of(*family).items() if path not in ours}
    dataset = _dataset(trial)
    every = {**own, **dataset}
    before = page_cache.cached_bytes(own), page_cache.cached_bytes(dataset)
    page_cache.write_out(every)
    if dataset:
        page_cache.release(trial.data.train)
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
    """Returns the dataset's file, if the worker maps that and not a copy in memory."""
    place = f"/proc/self/fd/{trial.train_file.fd}"
    try:
        return {os.readlink(place): place} if trial.train_file.is_dataset else {}  # noqa: PTH115
    except OSError:  # not Linux
        return {}


def _notes(dropped: Dropped) -> Iterator[str]:
    if not dropped.n_files:
        yield IN_MEMORY if dropped.dataset_bytes else NOTHING
    if dropped.left_bytes:
        yield (
            f"--ann-cold: {size(dropped.left_bytes)} of its files stayed in the page cache: "
            "another process has mapped them, they are in memory (tmpfs), they belong to another "
            "user, or this system cannot drop them"
        )
