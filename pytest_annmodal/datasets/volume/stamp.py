"""The stamp: a small JSON file that records the check of a dataset file."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pytest_annmodal import durable
from pytest_annmodal.datasets.hdf5 import CHECKS, DatasetInfo
from pytest_annmodal.model import from_plain

VERSION = 1
HASH_BYTES = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamp:
    """The result of checking a file.

    Attributes:
        size_bytes: length of the checked file.
        mtime_ns: its modification time; compared where the volume keeps times.
        source: URL, ``package:…``, ``generate:…`` or ``import:…`` it was brought from; None if
            it was not brought here.
        checks: version of the checks that it passed.
    """

    sha256: str
    size_bytes: int
    source: str | None
    info: DatasetInfo
    mtime_ns: int | None = None
    checks: int = CHECKS

    def write(self, path: Path) -> None:
        data = {
            "version": VERSION,
            "sha256": self.sha256,
            "bytes": self.size_bytes,
            "source": self.source,
            "mtime_ns": self.mtime_ns,
            "checks": self.checks,
            "checked_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "info": self.info.to_plain(),
        }
        durable.write_text(path, json.dumps(data, indent=1) + "\n")

    @classmethod
    def read(cls, path: Path) -> Stamp | None:
        """Reads a stamp; None if there is none that this version understands."""
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            if data["version"] != VERSION:
                return None
            renamed = {"size_bytes": data["bytes"], "checks": data.get("checks", 1)}
            return from_plain(cls, {**data, **renamed})
        except (OSError, ValueError, TypeError, KeyError):
            return None


def hash_file(path: Path, *, stopped: Callable[[], bool] = lambda: False) -> str:
    """Returns the sha256 of a whole file, hex.

    Args:
        stopped: asked after each block; once it is true, the rest is left out.
    """
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while not stopped() and (block := stream.read(HASH_BYTES)):
            digest.update(block)
    return digest.hexdigest()


def check_and_hash(path: Path, check: Callable[[Path], DatasetInfo]) -> tuple[DatasetInfo, str]:
    """Returns what ``check`` finds and the sha256, hex.

    The check is another process's work, so the file is hashed meanwhile. Whatever ``check`` raises
    is passed on, and ends the hashing.
    """
    unusable = threading.Event()
    with ThreadPoolExecutor(1) as beside:
        hashed = beside.submit(hash_file, path, stopped=unusable.is_set)
        try:
            info = check(path)
        except BaseException:
            unusable.set()
            raise
        return info, hashed.result()
