"""The axes on which a search is tuned, from its header, for this build and dataset."""

from __future__ import annotations

from collections.abc import Mapping

from pytest_annmodal.errors import ConfigurationError
from pytest_annmodal.jobs.tuning.axis import Axis
from pytest_annmodal.manifests import expression
from pytest_annmodal.model import Job, Search, Tunable


def axes(
    job: Job, search: Search, *, n: int, dim: int
) -> tuple[Mapping[str, Axis], tuple[str, ...]]:
    """Returns axes by argument; and why others of the header cannot be bisected here."""
    given = {**job.build.kwargs, **search.arguments.kwargs, "k": search.k, "n": n, "dim": dim}
    numbers = {
        name: value
        for name, value in given.items()
        if isinstance(value, (int, float)) and not isinstance(value, bool)
    }
    found, unusable = {}, []
    for one in job.implementation.tune:
        try:
            found[one.name] = _axis(one, numbers)
        except ConfigurationError as error:
            unusable.append(f"tune.{one.name}.range: {error}, so {one.name} was not bisected")
    return found, tuple(unusable)


def _axis(declared: Tunable, numbers: Mapping[str, float]) -> Axis:
    """Raises ConfigurationError where the ends are no range for this build and dataset."""
    low, high = (_end(end, numbers) for end in (declared.low, declared.high))
    if low > high:
        raise ConfigurationError(
            f"its lower end {_said(declared.low, low)} and its upper end "
            f"{_said(declared.high, high)} here"
        )
    if declared.log and low <= 0:
        raise ConfigurationError(
            f"on a log scale both ends are above 0, and they are {low:g} and {high:g} here"
        )
    whole = isinstance(low, int) and isinstance(high, int)
    return Axis(low=low, high=high, log=declared.log, whole=whole)


def _said(end: float | str, value: float) -> str:
    return f"{end} is {value:g}" if isinstance(end, str) else f"is {value:g}"


def _end(end: float | str, numbers: Mapping[str, float]) -> float:
    if not isinstance(end, str):
        return end
    missing = [name for name in expression.names_in(end) if name not in numbers]
    if missing:
        raise ConfigurationError(f"{missing[0]} is not set in this build")
    try:
        return expression.number(expression.parsed(end), numbers)
    except ZeroDivisionError as error:
        raise ConfigurationError(f"{end} divides by zero here") from error
