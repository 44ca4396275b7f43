"""The journal of a grading session: finished cases as JSON lines, so that it can be resumed.

Each line is flushed, and incomplete lines are ignored, so a session may be killed at any moment.
Keys include the submission's content, so a changed submission is run again. A session leaves an
earlier one's files unchanged until it writes its first line.
"""

from __future__ import annotations

import errno
import json
import os
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pytest_annmodal.durable import sync_directory
from pytest_annmodal.errors import ConfigurationError, VolumeError
from pytest_annmodal.outcome import Failure, Outcome, outcome_from_plain, outcome_to_plain
from pytest_annmodal.results.key import VERSION

FILE = "journal.jsonl"
EARLIER = "earlier"  # prefix of folders with an earlier session's files


@dataclass
class Journal:
    """The journal of one grading session.

    Attributes:
        session: a random word that stays the same when a session is resumed.
        secret: another one, stored only in this file: the seed of the fresh queries.
        known: outcomes of finished cases by key.
        n_ignored: number of incomplete or foreign lines.
        beside: other names in the folder that are moved away together with an earlier journal.
        aside: the folder they were moved to, if there were any.
    """

    path: Path
    session: str = ""
    secret: str = ""
    known: dict[str, Outcome] = field(default_factory=dict)
    n_ignored: int = 0
    beside: Sequence[str] = ()
    aside: Path | None = None
    _resume: bool = False
    _is_new: bool = True  # whether its first line is still to be written
    _n_whole: int | None = None  # bytes before a torn end
    _fd: int = -1
    _closed: bool = False
    _lock: threading.RLock = field(default_factory=threading.RLock)

    @classmethod
    def open(cls, folder: Path, *, resume: bool, beside: Sequence[str] = ()) -> Journal:
        """Reads the journal in ``folder`` to resume it, or prepares a new one.

        Raises:
            ConfigurationError: the folder cannot be written.
        """
        journal = cls(path=folder / FILE, beside=beside, _resume=resume)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if resume:
                journal._read()
            for place in (folder, journal.path) if resume else (folder,):
                if place.exists() and not os.access(place, os.W_OK):
                    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        except OSError as error:
            raise ConfigurationError(
                f"--ann-grade-dir {folder}: cannot be written: {error.strerror or error}"
            ) from error
        journal._is_new = not journal.session
        if journal._is_new:
            journal.session, journal.secret = os.urandom(16).hex(), os.urandom(16).hex()
        return journal

    def _read(self) -> None:
        """Reads complete lines; an incomplete last one is cut off at the next write."""
        try:
            raw = self.path.read_bytes()
        except FileNotFoundError:
            return
        whole = raw.rfind(b"\n") + 1
        if whole < len(raw):
            self.n_ignored += 1
            self._n_whole = whole
        for line in raw[:whole].splitlines():
            try:
                self._take(json.loads(line))
            except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
                self.n_ignored += 1

    def _take(self, row: Mapping[str, Any]) -> None:
        if "session" in row:
            if row["version"] == VERSION:
                self.session, self.secret = str(row["session"]), str(row["secret"])
            return
        self.known[str(row["key"])] = outcome_from_plain(row["outcome"])

    def begin(self) -> None:
        """Opens the file for writing; moves an earlier session's files away unless resumed.

        Raises:
            VolumeError: it cannot be written.
        """
        try:
            with self._lock:
                self._begin()
        except OSError as error:
            raise self._unwritable(error) from error

    def _begin(self) -> None:
        if self._closed:
            raise OSError(errno.EBADF, "the session has ended")
        if self._fd < 0:
            if not self._resume:
                self.aside = _put_aside(self.path.parent, (FILE, *self.beside))
                self._resume = True  # from now on the files are this session's
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
            self._fd = os.open(self.path, flags, 0o600)
            if self._n_whole is not None:
                os.ftruncate(self._fd, self._n_whole)
        if self._is_new:
            row = {"session": self.session, "version": VERSION, "began": _now()}
            self._append({**row, "secret": self.secret})
            self._is_new = False
            sync_directory(self.path.parent)

    def _unwritable(self, error: OSError) -> VolumeError:
        return VolumeError(f"{self.path}: cannot be written: {error.strerror or error}")

    def add(self, key: str, outcome: Outcome) -> None:
        """Writes a finished case; one that failed by the infrastructure is left to run again.

        Raises:
            VolumeError: it could not be written; the file is unchanged.
        """
        if isinstance(outcome, Failure) and outcome.blame == "infrastructure":
            return
        row = {
            "key": key,
            "case": outcome.case_id,
            "finished": _now(),
            "outcome": outcome_to_plain(outcome),
        }
        try:
            with self._lock:
                self._begin()
                self._append(row)
        except OSError as error:
            raise self._unwritable(error) from error
        self.known[key] = outcome

    def _append(self, row: Mapping[str, Any]) -> None:
        left = memoryview(json.dumps(row, default=str).encode("ascii", "backslashreplace") + b"\n")
        size = os.fstat(self._fd).st_size
        try:
            while left:
                left = left[os.write(self._fd, left) :]
            os.fsync(self._fd)
        except OSError:
            os.ftruncate(self._fd, size)
            raise

    def close(self) -> None:
        with self._lock:
            self._closed = True
            if self._fd >= 0:
                os.close(self._fd)
                self._fd = -1


def _put_aside(folder: Path, names: Sequence[str]) -> Path | None:
    """Moves an earlier session's files to a folder named by the time."""
    there = [folder / name for name in names if os.path.lexists(folder / name)]
    if not there:
        return None
    stamp = time.strftime("%Y%m%dT%H%M%S", time.localtime())
    number = 0
    while True:
        aside = folder / f"{EARLIER}-{stamp}{f'-{number}' if number else ''}"
        try:
            aside.mkdir()
        except FileExistsError:
            number += 1
            continue
        for place in there:
            place.rename(aside / place.name)
        return aside


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
