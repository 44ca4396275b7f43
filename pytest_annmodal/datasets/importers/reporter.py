"""Callbacks for the progress of an import."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportReporter:
    """Callbacks for the progress of an import.

    Attributes:
        line: called with a message.
        progress: called with the bytes done and the total bytes.
        reading: called with True before a library opens or reads files, to start the time limit,
            and with False after it.
    """

    line: Callable[[str], None]
    progress: Callable[[int, int], None]
    reading: Callable[[bool], None]
