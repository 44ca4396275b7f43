"""Exact neighbours: what our truth takes, beside faiss and beside the product alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from .processes import ask
from .scale import Scale, Size
from .table import Values

K = 100


def few(scale: Scale, _directory: Path) -> Values:
    """A few queries beside both."""
    found = _measured(scale, scale.words_sized, scale.truth_few, "angular", ("product", "faiss"))
    return {
        "truth-few": _ratios(found, "product_s"),
        "truth-few-faiss": _ratios(found, "faiss_s"),
    }


def many(scale: Scale, _directory: Path) -> Values:
    """Many queries beside both, and the memory that they need."""
    found = _measured(scale, scale.words_sized, scale.truth_many, "angular", ("product", "faiss"))
    return {
        "truth-many": _ratios(found, "product_s"),
        "truth-many-faiss": _ratios(found, "faiss_s"),
        "truth-memory": [answer["beyond_bytes"] / 1e6 for answer in found[:1]],
    }


def two_threads(scale: Scale, _directory: Path) -> Values:
    """Both cores beside one."""
    size, beside = scale.words_sized, ("one thread",)
    found = _measured(scale, size, scale.truth_many, "angular", beside, threads=2)
    return {"truth-two-threads": _ratios(found, "one_thread_s")}


def by_metric(metric: str) -> Callable[[Scale, Path], Values]:
    """Another metric beside the product alone."""

    def measure(scale: Scale, _directory: Path) -> Values:
        found = _measured(scale, scale.words_sized, scale.truth_many, metric, ("product",))
        return {f"truth-{metric}": _ratios(found, "product_s")}

    return measure


def large(scale: Scale, _directory: Path) -> Values:
    """The largest dataset of the catalogue, or nearly."""
    found = _measured(scale, scale.large, scale.truth_few, "euclidean", ("product",))
    return {
        "truth-large": _ratios(found, "product_s"),
        "truth-large-memory": [answer["beyond_bytes"] / 1e6 for answer in found[:1]],
    }


def _measured(
    scale: Scale,
    size: Size,
    n_queries: int,
    metric: str,
    beside: Sequence[str],
    *,
    threads: int = 1,
) -> list[dict[str, Any]]:
    return ask(
        "truth",
        threads=threads,
        n_train=size.n,
        dim=size.dim,
        n_queries=n_queries,
        k=min(K, size.n),
        metric=metric,
        beside=beside,
        alternations=scale.alternations,
    )


def _ratios(found: list[dict[str, Any]], side: str) -> list[float]:
    return [answer["ours_s"] / answer[side] for answer in found[1:]]
