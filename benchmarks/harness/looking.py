"""The first look at a dataset, and the second."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from . import made
from .processes import ask
from .scale import Scale, Size
from .table import Values

SMALL = Size(n=500, dim=20)
FEW_QUERIES = 10


def at(name: str, size_of: Callable[[Scale], Size], metric: str) -> Callable[[Scale, Path], Values]:
    """Rows ``look-NAME``, ``look-NAME-own`` and ``look-NAME-again``, of one dataset."""

    def measure(scale: Scale, directory: Path) -> Values:
        volume = directory / "volume"
        path = made.file(volume, size_of(scale), metric, FEW_QUERIES)
        answers = ask(
            "looked",
            threads=None,
            dataset=str(path),
            small=str(made.file(directory, SMALL, metric, FEW_QUERIES)),
            volume=str(volume),
            alternations=scale.alternations,
        )
        path.unlink()
        return {
            f"look-{name}": [answer["stored_s"] / answer["usual_s"] for answer in answers],
            f"look-{name}-own": [answer["own_s"] / answer["usual_s"] for answer in answers],
            f"look-{name}-again": [answer["again_s"] * 1e3 for answer in answers],
        }

    return measure
