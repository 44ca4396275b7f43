"""Finished cases, one JSON line each, appended and flushed: what a killed session leaves behind.

A line is whole or it does not count, so a session may be killed at any moment. Lines are keyed
by the submission's content, so a changed submission is run again.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pytest_annmodal.durable import sync_directory
from pytest_annmodal.errors import ConfigurationError, VolumeError
from pytest_annmodal.model import to_plain
from pytest_annmodal.outcome import Failure, Outcome, outcome_from_plain
from pytest_annmodal.results.key import VERSION

FILE = "journal.jsonl"


@dataclass
class Journal:
    """The journal of one grading session, open for appending.

    Attributes:
        session: a random word that stays the same when a session is continued.
        secret: another one, that nothing but this file holds: it names the fresh queries.
        known: key → outcome, of finished cases.
        n_ignored: lines that were torn or are not ours.
    """

    path: Path
    session: str = ""
    secret: str = ""
    known: dict[str, Outcome] = field(default_factory=dict)
    n_ignored: int = 0
    _fd: int = -1
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def open(cls, folder: Path, *, resume: bool) -> Journal:
        """Continue the journal in ``folder``, or put it aside and begin a new one.

        Raises:
            ConfigurationError: the folder cannot be written.
        """
        journal = cls(path=folder / FILE)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if not resume:
                _put_aside(journal.path)
            journal._read()
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
            journal._fd = os.open(journal.path, flags, 0o600)
            journal._begin()
            sync_directory(folder)
        except OSError as error:
            raise ConfigurationError(
                f"--ann-grade-dir {folder}: cannot be written: {error.strerror or error}"
            ) from error
        return journal

    def _read(self) -> None:
        """Take what is whole, and cut off a torn end so that the next line stands alone."""
        try:
            raw = self.path.read_bytes()
        except FileNotFoundError:
            return
        whole = raw.rfind(b"\n") + 1
        if whole < len(raw):
            self.n_ignored += 1
            os.truncate(self.path, whole)
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

    def _begin(self) -> None:
        if not self.session:
            self.session, self.secret = os.urandom(16).hex(), os.urandom(16).hex()
            row = {"session": self.session, "version": VERSION, "began": _now()}
            self._append({**row, "secret": self.secret})

    def add(self, key: str, outcome: Outcome) -> None:
        """Write a finished case; a fault of the infrastructure is none and is run again.

        Raises:
            VolumeError: it could not be written whole; the file is as it was before.
        """
        if isinstance(outcome, Failure) and outcome.blame == "infrastructure":
            return
        row = {
            "key": key,
            "case": outcome.case_id,
            "finished": _now(),
            "outcome": to_plain(outcome),
        }
        try:
            self._append(row)
        except OSError as error:
            raise VolumeError(
                f"{self.path}: cannot be written: {error.strerror or error}"
            ) from error
        self.known[key] = outcome

    def _append(self, row: Mapping[str, Any]) -> None:
        left = memoryview(json.dumps(row, default=str).encode("ascii", "backslashreplace") + b"\n")
        with self._lock:
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
            if self._fd >= 0:
                os.close(self._fd)
                self._fd = -1


def _put_aside(path: Path) -> None:
    """Keep an earlier journal under a name of its own; a session without cases is no loss."""
    try:
        if path.stat().st_size == 0:
            return
    except FileNotFoundError:
        return
    stamp = time.strftime("%Y%m%dT%H%M%S", time.localtime())
    number = 0
    while True:
        name = f"journal-{stamp}{f'-{number}' if number else ''}.jsonl"
        target = path.with_name(name)
        if not target.exists():
            path.rename(target)
            return
        number += 1


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
