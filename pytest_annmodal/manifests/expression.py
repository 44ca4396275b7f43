"""Parses and evaluates the small expressions of headers, without running code.

A rule of ``effective`` gives a number, a constraint is true or false. Both may have whole numbers,
names, ``+``, ``-``, ``*``, ``//``, ``%``, and ``min`` and ``max`` of two or more; a constraint
also has comparisons, ``and``, ``or`` and ``not``. Names are parameters of the header, ``k``, ``n``
(indexed rows) and ``dim``.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from functools import lru_cache

from pytest_annmodal.errors import ConfigurationError

Number = int | float
Names = Mapping[str, Number]
KNOWN = ("k", "n", "dim")
MAX_CHARS = 200
FUNCTIONS: Mapping[str, Callable[..., Number]] = {"min": min, "max": max}
OPERATORS: Mapping[type[ast.operator], Callable[[Number, Number], Number]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
COMPARISONS: Mapping[type[ast.cmpop], Callable[[Number, Number], bool]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
ARITHMETIC = "whole numbers, names, + - * // %, and min or max of two or more"


def check_rule(text: str, names: Collection[str]) -> None:
    """Raises ConfigurationError, with the reason, unless the text is a rule."""
    _check(_tree(text, "a rule such as 'max(ef, k)'"), names, number)


def check_constraint(text: str, names: Collection[str]) -> None:
    """Raises ConfigurationError, with the reason, unless the text is a constraint."""
    _check(_tree(text, "a constraint such as 'k <= ef'"), names, truth)


def _check(
    tree: ast.expr, names: Collection[str], value: Callable[[ast.expr, Names], object]
) -> None:
    for name in _names(tree):
        if name not in (*names, *KNOWN):
            known = ", ".join((*names, *KNOWN))
            raise ConfigurationError(f"{name!r} is not a parameter; known are {known}")
    _all_branches(tree)
    with suppress(ZeroDivisionError):  # other values may give another divisor
        value(tree, dict.fromkeys((*names, *KNOWN), 1))


def _all_branches(tree: ast.expr) -> None:
    """Checks the operands that ``and`` and ``or`` may skip."""
    for node in ast.walk(tree):
        if isinstance(node, ast.BoolOp):
            for one in node.values:
                with suppress(ZeroDivisionError):
                    truth(one, dict.fromkeys(_names(one), 1))


def names_in(text: str) -> list[str]:
    """Returns the names of a checked expression, each once, in the order of the text."""
    return _names(parsed(text))


def _names(tree: ast.expr) -> list[str]:
    found = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
    found.sort(key=lambda node: (node.lineno, node.col_offset))
    return list(dict.fromkeys(node.id for node in found if node.id not in FUNCTIONS))


@lru_cache(maxsize=1024)
def parsed(text: str) -> ast.expr:
    """Returns the tree of a checked expression."""
    return _tree(text, "an expression")


def _tree(text: str, expected: str) -> ast.expr:
    if len(text) > MAX_CHARS:
        raise ConfigurationError(f"is longer than {MAX_CHARS} characters")
    try:
        return ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ConfigurationError(f"{text!r} is not {expected}") from error


def number(node: ast.expr, names: Names) -> Number:
    """Evaluates an expression to a number.

    Raises:
        KeyError: a name has no value.
        ZeroDivisionError: a divisor is 0.
        ConfigurationError: it has something else than arithmetic.
    """
    if isinstance(node, ast.Constant) and type(node.value) is int:
        return node.value
    if isinstance(node, ast.Name) and node.id not in FUNCTIONS:
        return names[node.id]
    if isinstance(node, ast.BinOp) and type(node.op) in OPERATORS:
        return OPERATORS[type(node.op)](number(node.left, names), number(node.right, names))
    if (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in FUNCTIONS
        and len(node.args) > 1
        and not node.keywords
    ):
        return FUNCTIONS[node.func.id](*(number(item, names) for item in node.args))
    raise ConfigurationError(f"{ast.unparse(node)!r} is not allowed; a rule may have {ARITHMETIC}")


def truth(node: ast.expr, names: Names) -> bool:
    """Returns whether a constraint holds; raises as :func:`number` does."""
    if isinstance(node, ast.BoolOp):
        every = all if isinstance(node.op, ast.And) else any
        return every(truth(one, names) for one in node.values)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        return not truth(node.operand, names)
    if isinstance(node, ast.Compare) and all(type(one) in COMPARISONS for one in node.ops):
        values = [number(one, names) for one in (node.left, *node.comparators)]
        pairs = zip(node.ops, values, values[1:], strict=False)
        return all(COMPARISONS[type(one)](left, right) for one, left, right in pairs)
    raise ConfigurationError(
        f"{ast.unparse(node)!r} is neither true nor false; expected comparisons such as k <= ef, "
        f"with and, or, not between them; each side may have {ARITHMETIC}"
    )
