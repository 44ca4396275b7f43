"""What the attacks share beside their fixtures."""

from __future__ import annotations

import json

from jobs import EXACT, failed, index, measured

SECRET = "the-secret-of-the-organiser"
MEGABYTE = 2**20


def said(outcome):
    """The last line that a submission printed, read as JSON."""
    return json.loads(outcome.log_tail.strip().splitlines()[-1])


__all__ = ["EXACT", "MEGABYTE", "SECRET", "failed", "index", "measured", "said"]
