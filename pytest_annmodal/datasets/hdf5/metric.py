"""Finds the metric of a dataset's file: from its attributes, else from the end of its name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytest_annmodal.distances.metrics import BY_WORD, LISTED
from pytest_annmodal.errors import DatasetFormatError

ATTRIBUTES = ("distance", "metric")
LONGEST_SHOWN = 60


def metric_word(text: str) -> str:
    """Returns a metric's word in one spelling: ``Inner-Product`` becomes ``innerproduct``."""
    return re.sub(r"[\s_-]+", "", text.lower())


def metric_of(path: Path, attrs: Mapping[str, Any]) -> str:
    """Returns the name of an open file's metric.

    Args:
        attrs: the file's attributes, as h5py has them.

    Raises:
        DatasetFormatError: the metric is missing or unknown, or two attributes disagree.
    """
    texts = {name: _text(attrs.get(name, "")) for name in ATTRIBUTES}
    said = {name: text for name, text in texts.items() if text}
    words = {name: metric_word(text) for name, text in said.items()}
    known = {name: BY_WORD[word].name for name, word in words.items() if word in BY_WORD}
    if len(set(known.values())) > 1:
        raise DatasetFormatError(
            f"{path}: its attribute distance says {said['distance']} and its attribute metric "
            f"says {said['metric']}; expected one metric. Correct or remove one of them."
        )
    word = next(iter(words.values()), None) or word_in_name(path.name)
    if word is None:
        raise DatasetFormatError(
            f"{path}: its metric is unknown: it has no attribute distance or metric, and its "
            f"name does not end in a metric. Set the attribute distance of the file to {LISTED}, "
            f"or name the file NAME-{next(iter(BY_WORD))}.hdf5."
        )
    if word in BY_WORD:
        return BY_WORD[word].name
    name, text = next(iter(said.items()))
    raise DatasetFormatError(
        f"{path}: metric {text[:LONGEST_SHOWN]!r} is not supported; expected {LISTED}. If it "
        f"means one of these, set the file's attribute {name} to that word."
    )


def word_in_name(name: str) -> str | None:
    """Returns the metric that a file's name ends in, as :func:`metric_word` spells it, or None.

    A number may follow (``x-angular-128.hdf5``, ``x-angular (1).hdf5``). Only the end counts:
    ``cosine-shop-vectors.hdf5`` gives None.
    """
    stem = re.sub(r"\.(hdf5|h5)(\.(part|corrupt(-\d+)?))?$", "", name.lower())
    words = [word for word in re.split(r"[\W_]+", stem) if word and not word.isdigit()]
    return next((w for w in ("".join(words[-2:]), *words[-1:]) if w in BY_WORD), None)


def _text(said: Any) -> str:
    """Returns the text of an attribute (text or bytes, maybe in an array of one), or ""."""
    if getattr(said, "size", None) == 1:
        said = said.item()
    text = said.decode(errors="replace") if isinstance(said, bytes) else str(said)
    return "" if "Empty(" in text else text.strip()
