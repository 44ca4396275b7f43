"""The referee: has the ground truth, and scores the answers of restricted containers."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from pytest_annmodal.errors import AnnModalError, SubmissionError
from pytest_annmodal.executors.modal.container import (
    own_copy,
)
from pytest_annmodal.executors.modal.restricted import PUBLISHED, ROWS
from pytest_annmodal.executors.modal.volume import SCRATCH, MountedVolume, say
from pytest_annmodal.model import Job, from_plain

KEPT_DATASETS = 3  # cached with fresh queries; sessions use few, in any order


def referee(
    job_json: str, where: Mapping[str, Any], answers: bytes | None, download: Any
) -> dict[str, Any]:
    """Makes the questions of a job, or scores the answers; runs in one trusted container.

    Args:
        job_json: a ``Job``; its implementation is neither run nor read here.
        answers: the result of :func:`ask_submission`; None makes the questions and publishes
            the training vectors.
        download: the ``download_dataset`` function, for a dataset that is not there.

    Returns:
        ``questions`` or ``outcomes`` (JSON), or ``error`` of a ``kind``; ``outcomes`` for a fault
        of the submission.
    """
    from pytest_annmodal.jobs import training_data
    from pytest_annmodal.jobs.halves import halves, questions
    from pytest_annmodal.outcome import failure_of, outcome_to_plain

    job = from_plain(Job, json.loads(job_json))
    volume = MountedVolume(where["volume"], where["mount"])
    try:
        path = _kept_copy(job, volume, where, download)
        data = training_data.load(job, path, SCRATCH, load_fresh=_load_fresh)
        if answers is None:
            asked = questions.questions(job, data, **_publish(job, path, volume))
            return {"questions": asked.pack()}
        outcomes = halves.score(job, data, answers)
    except SubmissionError as error:
        outcomes = [failure_of(search.case_id, error, "load") for search in job.searches]
    except AnnModalError as error:
        return {"kind": type(error).__name__, "error": str(error)}
    return {"outcomes": json.dumps([outcome_to_plain(outcome) for outcome in outcomes])}


@lru_cache(maxsize=KEPT_DATASETS)
def _load_fresh(path: Path, *, subset: int | None, seed: int, k: int, cache: Path | None) -> Any:
    from pytest_annmodal.jobs import fresh_queries

    return fresh_queries.load_fresh.__wrapped__(path, subset=subset, seed=seed, k=k, cache=cache)


def _kept_copy(job: Job, volume: MountedVolume, where: Mapping[str, Any], download: Any) -> Path:
    """Copies the dataset to this container's own disk, once for all jobs."""
    folder = SCRATCH / f"referee-{(job.dataset.sha256 or 'unknown')[:16]}"
    kept = folder / f"{job.dataset.name}.hdf5"
    if not kept.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as fresh:
            own_copy(job.dataset, volume, Path(fresh), where, download).replace(kept)
    return kept


def _holds(path: Path, train: Any) -> bool:
    """Whether a file's bytes are exactly these rows."""
    if not (path.exists() and path.stat().st_size == train.nbytes):
        return False
    with path.open("rb") as file:  # not mapped: the mount could not be reloaded meanwhile
        blocks = (train[start : start + ROWS] for start in range(0, len(train), ROWS))
        return all(file.read(block.nbytes) == block.tobytes() for block in blocks)


def _publish(job: Job, path: Path, volume: MountedVolume) -> dict[str, Any]:
    """Writes ``train`` to the directory that restricted containers see; returns name and sizes.

    Raises:
        CommitError: it could not be made visible to other containers.
    """
    from pytest_annmodal.datasets import hdf5

    subset = job.limits.subset
    data = hdf5.load(path, subset=subset, truth_cache=SCRATCH)
    cut = "" if subset is None else f"-sample-{subset}"
    laid = data.layout.to_memory(data.train)
    name = f"{job.dataset.name}-{(job.dataset.sha256 or 'unknown')[:16]}{cut}.rows"
    target = volume.path / PUBLISHED / name
    if not _holds(target, laid):
        target.parent.mkdir(exist_ok=True)
        partial = target.with_suffix(".part")  # the final name means that it is complete
        with partial.open("wb") as file:
            laid.tofile(file)
        partial.replace(target)
        say(f"Published {laid.nbytes / 1e6:,.1f} MB of training vectors as {name}")
        volume.commit()
    return {"train": name, "n_rows": len(data.train), "n_bytes": laid.nbytes}
