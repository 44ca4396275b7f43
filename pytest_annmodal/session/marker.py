"""Checks and applies the arguments of ``@pytest.mark.ann``: k, rounds, values of parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pytest_annmodal.errors import ConfigurationError
from pytest_annmodal.figures import THRESHOLDS
from pytest_annmodal.manifests import narrowing
from pytest_annmodal.model import Implementation
from pytest_annmodal.settings import grid
from pytest_annmodal.settings.nearest import nearest_names
from pytest_annmodal.tolerances import TOLERANCES

WHOLE = ("k", "rounds")
VALUES = ("param", "build_param")
ARGUMENTS = {*WHOLE, *VALUES, *THRESHOLDS, *TOLERANCES}


def check(marker: Mapping[str, Any]) -> None:
    """Refuses unknown arguments and wrong values.

    Raises:
        ConfigurationError: with what was expected.
    """
    for name, value in marker.items():
        if name not in ARGUMENTS:
            raise ConfigurationError(
                f"@pytest.mark.ann has no argument {name!r}{nearest_names(name, ARGUMENTS)} "
                f"Known: {', '.join(sorted(ARGUMENTS))}."
            )
        if name in VALUES:
            grid.of_marker(value, _named(name))
            continue
        whole = name in WHOLE
        if not is_at_least(value, 1 if whole else 0, whole=whole):
            kind = "a whole number of at least 1" if whole else "a number"
            raise ConfigurationError(f"@pytest.mark.ann({name}={value!r}): expected {kind}")
        if name in TOLERANCES and not 0 < value < 1:
            raise ConfigurationError(
                f"@pytest.mark.ann({name}={value!r}): expected a share, such as 0.05 for 5 %"
            )


def with_values(
    items: Sequence[Implementation], marker: Mapping[str, Any], offered: Sequence[Implementation]
) -> list[Implementation]:
    """Returns implementations with the parameter values of a marker.

    Args:
        offered: all implementations, where a parameter must exist; options may have left out
            all that have it.

    Raises:
        ConfigurationError: no implementation has the parameter, or a bad range.
    """
    found = list(items)
    for name in VALUES:
        if name in marker:
            found = narrowing.with_values(
                found,
                grid.of_marker(marker[name], _named(name)),
                source=_named(name),
                builds_only=name == "build_param",
                among=offered,
            )
    return found


def _named(name: str) -> str:
    return f"@pytest.mark.ann {name}"


def is_at_least(value: object, least: int, *, whole: bool) -> bool:
    """Whether it is a number (with ``whole`` an int) of at least ``least``; bools are refused."""
    kinds = (int,) if whole else (int, float)
    return isinstance(value, kinds) and not isinstance(value, bool) and value >= least
