"""The functions that run in Modal's containers: fill the volume, or run one job on a file of it.

``definitions.py`` registers them. A container imports this module from its copy of the package,
and no code of a submission: the worker process that
:func:`run_job <pytest_annmodal.execution.run_job>` starts loads that. Arguments and results are
plain data.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pytest_annmodal.datasets.hdf5 import CHECKS, mark_checked
from pytest_annmodal.datasets.lines import Reporter
from pytest_annmodal.datasets.sources.sources import source_of
from pytest_annmodal.datasets.volume.resolution import place_of
from pytest_annmodal.datasets.volume.stamp import Stamp
from pytest_annmodal.errors import AnnModalError, DatasetError
from pytest_annmodal.executors.modal.shipping import unpack
from pytest_annmodal.executors.modal.volume import SCRATCH, MountedVolume, await_commit, reload, say
from pytest_annmodal.model import Dataset, Job, from_plain, to_plain
from pytest_annmodal.outcome import Blame, Failure, Outcome, outcome_to_plain

PHASE = "[annmodal] "  # begins log lines with progress, which the client shows
END = f"{PHASE}end"  # the last line, which tells the client that the log is complete
RESULT_LIMIT_BYTES = 100 * 10**6


@contextlib.contextmanager
def whole_log() -> Iterator[None]:
    """Prints the last line of a function's log; used as a decorator."""
    try:
        yield
    finally:
        say(END)


def tell(job: Job, text: str) -> None:
    """Prints a progress line, but not for each round: they are too many for a log."""
    if not text.startswith(("queries, round", "loading", "starting")):
        say(f"{PHASE}{job.label}: {text}")


@whole_log()
def download_dataset(
    dataset: Mapping[str, Any], where: Mapping[str, Any], base_urls: list[str]
) -> dict[str, Any]:
    """Resolves a dataset through the writable volume; runs in one container at a time.

    Returns:
        ``ok``, and ``was_present``, ``size_bytes``, ``sha256``, ``seconds`` or ``error``.
    """
    from pytest_annmodal.datasets.volume.volume import resolve

    volume, wanted = MountedVolume(where["volume"], where["mount"]), from_plain(Dataset, dataset)
    try:
        own = source_of(wanted).own_file
        if own is not None:  # uploaded after this container started, maybe a moment ago
            reload(volume)
            if not own.exists():
                await_commit(volume, own)
        resolved = resolve(
            wanted,
            volume,
            reporter=Reporter(line=say),
            base_urls=tuple(base_urls),
            temp_dir=SCRATCH,
        )
    except AnnModalError as error:
        return {"ok": False, "kind": type(error).__name__, "error": str(error)}
    return {
        "ok": True,
        "was_present": resolved.was_present,
        "size_bytes": resolved.size_bytes,
        "sha256": resolved.sha256,
        "seconds": resolved.seconds,
    }


@whole_log()
def run_benchmark(
    job_json: str, files: Mapping[str, bytes], where: Mapping[str, Any], download: Any
) -> str:
    """Runs one job and returns its outcomes as JSON text.

    Args:
        job_json: a ``Job``; its implementation's path is ``builtin:…`` or among ``files``.
        files: relative name → content, the implementation's files.
        where: ``volume``, ``mount``, ``memory_bytes``.
        download: the ``download_dataset`` function, for a dataset that is not there (yet).
    """
    from pytest_annmodal.execution import run_job

    job = from_plain(Job, json.loads(job_json))
    volume = MountedVolume(where["volume"], where["mount"])
    say(f"Volume '{volume.name}' is mounted at {volume.path}")
    with tempfile.TemporaryDirectory(prefix="annmodal-") as folder:
        scratch = Path(folder)
        scratch.chmod(0o711)  # a submission runs as another user, and must reach its own file
        try:
            path = own_copy(job.dataset, volume, scratch, where, download)
        except AnnModalError as error:
            return json.dumps([outcome_to_plain(f) for f in failures(job, "dataset", str(error))])
        job = dataclasses.replace(
            job,
            implementation=unpack(job.implementation, files, scratch / "submission"),
            limits=dataclasses.replace(job.limits, memory_bytes=memory_left(job, path, where)),
        )
        outcomes = run_job(job, path, cache=SCRATCH, on_phase=lambda text: tell(job, text))
        tell(job, "done")
    return _result(job, outcomes)


def _result(job: Job, outcomes: Sequence[Outcome]) -> str:
    text = json.dumps([outcome_to_plain(outcome) for outcome in outcomes])
    if len(text) <= RESULT_LIMIT_BYTES:
        return text
    problem = (
        f"the result of {job.label} has {len(text) / 1e6:.0f} MB, more than the allowed "
        f"{RESULT_LIMIT_BYTES / 1e6:.0f} MB: ask fewer queries (--ann-queries) or rounds "
        "(--ann-rounds)"
    )
    return json.dumps([outcome_to_plain(f) for f in failures(job, "result", problem)])


def own_copy(
    dataset: Dataset,
    volume: MountedVolume,
    scratch: Path,
    where: Mapping[str, Any],
    download: Any,
) -> Path:
    """Copies the dataset to the container's own disk: a network file system must not be timed.

    Raises:
        DatasetError: it cannot be brought into the volume, or not be read from it.
    """
    reload(volume)
    own, stored = source_of(dataset).own_file is not None, place_of(dataset, volume)
    if not stored.exists() and download is not None:
        result = download.remote(to_plain(dataset), dict(where), [])
        if not result["ok"]:
            raise DatasetError(result["error"])
        await_commit(volume, stored)
    copy = scratch / f"{dataset.name}.hdf5"
    try:
        shutil.copyfile(stored, copy)
    except OSError as error:
        raise DatasetError(
            f"Dataset '{dataset.name}' cannot be read from volume '{volume.name}' at {stored} "
            f"({error.strerror}). Try again; if it fails again, remove it with "
            f"`modal volume rm {volume.name} {dataset.name}.hdf5`, to have it downloaded again."
        ) from error
    copy.chmod(0o600)
    stamp = None if own else Stamp.read(stored.with_suffix(".json"))
    if stamp is not None and stamp.size_bytes == copy.stat().st_size and stamp.checks == CHECKS:
        mark_checked(copy, stamp.info)  # otherwise it is checked before it is opened
    return copy


def memory_left(job: Job, path: Path, where: Mapping[str, Any]) -> int | None:
    """Returns the worker's limit in bytes, which leaves room for the file and the harness.

    So a worker that uses too much memory ends before its container does.
    """
    if job.limits.memory_bytes is not None or not where["memory_bytes"]:
        return job.limits.memory_bytes
    allowed = int(where["memory_bytes"])
    return max(allowed - 2 * path.stat().st_size - 512 * 2**20, allowed // 4)


def failures(
    job: Job, kind: str, message: str, *, blame: Blame = "infrastructure"
) -> list[Failure]:
    """Returns the same failure for every search of a job."""
    return [
        Failure(case_id=search.case_id, kind=kind, message=message, phase="modal", blame=blame)
        for search in job.searches
    ]


def python_version() -> str:
    return f"{sys.version_info.major}.{sys.version_info.minor}"
