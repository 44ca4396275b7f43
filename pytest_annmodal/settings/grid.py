"""The values of a parameter, as a header, the command line and a marker write them.

docs/settings.md has the grammar: values with commas between them, each of which is a number,
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
    """The values that these texts mean, in their order, each as often as it is written.

    Raises:
        ConfigurationError: a range that cannot be made.
    """
    return tuple(value for text in texts for value in (_in_range(text) or (read(text),)))


def expanded(value: Any) -> tuple[Any, ...]:
    """What one value of a header means: those of a range if it is the text of one, else itself.

    Raises:
        ConfigurationError: a range that cannot be made.
    """
    found = _in_range(value) if isinstance(value, str) else None
    return (value,) if found is None else found


def of_marker(given: object, where: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """What ``param={"ef": "20,50", "M": [8, 16]}`` says, as the command line would say it.

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
            raise ConfigurationError(f"{where}={one!r}: JSON has no such value") from error
    if not texts or not all(texts):
        raise ConfigurationError(f"{where}={value!r}: expected at least one value, and none empty")
    return tuple(texts)


def read(text: str) -> Any:
    """A number, ``true`` or ``false``, a list or a mapping as JSON has them, or else a text."""
    try:
        return PYTHONS[text] if text in PYTHONS else json.loads(text)
    except ValueError:
        return text


def _in_range(text: str) -> tuple[Any, ...] | None:
    """The values of a range; None of a text that is no range."""
    match = RANGE.fullmatch(text)
    if match is None:
        return None
    low, high = (float(match[1]), float(match[2]))
    whole = match[1].lstrip("+-").isdecimal() and match[2].lstrip("+-").isdecimal()
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ConfigurationError(f"{text!r}: its ends are too large for a number")
    if low >= high:
        raise ConfigurationError(
            f"{text!r} ends below where it begins, or there: write the smaller number first"
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
        raise ConfigurationError(f"{text!r}: a log range begins above 0")
    return spread(low, high, count, log=scale[1] == "log", whole=whole)


def _not_a_range(text: str) -> tuple[Any, ...]:
    raise ConfigurationError(f"{text!r}: {EXAMPLES}")


def _by_one(text: str, low: int, high: int) -> tuple[int, ...]:
    if high - low >= MAX_VALUES:
        raise ConfigurationError(
            f"{text!r} means {high - low + 1:,} values, at most {MAX_VALUES:,} are allowed; "
            f"choose how many: {text.strip()}:lin10"
        )
    return tuple(range(low, high + 1))


def spread(low: float, high: float, count: int, *, log: bool, whole: bool) -> tuple[Any, ...]:
    """So many values from low to high, both included, evenly spaced; each once.

    Whole numbers are rounded to the nearest, others to six digits.
    """

    def at(position: int) -> float:
        share = position / (count - 1)
        return low * (high / low) ** share if log else low + (high - low) * share

    found = [low, *(at(position) for position in range(1, count - 1)), high]
    return tuple(dict.fromkeys(round(one) if whole else float(f"{one:.6g}") for one in found))
