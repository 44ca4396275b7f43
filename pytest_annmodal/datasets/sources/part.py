"""The unfinished bytes of a download, and the note of where they come from."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a part's bytes come from.

    Attributes:
        url: as :func:`~pytest_annmodal.datasets.sources.http_errors.identity` gives it.
        validator: a strong ETag or a Last-Modified date, for ``If-Range``.
        total: length of the whole file, if the server said it.
    """

    url: str
    validator: str | None
    total: int | None


class Part:
    """The unfinished file and the note of its origin."""

    def __init__(self, target: Path) -> None:
        self.path = target.with_name(target.name + ".part")
        self.note = target.with_name(target.name + ".part.json")

    def size(self) -> int:
        """Bytes that are there."""
        try:
            return self.path.stat().st_size
        except FileNotFoundError:
            return 0

    def origin(self) -> Origin | None:
        try:
            return Origin(**json.loads(self.note.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def begin(self, origin: Origin) -> None:
        """Empty the part and note where what follows comes from."""
        self.path.unlink(missing_ok=True)
        self.note.write_text(
            json.dumps({"url": origin.url, "validator": origin.validator, "total": origin.total}),
            encoding="utf-8",
        )

    def discard(self) -> None:
        self.path.unlink(missing_ok=True)
        self.note.unlink(missing_ok=True)
