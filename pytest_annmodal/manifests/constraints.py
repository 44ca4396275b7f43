"""Checks a header's constraints on settings: ``constraints = ["k <= ef", "dim % M == 0"]``."""

from __future__ import annotations

from collections.abc import Mapping

from pytest_annmodal.manifests import expression
from pytest_annmodal.model import Implementation, Plain, Variant


def broken(
    item: Implementation, variant: Variant, *, k: int, n: int | None, dim: int | None
) -> tuple[str, str] | None:
    """Returns the first constraint that fails, and its values: ``k <= ef``, ``k=100, ef=10``.

    None if all hold. A constraint with an unknown value (the rows of a file not yet read, a
    parameter that this setting lacks, a text) counts as holding.
    """
    if not item.constraints:
        return None
    given = {**variant.build.kwargs, **variant.search.kwargs, "k": k, "n": n, "dim": dim}
    numbers = {name: value for name, value in given.items() if _is_number(value)}
    for rule in item.constraints:
        if not _holds(rule, numbers):
            named = (name for name in expression.names_in(rule) if name in numbers)
            return rule, ", ".join(f"{name}={numbers[name]}" for name in named)
    return None


def _holds(rule: str, numbers: Mapping[str, int | float]) -> bool:
    try:
        return expression.truth(expression.parsed(rule), numbers)
    except (KeyError, ArithmeticError):  # unknown
        return True


def _is_number(value: Plain) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
