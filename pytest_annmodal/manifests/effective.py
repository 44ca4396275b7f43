"""What a library makes of a setting by itself: the rules of a header's ``effective``.

``effective = { ef = "max(ef, k)" }`` says that whatever ``ef`` is asked for, the library searches
with at least k. :mod:`pytest_annmodal.manifests.expression` says what a rule may have.
"""

from __future__ import annotations

import math

from pytest_annmodal.manifests import expression
from pytest_annmodal.model import Job, Plain, Search


def values(job: Job, search: Search, *, n: int, dim: int) -> tuple[dict[str, Plain], ...]:
    """The named arguments that a search asks for, and what the library makes of them.

    Rules are taken in the header's order, so a later one sees what an earlier one made.
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
        except (KeyError, ArithmeticError):  # a parameter that this variant leaves out
            continue
        if usable:
            made[name] = value
    return asked, made


def _is_number(value: Plain) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
