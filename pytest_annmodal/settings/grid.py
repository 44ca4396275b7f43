"""Reads the values of a parameter from a header, the command line or a marker.

docs/settings.md has the grammar: values separated by commas, each of which is a number,
``true``, ``false``, JSON, a text, or a range such as ``8..64:log4``.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

from pytest_annmodal.errors import ConfigurationError
from pytest_annmodal.settings.option import split_values

MAX_VALUES = 1000  # of one range
NUMBER = r"[-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?"
RANGE = re.compile(rf"\s*({NUMBER})\.\.({NUMBER})(?::(.*))?\s*", re.DOTALL)
SCALE = re.compile(r"(lin|log)(\d{1,9})")
EXAMPLES = "expected A..B (whole numbers), A..B:linN or A..B:logN, such as 8..64:log4"
PYTHONS = {"True": True, "False": False, "None": None}


def values(texts: Iterable[str]) -> tuple[Any, ...]:
    """Returns the values of these texts, in order; repeated values are kept.

    Raises:
        ConfigurationError: a bad range.
    """
    return tuple(value for text in texts for value in (_in_range(text) or (read(text),)))


def expanded(value: Any) -> tuple[Any, ...]:
    """Returns the values of a range if ``value`` is the text of one, else ``value`` alone.

    Raises:
        ConfigurationError: a bad range.
    """
    found = _in_range(value) if isinstance(value, str) else None
    return (value,) if found is None else found


def of_marker(given: object, where: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Turns a marker's ``param={"ef": "20,50", "M": [8, 16]}`` into texts as ``--ann-param`` has.

    Raises:
        ConfigurationError: it is not a dict of names and values.
    """
    if not isinstance(given, Mapping) or not all(isinstance(name, str) for name in given):
        raise ConfigurationError(
            f'{where}={given!r}: expected names and values, such as {{"ef": "20,50,100"}}'
        )
    return tuple((name, _texts(value, f"{where}: {name}")) for name, value in given.items())


def _texts(value: object, where: str) -> tuple[str, ...]:
    listed = list(value) if isinstance(value, (list, tuple)) else [value]
    texts: list[str] = []
    for one in listed:
        if isinstance(one, str):
            texts += map(str.strip, split_values(one))
            continue
        try:
            texts.append(json.dumps(one, allow_nan=False))
        except (TypeError, ValueError) as error:
            raise ConfigurationError(f"{where}={one!r}: expected a value that JSON has") from error
    if not texts or not all(texts):
        raise ConfigurationError(
            f"{where}={value!r}: expected at least one value, and no empty value"
        )
    return tuple(texts)


def read(text: str) -> Any:
    """Returns a text's value: JSON or a constant of Python if it is one, else the text."""
    try:
        return PYTHONS[text] if text in PYTHONS else json.loads(text)
    except ValueError:
        return text


def _in_range(text: str) -> tuple[Any, ...] | None:
    """Returns the values of a range, or None if the text is not a range."""
    match = RANGE.fullmatch(text)
    if match is None:
        return None
    low, high = (float(match[1]), float(match[2]))
    whole = match[1].lstrip("+-").isdecimal() and match[2].lstrip("+-").isdecimal()
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ConfigurationError(f"{text!r}: a number in it is too large")
    if low >= high:
        raise ConfigurationError(
            f"{text!r}: expected the second number to be larger than the first"
        )
    if match[3] is None:
        return _by_one(text, int(match[1]), int(match[2])) if whole else _not_a_range(text)
    scale = SCALE.fullmatch(match[3])
    if scale is None:
        return _not_a_range(text)
    count = int(scale[2])
    if not 2 <= count <= MAX_VALUES:
        raise ConfigurationError(f"{text!r}: expected from 2 to {MAX_VALUES:,} values")
    if scale[1] == "log" and low <= 0:
        raise ConfigurationError(f"{text!r}: a log range must begin above 0")
    return spread(low, high, count, log=scale[1] == "log", whole=whole)


def _not_a_range(text: str) -> tuple[Any, ...]:
    raise ConfigurationError(f"{text!r}: {EXAMPLES}")


def _by_one(text: str, low: int, high: int) -> tuple[int, ...]:
    if high - low >= MAX_VALUES:
        raise ConfigurationError(
            f"{text!r} has {high - low + 1:,} values, and at most {MAX_VALUES:,} are allowed. "
            f"Say how many you want, such as {text.strip()}:lin10."
        )
    return tuple(range(low, high + 1))


def spread(low: float, high: float, count: int, *, log: bool, whole: bool) -> tuple[Any, ...]:
    """Returns ``count`` evenly spaced values from low to high, both included, without repeats.

    Whole numbers are rounded to the nearest, others to six digits.
    """

    def at(position: int) -> float:
        share = position / (count - 1)
        return low * (high / low) ** share if log else low + (high - low) * share

    found = [low, *(at(position) for position in range(1, count - 1)), high]
    return tuple(dict.fromkeys(round(one) if whole else float(f"{one:.6g}") for one in found))
