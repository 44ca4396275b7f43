"""Stores the figures that ``annmodal lint`` computed, by digest and k, for pages to show."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytest_annmodal import durable
from pytest_annmodal.datasets.volume.volume import cache_dir
from pytest_annmodal.errors import ConfigurationError
from pytest_annmodal.model import finite

VERSION = 1  # of the figures: those stored with another version are not shown
# Labels of the figures, in the order of display; the JSON has the names of fields.
LABELS = {
    "metric": "metric",
    "n_train": "rows of train",
    "dim": "dimensions",
    "n_queries": "queries",
    "zero_rows": "rows of zeros",
    "zero_queries": "queries of zeros",
    "duplicates": "rows that equal an earlier one",
    "most_copied": "largest group of equal rows",
    "not_finite": "numbers that are not finite",
    "norm_min": "shortest row",
    "norm_median": "median length of a row",
    "norm_max": "longest row",
    "constant_columns": "constant columns",
    "queries_in_train": "queries that are rows of train",
    "equal_queries": "queries that equal an earlier one",
    "ties_at_k": "queries with a tie at the last place",
    "intrinsic_dimension": "intrinsic dimension (MLE)",
    "relative_contrast": "relative contrast",
    "hubness": "hubness (skewness)",
    "order_ratio": "distance of consecutive rows / of random rows",
}
SHARES = ("ties_at_k",)


def rows(found: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Returns the label and the formatted value of each figure."""
    return [(label, _shown(key, found[key])) for key, label in LABELS.items()]


def _shown(key: str, value: object) -> str:
    if value is None:
        return "–"
    if key in SHARES:
        return f"{value:.1%}"
    if isinstance(value, float):
        return f"{value:,.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def keep(sha256: str, found: Mapping[str, Any]) -> None:
    """Stores the figures; where the cache cannot be written, the next run computes them again."""
    with contextlib.suppress(ConfigurationError, OSError):
        path = _place(sha256, int(found["k"]))
        path.parent.mkdir(parents=True, exist_ok=True)
        durable.write_text(path, json.dumps({"version": VERSION, "figures": finite(dict(found))}))


def kept(sha256: str, k: int) -> dict[str, Any] | None:
    """Returns the stored figures of a file with this digest, or None if there are none for k."""
    try:
        stored = json.loads(_place(sha256, k).read_text(encoding="utf-8"))
        found = dict(stored["figures"]) if stored["version"] == VERSION else {}
        rows(found)
    except (ConfigurationError, OSError, ValueError, TypeError, KeyError):
        return None
    return found


def _place(sha256: str, k: int) -> Path:
    """Raises ConfigurationError: there is no cache folder, or ``sha256`` is not a digest."""
    if not (sha256.isalnum() and sha256.isascii()):
        raise ConfigurationError(f"{sha256!r} is not a digest")
    return cache_dir(os.environ) / "lint" / f"{sha256}-k{k}.json"
