"""The small JSON file that says a dataset file was checked, so that it is checked once."""

from __future__ import annotations

import hashlib
import json
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
    """What was found when a file was checked.

    Attributes:
        size_bytes: a file of another length is not the one that was checked.
        mtime_ns: nor is one that was changed since, where the volume keeps times.
        source: URL, ``package:…``, ``generate:…`` or ``file:…`` it came from; None if it
            was there already.
        checks: which edition of the checks it passed.
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
        """None if there is none that this version understands: the file is checked again."""
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            if data["version"] != VERSION:
                return None
            renamed = {"size_bytes": data["bytes"], "checks": data.get("checks", 1)}
            return from_plain(cls, {**data, **renamed})
        except (OSError, ValueError, TypeError, KeyError):
            return None


def hash_file(path: Path) -> str:
    """Sha256 of a whole file, hex."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(HASH_BYTES):
            digest.update(block)
    return digest.hexdigest()
