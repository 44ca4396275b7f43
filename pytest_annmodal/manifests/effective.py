"""Computes the values that a library really uses, by the rules of a header's ``effective``.

``effective = { ef = "max(ef, k)" }`` says that the library searches with at least k, whatever
``ef`` is. For what a rule may contain see :mod:`pytest_annmodal.manifests.expression`.
"""

from __future__ import annotations

import math

from pytest_annmodal.manifests import expression
from pytest_annmodal.model import Job, Plain, Search


def values(job: Job, search: Search, *, n: int, dim: int) -> tuple[dict[str, Plain], ...]:
    """Returns the named arguments of a search as asked for, and as the library uses them.

    Rules apply in the header's order, so a later one sees the results of the earlier ones.
    """
    asked = {**job.build.kwargs, **search.arguments.kwargs}
    made = dict(asked)
    for name, rule in job.implementation.effective.items():
        numbers = {key: value for key, value in made.items() if _is_number(value)}
        try:
            value = expression.number(
                expression.parsed(rule), {**numbers, "k": search.k, "n": n, "dim": dim}
            )
            usable = name in numbers and math.isfinite(value)
        except (KeyError, ArithmeticError):  # this variant lacks a parameter of the rule
            continue
        if usable:
            made[name] = value
    return asked, made


def _is_number(value: Plain) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
