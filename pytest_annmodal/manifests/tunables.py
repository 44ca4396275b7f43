"""Reads a header's ``tune``: the arguments that may be bisected to reach a recall.

``tune = { ef = { range = ["k", 2000], scale = "log", monotone = "recall" } }`` says that recall
does not fall as ``ef`` rises, and that its values are spaced by ratios.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from pytest_annmodal.errors import ConfigurationError
from pytest_annmodal.manifests import expression
from pytest_annmodal.model import Arguments, Tunable
from pytest_annmodal.settings.nearest import nearest_names
from pytest_annmodal.settings.toml_table import Table, shown

SCALES = ("log", "lin")
MONOTONE = "recall"
ENDS = 'expected two ends, the lower one first: numbers, or expressions such as "n_list"'


def read(
    tables: Mapping[str, Any], searches: Sequence[Arguments], parameters: Collection[str]
) -> tuple[Tunable, ...]:
    """Returns the arguments of a header's ``tune``.

    Raises:
        ConfigurationError: ``tune`` is wrong, with the reason in one sentence.
    """
    known = dict.fromkeys(name for one in searches for name in one.kwargs)
    return tuple(_one(name, table, known, parameters) for name, table in tables.items())


def _one(name: str, value: Any, known: Collection[str], parameters: Collection[str]) -> Tunable:
    where = f"tune.{name}"
    if name not in known:
        raise ConfigurationError(
            f"{where}: {name} is not a parameter of search{nearest_names(name, known)}"
        )
    if not isinstance(value, Mapping):
        raise ConfigurationError(f"{where}: expected a table, not {shown(value)}")
    table = Table(value, where)
    ends, scale = table.take("range", list), table.take("scale", str, SCALES[0])
    monotone = table.take("monotone", str)
    table.finish()
    if monotone != MONOTONE:
        raise ConfigurationError(
            f'{where}.monotone: expected "{MONOTONE}" (recall does not fall as {name} rises), '
            "since only recall can be bisected"
        )
    if scale not in SCALES:
        raise ConfigurationError(
            f"{where}.scale: expected {' or '.join(SCALES)}, not {shown(scale)}"
        )
    if not isinstance(ends, list) or len(ends) != 2:
        raise ConfigurationError(f"{where}.range: {ENDS}, not {shown(ends)}")
    for end in ends:
        _check(end, f"{where}.range", parameters)
    low, high = ends
    numbers = [end for end in ends if not isinstance(end, str)]
    if len(numbers) == 2 and low >= high:
        raise ConfigurationError(f"{where}.range: {ENDS}, not {shown(ends)}")
    if scale == "log" and any(end <= 0 for end in numbers):
        raise ConfigurationError(f"{where}.range: on a log scale both ends must be above 0")
    return Tunable(name=name, low=low, high=high, log=scale == "log")


def _check(end: Any, where: str, parameters: Collection[str]) -> None:
    if isinstance(end, str):
        try:
            expression.check_rule(end, parameters)
        except ConfigurationError as error:
            raise ConfigurationError(f"{where}: {error}") from error
    elif isinstance(end, bool) or not isinstance(end, (int, float)) or not abs(end) < 1e18:
        raise ConfigurationError(f"{where}: {ENDS}, not {shown(end)}")
