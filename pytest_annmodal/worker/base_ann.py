"""A replacement for the parts of the ann-benchmarks package that its algorithm modules import.

A ``module.py`` with ``from ..base.module import BaseANN`` runs with it where ann-benchmarks is not
installed. Worker side; stdlib and numpy only.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np


class BaseANN:
    """The base class of ann-benchmarks' algorithms.

    The harness ignores methods that an algorithm inherits unchanged: it neither times this
    ``batch_query`` nor uses this ``get_memory_usage``. The three-step query (``prepare_query``
    and so on) is left out, since ann-benchmarks tests whether it exists.
    """

    res: Any

    def done(self) -> None:
        """Frees resources of the algorithm."""

    def get_memory_usage(self) -> float | None:
        """Returns resident memory of this process in KILOBYTES, ann-benchmarks' unit."""
        statm = Path("/proc/self/statm")
        if statm.exists():
            return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1024
        return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)

    def fit(self, X: Any) -> None:  # noqa: N803 -- the field's name for it
        """Builds the index over the rows of ``X``."""

    def query(self, q: Any, n: int) -> Any:
        """Returns the ``n`` nearest row numbers."""
        raise NotImplementedError(f"{type(self).__name__} defines no query(q, n)")

    def batch_query(self, X: Any, n: int) -> None:  # noqa: N803
        """Answers every row of ``X`` with a pool of threads; see :meth:`get_batch_results`."""
        from multiprocessing.pool import ThreadPool

        with ThreadPool() as pool:
            self.res = pool.map(lambda q: self.query(q, n), X)

    def get_batch_results(self) -> Any:
        return self.res

    def get_additional(self) -> dict[str, Any]:
        return {}

    def __str__(self) -> str:
        return str(getattr(self, "name", type(self).__name__))


@dataclass(frozen=True)
class Metric:
    """One entry of ``ann_benchmarks.distance.metrics``, old (``[…]``) and new (``.``) spelling."""

    distance: Callable[[Any, Any], float]
    distance_valid: Callable[[float], bool] = lambda _distance: True

    def __getitem__(self, name: str) -> Callable[..., Any]:
        found: Callable[..., Any] = getattr(self, name)
        return found


def _angular(a: Any, b: Any) -> float:
    norms = float(np.linalg.norm(a) * np.linalg.norm(b))
    return 1.0 - float(np.dot(a, b)) / norms if norms else 1.0


def _jaccard(a: Any, b: Any) -> float:
    union = len(set(a) | set(b))
    return 1.0 - len(set(a) & set(b)) / union if union else 1.0


metrics: dict[str, Metric] = {
    "euclidean": Metric(lambda a, b: float(np.linalg.norm(np.subtract(a, b)))),
    "angular": Metric(_angular),
    "hamming": Metric(lambda a, b: float(np.mean(np.not_equal(a, b)))),
    "jaccard": Metric(_jaccard, lambda distance: distance < 1 - 1e-5),
}


def compute_distance(metric: str, a: Any, b: Any) -> float:
    return metrics[metric].distance(a, b)


dataset_transform: dict[str, Callable[[Any], Any]] = dict.fromkeys(metrics, np.asarray)


INDEX_DIR = "indices"  # below the working directory, which is the worker's own


def get_bool_env_var(env_var_name: str, default_value: bool) -> bool:  # noqa: FBT001 -- its signature
    text = os.environ.get(env_var_name, "").strip().lower()
    return text in {"1", "on", "t", "true", "y", "yes"} if text else default_value
