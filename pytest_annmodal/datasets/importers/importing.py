"""Runs an import in a separate process, and reports its progress and errors."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import IO, Any

from pytest_annmodal.datasets.importers.request import Request
from pytest_annmodal.datasets.lines import Log
from pytest_annmodal.errors import ConfigurationError, DatasetError, DatasetFormatError
from pytest_annmodal.model import to_plain

# As hdf5.checker starts its process: the package may be a checkout that is not installed.
START = (
    f"import sys; sys.path.append({str(Path(__file__).parents[3])!r}); "
    "from pytest_annmodal.datasets.importers.importing_process import main; main()"
)

CRASHED = "reading it made a library crash ({how}). It is damaged: fetch or write it again."
TOO_SLOW = (
    "reading took longer than {limit_s:,.0f} s and was stopped. The file is damaged, or "
    "compressed beyond reason: fetch or write it again."
)
CUT = "a file was cut while it was read, or its disk failed. Try again when nobody writes to it."
KILLED = (
    "the process that read it was killed, probably because memory ran out. Free some memory, and "
    "try again."
)
# The error for each signal that may end the process.
ENDED: dict[int, tuple[type[DatasetError], str]] = {
    signal.SIGALRM: (DatasetFormatError, TOO_SLOW),
    signal.SIGBUS: (DatasetError, CUT),
    signal.SIGKILL: (DatasetError, KILLED),
}


def import_to(target: Path, request: Request, log: Log) -> str:
    """Writes the dataset file (or array of queries) ``target`` from other files.

    Returns its sha256. If it fails or is interrupted, ``target`` is removed.

    Raises:
        ConfigurationError: the request contradicts itself, or a library is not installed.
        DatasetError: a file cannot be used, with the reason.
        OSError: a disk cannot be written.
    """
    done = False
    try:
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=f"{target.stem}-") as scratch:
            sha256 = _ask(target, request, Path(scratch), log)
        done = True
        return sha256
    finally:
        if not done:
            target.unlink(missing_ok=True)


def _ask(target: Path, request: Request, scratch: Path, log: Log) -> str:
    said = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115 -- closed below
    process = subprocess.Popen(
        [sys.executable, "-P", "-c", START],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=said,
        encoding="utf-8",
        start_new_session=True,  # without Ctrl-C, which this process handles
    )
    assert process.stdin is not None
    assert process.stdout is not None
    asked = {"request": to_plain(request), "target": str(target), "scratch": str(scratch)}
    answer: dict[str, Any] = {}
    try:
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(json.dumps(asked) + "\n")
            process.stdin.flush()
        for line in process.stdout:
            _take_message(json.loads(line), answer, log)
        status = process.wait()
        if "sha256" in answer:
            return str(answer["sha256"])
        raise _why_not(request, answer, status, said)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for pipe in (process.stdin, process.stdout, said):
            with contextlib.suppress(BrokenPipeError):
                pipe.close()


def _take_message(message: dict[str, Any], answer: dict[str, Any], log: Log) -> None:
    if "line" in message:
        log.tell("event", text=message["line"])
    elif "progress" in message:
        log.reporter.progress(*message["progress"])
    else:
        answer |= message


def _why_not(
    request: Request, answer: dict[str, Any], status: int, said: IO[str]
) -> DatasetError | ConfigurationError | OSError:
    """Returns the error for a process that ended without a sha256."""
    named = ", ".join(request.files)
    if "errno" in answer:
        return OSError(answer["errno"], answer["strerror"])
    if "error" in answer:
        is_configuration = answer["is_configuration"]
        return (ConfigurationError if is_configuration else DatasetFormatError)(answer["error"])
    if answer.get("exceeded"):
        return DatasetFormatError(
            f"{named}: reading takes more memory than its size explains, or than is free. If the "
            "file is whole, write it with smaller row groups or chunks."
        )
    if status < 0:
        kind, words = ENDED.get(-status, (DatasetFormatError, CRASHED))
        how = signal.Signals(-status).name
        return kind(f"{named}: {words.format(how=how, limit_s=answer.get('limit_s', 0.0))}")
    said.seek(0)
    last = (said.read().strip().splitlines() or [f"exit status {status}"])[-1]
    return DatasetError(
        f"{named}: the process that imports files failed ({last[:300]}). Make sure that "
        f"`{sys.executable} -c 'import numpy, h5py'` works; if it does, please report this bug."
    )
