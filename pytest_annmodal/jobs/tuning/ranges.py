"""The axes on which a search is tuned, from its header, for this build and dataset."""

from __future__ import annotations

from collections.abc import Mapping

from pytest_annmodal.jobs.tuning.axis import Axis
from pytest_annmodal.manifests import expression
from pytest_annmodal.model import Job, Search


def axes(job: Job, search: Search, *, n: int, dim: int) -> Mapping[str, Axis]:
    """Returns axes by argument; one whose end names an argument that is not set is left out."""
    given = {**job.build.kwargs, **search.arguments.kwargs, "k": search.k, "n": n, "dim": dim}
    numbers = {
        name: value
        for name, value in given.items()
        if isinstance(value, (int, float)) and not isinstance(value, bool)
    }
    found = {}
    for one in job.implementation.tune:
        try:
            low, high = (_end(end, numbers) for end in (one.low, one.high))
        except (KeyError, ArithmeticError):
            continue
        if one.log and low <= 0:
            low = min(1, high)
        if high > 0 or not one.log:
            whole = isinstance(low, int) and isinstance(high, int)
            found[one.name] = Axis(low=min(low, high), high=high, log=one.log, whole=whole)
    return found


def _end(end: float | str, numbers: Mapping[str, float]) -> float:
    return expression.number(expression.parsed(end), numbers) if isinstance(end, str) else end
