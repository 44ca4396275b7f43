"""What runs inside Modal's containers: fill the volume, or run one job on a file from it.

The functions here are registered by ``modal.py``; a container imports this module from the
copy of the package that was shipped to it, and nothing of a submission: that is loaded by
the worker process that :func:`run_job <pytest_annmodal.execution.run_job>` starts. Arguments and
results are plain data.
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

from pytest_annmodal.datasets.hdf5 import CHECKS, vouch
from pytest_annmodal.datasets.lines import Reporter
from pytest_annmodal.datasets.sources.sources import source_of
from pytest_annmodal.datasets.volume.resolution import place_of
from pytest_annmodal.datasets.volume.stamp import Stamp
from pytest_annmodal.errors import AnnModalError, DatasetError
from pytest_annmodal.executors.modal.shipping import unpack
from pytest_annmodal.executors.modal.volume import SCRATCH, MountedVolume, await_commit, reload, say
from pytest_annmodal.model import Dataset, Job, from_plain, to_plain
from pytest_annmodal.outcome import Blame, Failure, Outcome, outcome_to_plain

PHASE = "[annmodal] "  # log lines that begin so are progress, for the client to show
END = f"{PHASE}end"  # the last line, by which the client knows that it has them all
RESULT_LIMIT_BYTES = 100 * 10**6


@contextlib.contextmanager
def whole_log() -> Iterator[None]:
    """Say where a function's log ends; used as a decorator."""
    try:
        yield
    finally:
        say(END)


def tell(job: Job, text: str) -> None:
    """A progress line; single rounds are too many lines for a log."""
    if not text.startswith(("queries, round", "loading", "starting")):
        say(f"{PHASE}{job.label}: {text}")


@whole_log()
def download_dataset(
    dataset: Mapping[str, Any], where: Mapping[str, Any], base_urls: list[str]
) -> dict[str, Any]:
    """Resolve a dataset through the writable volume; runs in one container at a time.

    Returns:
        ``ok``, and ``was_present``, ``size_bytes``, ``sha256``, ``seconds`` or ``error``.
    """
    from pytest_annmodal.datasets.volume.volume import resolve

    volume, wanted = MountedVolume(where["volume"], where["mount"]), from_plain(Dataset, dataset)
    try:
        if source_of(wanted).own_file is not None:
            reload(volume)  # uploaded after this container started
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
    """Run one job and return its outcomes as JSON text.

    Args:
        job_json: a ``Job``; its implementation's path is ``builtin:…`` or among ``files``.
        files: relative name → content, what belongs to the implementation.
        where: ``volume``, ``mount``, ``memory_bytes``.
        download: the ``download_dataset`` function, for a dataset that is not there (yet).
    """
    from pytest_annmodal.execution import run_job

    job = from_plain(Job, json.loads(job_json))
    volume = MountedVolume(where["volume"], where["mount"])
    say(f"Volume '{volume.name}' is mounted at {volume.path}")
    with tempfile.TemporaryDirectory(prefix="annmodal-") as folder:
        scratch = Path(folder)
        scratch.chmod(0o711)  # a submission runs as another user, who must reach its own file
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
        f"the result of {job.label} has {len(text) / 1e6:.0f} MB, more than "
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
    """Copy the dataset to the container's own disk: a network file system must not be timed.

    Raises:
        DatasetError: it is not in the volume and cannot be brought there.
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
            f"({error.strerror}). Try again; if it stays so, remove it with "
            f"`modal volume rm {volume.name} {dataset.name}.hdf5` and it is downloaded anew."
        ) from error
    copy.chmod(0o600)
    stamp = None if own else Stamp.read(stored.with_suffix(".json"))
    if stamp is not None and stamp.size_bytes == copy.stat().st_size and stamp.checks == CHECKS:
        vouch(copy, stamp.info)  # else it is looked at before it is opened
    return copy


def memory_left(job: Job, path: Path, where: Mapping[str, Any]) -> int | None:
    """Leave room for the file and the harness, so that the worker is ended, not the container."""
    if job.limits.memory_bytes is not None or not where["memory_bytes"]:
        return job.limits.memory_bytes
    allowed = int(where["memory_bytes"])
    return max(allowed - 2 * path.stat().st_size - 512 * 2**20, allowed // 4)


def failures(
    job: Job, kind: str, message: str, *, blame: Blame = "infrastructure"
) -> list[Failure]:
    """The same failure for every search of a job that gave no result."""
    return [
        Failure(case_id=search.case_id, kind=kind, message=message, phase="modal", blame=blame)
        for search in job.searches
    ]


def python_version() -> str:
    return f"{sys.version_info.major}.{sys.version_info.minor}"
