"""The process that reads unchecked files, each in a fork of its own.

A damaged file can make the HDF5 library crash, loop or ask for all memory; only the fork is
lost then. The libraries are imported once, before forking. A request is one line of JSON on
standard input, an answer one line on standard output.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np

from pytest_annmodal.datasets.hdf5 import checks, file, result_file, storage
from pytest_annmodal.errors import DatasetError, DatasetFormatError

SLOWEST_BYTES_PER_S = 5e6  # of reading and checking; slower than any usable disk
SPARE_BYTES = 2 * 2**30  # for HDF5 and for the pieces in which train is read
COPIES = 6  # that checking makes of test, the truth, and the neighbours of the sampled queries


def main() -> None:
    """Answers requests until standard input ends."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # libraries may print to standard output
    np.unique(np.zeros(1))  # imports half of numpy now rather than in each fork
    for line in sys.stdin:
        answers.write(json.dumps(_in_a_fork(json.loads(line))) + "\n")
        answers.flush()


def _in_a_fork(request: dict[str, Any]) -> dict[str, Any]:
    """Returns the fork's answer, and its exit status as ``ended``."""
    read_fd, write_fd = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(read_fd)
        with os.fdopen(write_fd, "w", encoding="utf-8") as answers:
            _look(request, answers)
        os._exit(0)
    os.close(write_fd)
    with os.fdopen(read_fd, encoding="utf-8") as lines:
        said: dict[str, Any] = {}
        for line in lines:
            said |= json.loads(line)
    _, status = os.waitpid(pid, 0)
    return said | {"ended": os.waitstatus_to_exitcode(status)}


def _look(request: dict[str, Any], answers: Any) -> None:
    """Serves a request within limits of time and memory, which grow with the arrays' sizes."""
    path, limit_s = Path(request["path"]), float(request["limit_s"])

    def tell(**fields: Any) -> None:
        answers.write(json.dumps(fields) + "\n")
        answers.flush()

    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGALRM})
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        os.chdir(request["cwd"])
        tell(limit_s=limit_s, step="opening")
        limit(limit_s, SPARE_BYTES)
        if "truth" in request:
            truth = Path(request["truth"]) if request["truth"] else None
            tell(result=result_file.described(path, truth))
            return
        with file.opened(path) as arrays:
            info, held, total = arrays.info, _held_bytes(arrays), _total_bytes(arrays)
        if request["whole"]:
            limit_s += total / SLOWEST_BYTES_PER_S
            tell(limit_s=limit_s, step="checking")
            limit(limit_s, SPARE_BYTES + held)
            info = checks.check_file(path)
        tell(info=info.to_plain())
    except DatasetError as error:
        is_damage = isinstance(error, DatasetFormatError)
        if isinstance(error.__cause__, MemoryError):  # at the limit set here, not the machine's
            tell(exceeded=True)
        tell(error=str(error), is_damage=is_damage)


def _total_bytes(arrays: file.Arrays) -> int:
    return storage.stored_bytes([array for _, array in arrays.named])


def _held_bytes(arrays: file.Arrays) -> int:
    """Returns how many bytes of the file are in memory at once."""
    whole = [array for name, array in arrays.named if name != "train"]
    sample = 8 * checks.SAMPLE_QUERIES * arrays.info.k_truth * arrays.info.dim
    pieces = storage.stored_bytes(whole) + storage.chunk_bytes([array for _, array in arrays.named])
    return COPIES * (pieces + sample)


def limit(seconds: float, spare_bytes: int) -> None:
    """Ends this process by SIGALRM after ``seconds``; limits its further memory (on Linux)."""
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    except OSError:  # not Linux: RLIMIT_AS has no effect there
        return
    wanted = pages * resource.getpagesize() + spare_bytes
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    if hard == resource.RLIM_INFINITY or wanted < hard:
        resource.setrlimit(resource.RLIMIT_AS, (wanted, hard))
