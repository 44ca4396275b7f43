"""Computes the hash by which a set of results is cited."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import replace

from pytest_annmodal.results.store import line_of
from pytest_annmodal.results.stored import StoredCase


def set_hash(cases: Iterable[StoredCase]) -> str:
    """Returns the sha256 (hex) of the cases, except the places of their samples.

    Order, repetitions and files do not matter.
    """
    lines = {line_of(replace(case, samples=None)) for case in cases}
    return hashlib.sha256(b"".join(sorted(lines))).hexdigest()
