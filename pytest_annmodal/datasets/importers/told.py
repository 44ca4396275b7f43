"""Whom an import tells what it does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """Whom an import tells what it does.

    Attributes:
        line: is given a sentence.
        progress: is given bytes done and in all.
        reading: is called when a library is about to open or read files (True), and when it is
            not (False): what it does to a damaged file is to be limited.
    """

    line: Callable[[str], None]
    progress: Callable[[int, int], None]
    reading: Callable[[bool], None]
