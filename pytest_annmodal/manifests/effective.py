"""What a library makes of a setting by itself: the rules of a header's ``effective``.

``effective = { ef = "max(ef, k)" }`` says that whatever ``ef`` is asked for, the library searches
with at least k. A rule is ``min(…)``, ``max(…)``, ``+``, ``-``, ``*`` and ``//`` over whole numbers
and names: parameters of the header, ``k``, ``n`` (rows that are indexed) and ``dim``. It is read,
never run.
"""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress

from pytest_annmodal.errors import ConfigurationError
from pytest_annmodal.model import Job, Plain, Search

Number = int | float
KNOWN = ("k", "n", "dim")
MAX_RULE_CHARS = 200
FUNCTIONS: Mapping[str, Callable[..., Number]] = {"min": min, "max": max}
OPERATORS: Mapping[type[ast.operator], Callable[[Number, Number], Number]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
}


def check(rule: str, names: Collection[str]) -> None:
    """Refuse a rule that says anything else. Raises ConfigurationError, with what is wrong."""
    tree = _parsed(rule)
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id not in (*names, *KNOWN, *FUNCTIONS):
            known = ", ".join((*names, *KNOWN))
            raise ConfigurationError(f"{node.id!r} is not a parameter; known are {known}")
    with suppress(ZeroDivisionError):  # other values may be no zero
        _value(tree, dict.fromkeys((*names, *KNOWN), 1))


def values(job: Job, search: Search, *, n: int, dim: int) -> tuple[dict[str, Plain], ...]:
    """The named arguments that a search asks for, and what the library makes of them.

    Rules are taken in the header's order, so a later one sees what an earlier one made.
    """
    asked = {**job.build.kwargs, **search.arguments.kwargs}
    made = dict(asked)
    for name, rule in job.implementation.effective.items():
        numbers = {key: value for key, value in made.items() if _is_number(value)}
        try:
            value = _value(_parsed(rule), {**numbers, "k": search.k, "n": n, "dim": dim})
            usable = name in numbers and math.isfinite(value)
        except (KeyError, ArithmeticError):  # a parameter that this variant leaves out
            continue
        if usable:
            made[name] = value
    return asked, made


def _is_number(value: Plain) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _parsed(rule: str) -> ast.expr:
    if len(rule) > MAX_RULE_CHARS:
        raise ConfigurationError(f"is longer than {MAX_RULE_CHARS} characters")
    try:
        return ast.parse(rule.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ConfigurationError(f"{rule!r} is not a rule such as 'max(ef, k)'") from error


def _value(node: ast.expr, names: Mapping[str, Number]) -> Number:
    if isinstance(node, ast.Constant) and type(node.value) is int:
        return node.value
    if isinstance(node, ast.Name) and node.id not in FUNCTIONS:
        return names[node.id]
    if isinstance(node, ast.BinOp) and type(node.op) in OPERATORS:
        return OPERATORS[type(node.op)](_value(node.left, names), _value(node.right, names))
    if (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in FUNCTIONS
        and len(node.args) > 1
        and not node.keywords
    ):
        return FUNCTIONS[node.func.id](*(_value(item, names) for item in node.args))
    raise ConfigurationError(
        f"{ast.unparse(node)!r} is not allowed; a rule has whole numbers, names, + - * //, and "
        "min or max of two or more"
    )
