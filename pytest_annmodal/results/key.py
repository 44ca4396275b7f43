"""What makes two measurements the same."""

from __future__ import annotations

import hashlib
import json
from dataclasses import fields
from pathlib import Path
from typing import Any

from pytest_annmodal.model import Case, Dataset, to_plain
from pytest_annmodal.settings.config import Settings

VERSION = 2


# Settings that choose what runs or what is shown, not how it is measured; all others matter.
NOT_MEASURING = frozenset(
    {
        "impl",
        "param",
        "run_group",
        "dataset",
        "submission",
        "implementations",
        "k",  # of the case
        "rounds",
        "download",
        "download_only",
        "volume_dir",
        "base_url",
        "modal_plan",
        "modal_max_minutes",
        "modal_max_containers",
        "modal_volume",
        "modal_usd_core_hour",
        "modal_usd_gib_hour",
        "rootdir",
        "grade",
        "grade_dir",
        "resume",
    }
)


def key_of(case: Case, digest: str, settings: Settings) -> str:
    """Equal only where the same content was measured in the same way."""
    matters = {
        item.name: to_plain(getattr(settings, item.name))
        for item in fields(settings)
        if item.name not in NOT_MEASURING
    }
    what = {
        "version": VERSION,
        "digest": digest,
        "case": case.id,
        "class": case.implementation.class_name,
        "variant": to_plain(case.variant),
        "dataset": _identity(case.dataset),
        "k": case.k,
        "rounds": case.rounds,
        "settings": matters,
    }
    text = json.dumps(what, sort_keys=True)
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()


def _identity(dataset: Dataset) -> list[Any]:
    """What tells one dataset from another; for a file also its size and time."""
    known: list[Any] = [dataset.name, dataset.source, dataset.sha256, dataset.size_bytes]
    if dataset.source.startswith("file:"):
        try:
            state = Path(dataset.source.removeprefix("file:")).stat()
        except OSError:
            return known
        known += [state.st_size, state.st_mtime_ns]
    return known
