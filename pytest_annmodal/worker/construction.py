"""Calls a class that may or may not take a metric, and refuses unknown arguments.

Worker side; stdlib only.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

from pytest_annmodal.errors import BuildError

METRIC_WORDS = {"metric", "distance", "distance_metric", "metric_name", "space", "similarity"}

DIM_WORDS = {"dim", "dims", "dimension", "dimensions", "n_dim", "n_dims", "ndim", "n_features"}


def construct(
    factory: Callable[..., Any], metric: str, dim: int, args: list[Any], kwargs: dict[str, Any]
) -> Any:
    """Calls ``Class(metric, *args, **kwargs)``, without ``metric`` if it takes none.

    Raises:
        BuildError: it does not take these arguments. Its own exceptions are passed on.
    """
    name = getattr(factory, "__name__", str(factory))
    try:
        parameters = list(inspect.signature(factory).parameters.values())
    except (TypeError, ValueError):  # a class written in C may have no signature
        return factory(metric, *args, **kwargs)
    asked = [p for p in parameters if p.name in DIM_WORDS and _is_required(p, kwargs)]
    known = {**dict.fromkeys([p.name for p in asked], dim), **kwargs}
    rest = [p for p in parameters if p not in asked]
    positional, keywords = _with_metric(rest, metric, args, known)
    if asked and positional == [metric] and parameters[0] is not rest[0]:
        positional, keywords = [], {rest[0].name: metric, **keywords}
    left_open = [p.name for p in rest[len(positional) :] if _is_required(p, keywords)]
    check_call(factory, positional, keywords, name, advice=_advice(left_open))
    try:
        return factory(*positional, **keywords)
    except Exception as error:
        if positional and not args and parameters[0].name not in METRIC_WORDS:
            error.add_note(
                f"The first parameter of {name}, {parameters[0].name}, got the metric "
                f"{metric!r} because it has no default: give it one, or set "
                f"build.{parameters[0].name} in the header"
            )
        raise


def _is_required(parameter: inspect.Parameter, kwargs: Mapping[str, Any]) -> bool:
    named = parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
    return named and parameter.default is parameter.empty and parameter.name not in kwargs


def _advice(left_open: list[str]) -> str:
    if not left_open:
        return ""
    return (
        f"; give {left_open[0]} a default, or values: build.{left_open[0]} = [...] in the header, "
        "or args in the config.yml of an ann-benchmarks folder"
    )


def _with_metric(
    parameters: list[inspect.Parameter], metric: str, args: list[Any], kwargs: dict[str, Any]
) -> tuple[list[Any], dict[str, Any]]:
    """Returns the arguments with ``metric`` in its place.

    It comes first if the first parameter has such a name or no default; it is a keyword if a
    later parameter is called ``metric`` or any keyword is accepted; else it is left out.
    """
    first = parameters[0] if parameters else None
    if first is not None and first.kind in (first.POSITIONAL_ONLY, first.POSITIONAL_OR_KEYWORD):
        required = first.default is first.empty and first.name not in kwargs
        if first.name in METRIC_WORDS or (required and not args):
            return [metric, *args], kwargs
    if first is not None and first.kind is first.VAR_POSITIONAL:
        return [metric, *args], kwargs
    if any(p.name == "metric" or p.kind is p.VAR_KEYWORD for p in parameters):
        return args, {"metric": metric, **kwargs}
    return args, kwargs


def closest(name: str, module: ModuleType) -> str:
    """Returns a hint with the class of the module whose name is most similar; empty if none."""
    classes = [key for key, value in vars(module).items() if isinstance(value, type)]
    meant = difflib.get_close_matches(name, classes, n=1)
    return f"; did you mean {meant[0]!r}?" if meant else ""


def check_takes(method: Callable[..., Any], *names: str) -> None:
    """Checks, before a call, that a method takes so many arguments.

    Raises:
        BuildError: it does not.
    """
    try:
        signature = inspect.signature(method)
    except (TypeError, ValueError):
        return
    try:
        signature.bind(*names)
    except TypeError as error:
        code = getattr(inspect.unwrap(method), "__code__", None)
        where = f" (line {code.co_firstlineno})" if code else ""
        name = getattr(method, "__name__", "a method")
        raise BuildError(
            f"{name}{signature}{where} is called as {name}({', '.join(names)}): {error}"
        ) from None


def check_call(
    function: Callable[..., Any],
    args: Any,
    kwargs: Mapping[str, Any],
    name: str,
    *,
    advice: str = "",
) -> None:
    """Checks that ``function`` takes these arguments.

    Raises:
        BuildError: it does not.
    """
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return
    try:
        signature.bind(*args, **kwargs)
    except TypeError as error:
        raise BuildError(
            f"{name}{signature} cannot be called with {words(args, kwargs)}: {error}{advice}"
        ) from None


def words(args: Any, kwargs: Mapping[str, Any]) -> str:
    parts = [repr(value) for value in args]
    parts += [f"{name}={value!r}" for name, value in kwargs.items()]
    return f"({', '.join(parts)})"


def substitute(value: Any, known: Mapping[str, Any]) -> Any:
    """Replaces ann-benchmarks' placeholders at any depth."""
    if isinstance(value, Mapping):
        return {key: substitute(item, known) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [substitute(item, known) for item in value]
    return known.get(value, value) if isinstance(value, str) else value
