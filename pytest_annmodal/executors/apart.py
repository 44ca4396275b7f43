"""What runs in containers for a submission: the restricted half, and the referee's.

The restricted function's container has no network, no access to Modal, one directory of the
volume with training vectors, and no truth. It takes and returns bytes, which no side unpickles
(see ``raw.py``). The referee is trusted code alone.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
import tempfile
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from pytest_annmodal.errors import AnnModalError, DatasetError, ExecutorError, SubmissionError
from pytest_annmodal.executors.container import (
    SCRATCH,
    MountedVolume,
    await_commit,
    failures,
    memory_left,
    own_copy,
    say,
    tell,
    whole_log,
)
from pytest_annmodal.executors.shipping import unpack
from pytest_annmodal.model import Job, to_plain

PUBLISHED = "train"  # the volume's directory that restricted containers see, and no other
ROWS = 4096  # of training vectors, compared at a time
KEPT_DATASETS = 3  # with fresh queries; sessions go through few, in any order
WHOLE_VOLUME = (
    "isolation: Modal mounted the whole volume where one directory was asked for, so the truth is "
    "in the container, behind the sandbox there"
)


@whole_log()
def ask_submission(
    job_json: str, files: Mapping[str, bytes], where: Mapping[str, Any], questions: bytes
) -> bytes:
    """Have a submission answer; nobody here knows whether it is right.

    Args:
        job_json: a ``Job`` whose implementation's path is among ``files``.
        files: relative name → content, what belongs to the submission.
        where: ``volume``, ``mount``, ``memory_bytes``.
        questions: of the referee.
    """
    from pytest_annmodal.jobs import apart, sheet
    from pytest_annmodal.jobs.exam import Questions

    job = Job.from_plain(json.loads(job_json))
    asked = Questions.unpack(questions)
    volume = MountedVolume(where["volume"], where["mount"])
    say(f"Volume '{volume.name}' is mounted at {volume.path} (its directory '{PUBLISHED}' alone)")
    with tempfile.TemporaryDirectory(prefix="annmodal-") as folder:
        scratch = Path(folder)
        scratch.chmod(0o711)  # the submission runs as another user, who must reach its own file
        try:
            path, notes = _published(asked.train, volume, scratch, job)
            vectors = asked.vectors(path)
        except DatasetError as error:
            lost = failures(job, "dataset", str(error))
            return sheet.pack([sheet.Answered(result=item) for item in lost])
        job = dataclasses.replace(
            job,
            implementation=unpack(job.implementation, files, scratch / "submission"),
            limits=dataclasses.replace(job.limits, memory_bytes=memory_left(job, path, where)),
        )
        answers = apart.answer(job, vectors, notes=notes, on_phase=lambda text: tell(job, text))
        tell(job, "done")
    return answers


def _published(
    name: str, volume: MountedVolume, scratch: Path, job: Job
) -> tuple[Path, tuple[str, ...]]:
    """An own copy of the training vectors, and what to note about where they were."""
    stored, notes = volume.path / name, tuple[str, ...]()
    whole = volume.path / PUBLISHED / name
    if not stored.exists():
        await_commit(volume, stored, whole)  # the container was there before they were
    if whole.exists():
        if job.limits.isolation == "strict":
            raise DatasetError(f"{WHOLE_VOLUME}. --ann-isolation=strict does not run it there.")
        stored, notes = whole, (WHOLE_VOLUME,)
    copy = scratch / name
    try:
        shutil.copyfile(stored, copy)
    except OSError as error:
        # Not a DatasetError: another container, started later, may have them.
        raise ExecutorError(
            f"The training vectors of '{job.dataset.name}' cannot be read from directory "
            f"'{PUBLISHED}' of volume '{volume.name}' ({error.strerror}). Try again."
        ) from error
    copy.chmod(0o600)
    return copy, notes


def referee(
    job_json: str, where: Mapping[str, Any], answers: bytes | None, download: Any
) -> dict[str, Any]:
    """Write the questions of a job, or score the answers; trusted, in one container at a time.

    Args:
        job_json: a ``Job``; of its implementation nothing is run or read here.
        answers: what :func:`ask_submission` returned; None asks for the questions, and has the
            training vectors published.
        download: the ``download_dataset`` function, for a dataset that is not there.

    Returns:
        ``questions`` or ``outcomes`` (JSON), or ``error`` of a ``kind``; for a submission's own
        fault ``outcomes``.
    """
    from pytest_annmodal.jobs import apart, exam, materials
    from pytest_annmodal.outcome import failure_of

    job = Job.from_plain(json.loads(job_json))
    volume = MountedVolume(where["volume"], where["mount"])
    try:
        path = _kept_copy(job, volume, where, download)
        data = materials.load(job, path, SCRATCH, load_fresh=_load_fresh)
        if answers is None:
            name, n_rows = _publish(job, path, volume)
            asked = exam.questions(job, data, train=name, n_rows=n_rows)
            return {"questions": asked.pack()}
        outcomes = apart.score(job, data, answers)
    except SubmissionError as error:
        outcomes = [failure_of(search.case_id, error, "load") for search in job.searches]
    except AnnModalError as error:
        return {"kind": type(error).__name__, "error": str(error)}
    return {"outcomes": json.dumps([to_plain(outcome) for outcome in outcomes])}


@lru_cache(maxsize=KEPT_DATASETS)
def _load_fresh(path: Path, *, subset: int | None, seed: int, k: int, cache: Path | None) -> Any:
    from pytest_annmodal.jobs import fresh

    return fresh.load_fresh.__wrapped__(path, subset=subset, seed=seed, k=k, cache=cache)


def _kept_copy(job: Job, volume: MountedVolume, where: Mapping[str, Any], download: Any) -> Path:
    """The dataset on this container's own disk, kept for the jobs to come."""
    folder = SCRATCH / f"referee-{(job.dataset.sha256 or 'unknown')[:16]}"
    kept = folder / f"{job.dataset.name}.hdf5"
    if not kept.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as fresh:
            own_copy(job.dataset, volume, Path(fresh), where, download).replace(kept)
    return kept


def _holds(path: Path, train: Any) -> bool:
    """Whether a file is these vectors, to the last byte: others would be another question."""
    if not (path.exists() and path.stat().st_size == train.nbytes):
        return False
    with path.open("rb") as file:  # not mapped: the mount could not be reloaded meanwhile
        blocks = (train[start : start + ROWS] for start in range(0, len(train), ROWS))
        return all(file.read(block.nbytes) == block.tobytes() for block in blocks)


def _publish(job: Job, path: Path, volume: MountedVolume) -> tuple[str, int]:
    """Have ``train`` in the directory that restricted containers see: name and rows.

    Raises:
        CommitError: it is not visible to others.
    """
    from pytest_annmodal import hdf5

    subset = job.limits.subset
    data = hdf5.load(path, subset=subset, truth_cache=SCRATCH)
    cut = "" if subset is None else f"-first-{subset}"
    name = f"{job.dataset.name}-{(job.dataset.sha256 or 'unknown')[:16]}{cut}.f32"
    target = volume.path / PUBLISHED / name
    if not _holds(target, data.train):
        target.parent.mkdir(exist_ok=True)
        partial = target.with_suffix(".part")  # under its own name it would pass for whole
        with partial.open("wb") as file:
            data.train.tofile(file)
        partial.replace(target)
        say(f"Published {data.train.nbytes / 1e6:,.1f} MB of training vectors as {name}")
        volume.commit()
    return name, len(data.train)
