"""Inspects files in a separate process, and turns a failure there into an error.

The HDF5 library does not guard against damaged files: a few flipped bytes make it crash or loop
forever. So :mod:`.checking_process` reads each file before this process opens it.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import IO, Any

from pytest_annmodal.datasets.hdf5.info import DatasetInfo
from pytest_annmodal.datasets.hdf5.messages import damaged, printable
from pytest_annmodal.errors import DatasetError, DatasetFormatError

OPENING_LIMIT_S = 60.0
# The package may be a checkout that is not installed. It is appended to sys.path, since PYTHONPATH
# would put the package's neighbours before the standard library.
START = (
    f"import sys; sys.path.append({str(Path(__file__).parents[3])!r}); "
    "from pytest_annmodal.datasets.hdf5.checking_process import main; main()"
)
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class Checker:
    """The checking process: started at the first request, ended by ``close``.

    Args:
        limit_s: time limit for opening a file; the limit for checking its content is longer, in
            proportion to the size of its arrays.
    """

    def __init__(self, limit_s: float = OPENING_LIMIT_S) -> None:
        self._limit_s = limit_s
        self._process: subprocess.Popen[str] | None = None
        self._said: IO[str]
        self._owner = 0
        self._lock = threading.Lock()

    def look(self, path: Path, *, whole: bool) -> DatasetInfo:
        """Returns what the file holds.

        Args:
            whole: check all of its content, not only its structure.

        Raises:
            DatasetFormatError: it is damaged, or not an ann-benchmarks file.
            DatasetError: it does not exist, or cannot be read here.
        """
        answer = self._asked_once_more({**self._request(path), "whole": whole})
        if "info" in answer:
            return DatasetInfo(**answer["info"])
        raise _why_not(path, answer)

    def result(self, path: Path, truth: Path | None) -> dict[str, Any]:
        """Returns the content of an ann-benchmarks result file as plain data.

        Args:
            truth: a folder with dataset files, to compute recall from.

        Raises:
            DatasetFormatError: it is damaged, or not a result file.
            DatasetError: it cannot be read here.
        """
        request = {**self._request(path), "truth": "" if truth is None else str(truth)}
        answer = self._asked_once_more(request)
        if "result" in answer:
            return dict(answer["result"])
        raise _why_not(path, answer)

    def _request(self, path: Path) -> dict[str, Any]:
        return {"path": str(path), "limit_s": self._limit_s, "cwd": _here()}

    def _asked_once_more(self, request: dict[str, Any]) -> dict[str, Any]:
        """Returns the answer; asks once more if the process had ended while it was idle."""
        with self._lock:
            answer = self._ask(request)
            return self._ask(request) if "no_process" in answer else answer

    @property
    def pid(self) -> int | None:
        """The id of the checking process, or None if it is not running."""
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Starts the checking process unless it is running."""
        if self._process is not None and self._process.poll() is not None:
            self.close()
        if self._process is None or self._owner != os.getpid():
            self._start()

    def close(self) -> None:
        """Ends the checking process; the next request starts another one."""
        process, self._process = self._process, None
        if process is None or self._owner != os.getpid():  # a fork must not end its parent's
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # also its fork, which may be looping
        process.wait()
        for pipe in (process.stdin, process.stdout, self._said):
            assert pipe is not None
            with contextlib.suppress(BrokenPipeError):
                pipe.close()

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        self.start()
        process = self._process
        assert process is not None
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(json.dumps(request) + "\n")
            process.stdin.flush()
            line = process.stdout.readline()
        except BrokenPipeError:
            line = ""
        except BaseException:
            self.close()  # or the next request would get this one's answer
            raise
        if line:
            return dict(json.loads(line))
        status = process.wait()  # its output has ended
        self._said.seek(0)
        said = self._said.read().strip().splitlines()
        self.close()
        return {"no_process": said[-1] if said else f"exit status {status}"}

    def _start(self) -> None:
        self._said = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115 -- as long as the process
        self._owner = os.getpid()
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", START],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            env={**os.environ, **dict.fromkeys(THREADS, "1")},  # threads do not survive a fork
            encoding="utf-8",
            start_new_session=True,  # without Ctrl-C; it ends when its standard input does
        )


def _here() -> str:
    try:
        return str(Path.cwd())
    except FileNotFoundError:  # it was removed; only absolute paths can be read then
        return "/"


def _why_not(path: Path, answer: dict[str, Any]) -> DatasetError:
    """Returns the error for a file that could not be described."""
    if "no_process" in answer:
        return DatasetError(
            f"{path}: the process that checks dataset files did not start or was ended "
            f"({printable(answer['no_process'], longest=300)}). Make sure that "
            f"`{sys.executable} -c 'import numpy, h5py'` works, and try again."
        )
    if answer.get("exceeded"):
        return damaged(path, f"{answer['step']} it takes more memory than its size explains")
    if "error" in answer:
        kind = DatasetFormatError if answer["is_damage"] else DatasetError
        return kind(answer["error"])
    ended = int(answer["ended"])
    if ended == -signal.SIGALRM:
        return damaged(
            path,
            f"{answer['step']} it took longer than {answer['limit_s']:,.4g} s and was stopped",
        )
    if ended == -signal.SIGKILL:
        return DatasetError(
            f"{path}: the process that checked it was killed, probably because memory ran out. "
            "Free some memory, and try again."
        )
    how = signal.Signals(-ended).name if ended < 0 else f"exit status {ended}"
    return damaged(path, f"{answer['step']} it made the HDF5 library crash ({how})")


CHECKER = Checker()
atexit.register(CHECKER.close)
