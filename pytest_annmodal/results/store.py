"""The store: appends each measured case as one line, as soon as its job has ended.

Each process of a session writes its own files, so that sessions can run side by side. Writes are
not buffered, so that a killed session loses no finished case. Samples are written before the line
that names them.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from pytest_annmodal.outcome import Measurement
from pytest_annmodal.results.folder import DEFAULT
from pytest_annmodal.results.reading import LINES
from pytest_annmodal.results.samples import SUFFIX, Samples
from pytest_annmodal.results.stored import StoredCase

IGNORE_FILE = "# Made by pytest-annmodal; nothing in here belongs into a repository.\n*\n"


@dataclass
class ResultStore:
    """The files of one session, created with its first case; thread-safe.

    Args:
        folder: where they go; None to keep cases in memory only.
        session: the same for every process of one session.
        warn: called once with a message if nothing can be written.

    Attributes:
        kept: the cases of this process, in the order of finishing.
        path: the file with their lines; None before the first.
        n_written: number of lines in it.
    """

    folder: Path | None
    session: str
    warn: Callable[[str], None] = lambda _text: None
    kept: list[StoredCase] = field(default_factory=list)
    path: Path | None = None
    n_written: int = 0
    _lines: int = -1
    _samples: int = -1
    _broken: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, cases: Iterable[tuple[StoredCase, Samples | None]]) -> None:
        """Appends the cases of one job; warns once if they cannot be written."""
        with self._lock:
            for case, samples in cases:
                self.kept.append(self._written(replace(case, session=self.session), samples))

    def _written(self, case: StoredCase, samples: Samples | None) -> StoredCase:
        if self._broken or self.folder is None:
            return case
        try:
            if self.path is None:
                self._open(self.folder)
            if samples is not None:
                offset = os.lseek(self._samples, 0, os.SEEK_END)
                place, raw = samples.pack(f"{self._stem}{SUFFIX}", offset)
                _append(self._samples, raw)
                case = replace(case, samples=place)
            _append(self._lines, line_of(case))
            self.n_written += 1
        except OSError as error:
            self._broken = True
            self.warn(
                f"Results are not kept: {self.folder} cannot be written "
                f"({error.strerror or error}). Name another folder with --ann-results=DIR, or "
                "--ann-results=off."
            )
        return case

    @property
    def _stem(self) -> str:
        assert self.path is not None
        return self.path.stem

    def _open(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        if folder.parts[-2:] == DEFAULT.parts:
            _ignore(folder.parent)
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        path = folder / f"{stamp}-{self.session[:8]}-{os.urandom(3).hex()}{LINES}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_EXCL
        self._samples = os.open(path.with_suffix(SUFFIX), flags, 0o600)
        self._lines = os.open(path, flags, 0o600)
        self.path = path

    def close(self) -> None:
        """Flushes the files to the disk, in case of a power cut."""
        with self._lock:
            for fd in (self._samples, self._lines):
                if fd >= 0:
                    with contextlib.suppress(OSError):  # the file is written, if not flushed
                        os.fsync(fd)
                    os.close(fd)
            self._samples = self._lines = -1


def line_of(case: StoredCase) -> bytes:
    """Returns a case as one line of JSON, UTF-8; a number that is not finite is null."""
    try:
        return msgspec.json.encode(case, enc_hook=str) + b"\n"
    except (UnicodeEncodeError, OverflowError):
        return msgspec.json.encode(_whole(msgspec.to_builtins(case, enc_hook=str))) + b"\n"


def samples_of(measurement: Measurement) -> Samples:
    """Returns latencies and hits of single queries."""
    latencies = np.array(measurement.latencies_ns, np.int64).clip(0)
    if latencies.size == measurement.rounds * measurement.n_queries:
        latencies = latencies.reshape(measurement.rounds, measurement.n_queries)
    hits = measurement.query_hits
    return Samples(
        latencies_ns=latencies, query_hits=np.array(hits, np.int64) if hits is not None else None
    )


def _whole(value: Any) -> Any:
    """Replaces lone surrogates (from file names or broken output) and huge integers."""
    if isinstance(value, int) and abs(value) >= 2**63:
        return str(value)
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    if isinstance(value, dict):
        return {_whole(key): _whole(item) for key, item in value.items()}
    return [_whole(item) for item in value] if isinstance(value, (list, tuple)) else value


def _append(fd: int, raw: bytes) -> None:
    """Writes all bytes, or leaves the file unchanged and raises OSError."""
    size = os.fstat(fd).st_size
    left = memoryview(raw)
    try:
        while left:
            left = left[os.write(fd, left) :]
    except OSError:
        os.ftruncate(fd, size)
        raise


def _ignore(folder: Path) -> None:
    """Writes a .gitignore that leaves results out of a repository, unless there is one."""
    try:
        with (folder / ".gitignore").open("x", encoding="utf-8") as file:
            file.write(IGNORE_FILE)
    except FileExistsError:
        pass
