"""How a set of results is cited: one hash, whatever files and folders they lie in."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import replace

from pytest_annmodal.results.store import line_of
from pytest_annmodal.results.stored import StoredCase


def set_hash(cases: Iterable[StoredCase]) -> str:
    """Sha256 in hex of all that is known of the cases, but for where their samples lie.

    Neither their order nor how often one is there matters.
    """
    lines = {line_of(replace(case, samples=None)) for case in cases}
    return hashlib.sha256(b"".join(sorted(lines))).hexdigest()
