"""The function that runs a submission in a restricted container.

The container has no network, no access to Modal, no ground truth, and of the volume only one
directory with training vectors. The function takes and returns bytes, which are never unpickled
(see ``bytes_only.py``).
"""

from __future__ import annotations

import dataclasses
import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytest_annmodal.errors import DatasetError, ExecutorError
from pytest_annmodal.executors.modal.container import (
    failures,
    memory_left,
    tell,
    whole_log,
)
from pytest_annmodal.executors.modal.shipping import unpack
from pytest_annmodal.executors.modal.volume import MountedVolume, await_commit, say
from pytest_annmodal.model import Job, from_plain

PUBLISHED = "train"  # the only directory of the volume that restricted containers see
ROWS = 4096  # training vectors that are compared at a time
WHOLE_VOLUME = (
    "isolation: Modal mounted the whole volume instead of the one directory, so the ground truth "
    "is in the container, outside its sandbox"
)


@whole_log()
def ask_submission(
    job_json: str, files: Mapping[str, bytes], where: Mapping[str, Any], questions: bytes
) -> bytes:
    """Asks a submission and returns its answers, which are not scored here.

    Args:
        job_json: a ``Job`` whose implementation's path is among ``files``.
        files: relative name → content, the submission's files.
        where: ``volume``, ``mount``, ``memory_bytes``.
        questions: from the referee.
    """
    from pytest_annmodal.comparison.compare import compare
    from pytest_annmodal.jobs.halves import halves
    from pytest_annmodal.jobs.halves.answers import Answered, pack
    from pytest_annmodal.jobs.halves.questions import Questions

    job = from_plain(Job, json.loads(job_json))
    asked = Questions.unpack(questions)
    volume = MountedVolume(where["volume"], where["mount"])
    say(f"Volume '{volume.name}' is mounted at {volume.path} (its directory '{PUBLISHED}' alone)")
    with tempfile.TemporaryDirectory(prefix="annmodal-") as folder:
        scratch = Path(folder)
        scratch.chmod(0o711)  # the submission runs as another user, and must reach its own file
        try:
            path, notes = _published(asked.train, volume, scratch, job)
            vectors = asked.vectors(path)
        except DatasetError as error:
            lost = failures(job, "dataset", str(error))
            return pack([Answered(result=item) for item in lost])
        job = dataclasses.replace(
            job,
            implementation=unpack(job.implementation, files, scratch / "submission"),
            limits=dataclasses.replace(job.limits, memory_bytes=memory_left(job, path, where)),
        )
        answers = halves.answer(
            job,
            vectors,
            compare=compare,
            notes=notes,
            on_phase=lambda text: tell(job, text),
        )
        tell(job, "done")
    return answers


def _published(
    name: str, volume: MountedVolume, scratch: Path, job: Job
) -> tuple[Path, tuple[str, ...]]:
    """Copies the training vectors to this container; returns the path, and notes on isolation."""
    stored, notes = volume.path / name, tuple[str, ...]()
    whole = volume.path / PUBLISHED / name
    if not stored.exists():
        await_commit(volume, stored, whole)  # the container may be older than the vectors
    if whole.exists():
        if job.limits.isolation == "strict":
            raise DatasetError(f"{WHOLE_VOLUME}. --ann-isolation=strict does not allow that.")
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
