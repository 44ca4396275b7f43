"""The process that reads the unchecked files of one import.

With damaged files HDF5 and Arrow may crash, loop, or ask for all memory; only this process is
lost then. The request is one line of JSON on standard input; progress, notes and the result are
lines of JSON on standard output.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import threading
from pathlib import Path
from typing import Any

from pytest_annmodal.datasets.hdf5.checking_process import limit
from pytest_annmodal.datasets.importers.reporter import ImportReporter
from pytest_annmodal.datasets.importers.request import Request
from pytest_annmodal.datasets.importers.writing import write_dataset, write_rows
from pytest_annmodal.errors import AnnModalError, ConfigurationError
from pytest_annmodal.model import from_plain

OPENING_LIMIT_S = 60.0
SLOWEST_BYTES_PER_S = 1e6  # of unpacking or parsing a file
SPARE_BYTES = 4 * 2**30  # for the libraries, a block of rows, and one row group or chunk


def main() -> None:
    """Serves the one request."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # libraries may print to standard output
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends this process
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    asked = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()

    def tell(**fields: Any) -> None:
        answers.write(json.dumps(fields) + "\n")
        answers.flush()

    try:
        request = from_plain(Request, asked["request"])
        reporter = ImportReporter(
            line=lambda text: tell(line=text),
            progress=lambda done, total: tell(progress=[done, total]),
            reading=_Limits(request, tell),
        )
        write = write_dataset if request.train else write_rows
        sha256 = write(request, Path(asked["target"]), Path(asked["scratch"]), reporter)
        tell(sha256=sha256)
    except AnnModalError as error:
        tell(error=str(error), is_configuration=isinstance(error, ConfigurationError))
    except MemoryError:
        tell(exceeded=True)
    except OSError as error:
        if error.errno is None:
            raise
        tell(errno=error.errno, strerror=error.strerror or str(error))


def _end_with_parent() -> None:
    """Ends this process with its parent, whose end closes standard input."""
    sys.stdin.read()
    os._exit(1)


class _Limits:
    """Limits on reading: a time that starts again at each block, and memory by file sizes."""

    def __init__(self, request: Request, tell: Any) -> None:
        sizes = [Path(name).stat().st_size for name in request.files if Path(name).is_file()]
        self._seconds = OPENING_LIMIT_S + sum(sizes) / SLOWEST_BYTES_PER_S
        tell(limit_s=self._seconds)
        # Files are mapped whole, some of them unpacked; so is the target's train.
        limit(self._seconds, SPARE_BYTES + 32 * sum(sizes))

    def __call__(self, reading: bool) -> None:  # noqa: FBT001 -- of one argument
        signal.setitimer(signal.ITIMER_REAL, self._seconds if reading else 0.0)


if __name__ == "__main__":
    main()
