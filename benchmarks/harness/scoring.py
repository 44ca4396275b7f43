"""Scoring and storing what a large job has answered."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pytest_annmodal.datasets import hdf5
from pytest_annmodal.distances import exact

from . import made
from .processes import ask
from .scale import Scale
from .table import Values

K = 100
DIM = 100


def scored(scale: Scale, directory: Path) -> Values:
    """Seconds of all settings of one job."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / "scored-100-angular.hdf5"
    train = made.vectors(scale.scored_n, DIM)
    test = made.vectors(scale.scored_queries, DIM, made.SEED + 1)
    ids, distances = exact.knn(train, test, K, "angular")
    hdf5.write(
        path,
        train=train,
        test=test,
        neighbors=ids.astype(np.int32),
        distances=distances,
        metric="angular",
    )
    answers = ask(
        "scored",
        dataset=str(path),
        settings=scale.scored_settings,
        alternations=scale.alternations,
    )
    return {"scoring": [answer["seconds"] for answer in answers]}
