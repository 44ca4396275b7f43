"""Queries that are asked instead of a dataset's own."""

from __future__ import annotations

from dataclasses import dataclass

ORDERS = ("file", "random", "sorted")  # in which they are asked


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnQueries:
    """Queries that are asked instead of a dataset's own.

    Attributes:
        name: of the file that was named, without its ending.
        path: an ``.npy`` file with their rows, (n, dim), where the job runs.
        sha256: of that file: the same rows are the same queries, whatever format they came in.
    """

    name: str
    path: str
    sha256: str
    n: int
    dim: int

    @property
    def label(self) -> str:
        """``mine-1a2b3c4d``: what ids, tables and the store call them."""
        return f"{self.name}-{self.sha256[:8]}"


def label_of(queries: OwnQueries | None) -> str:
    """Empty for a dataset's own."""
    return "" if queries is None else queries.label


def place(dataset: str, subset: int | None, queries: OwnQueries | None) -> str:
    """What was asked on what: ``gist-960-euclidean-subset1000-queries-mine-1a2b3c4d``."""
    cut = f"-subset{subset}" if subset else ""
    return dataset + cut + (f"-queries-{queries.label}" if queries is not None else "")
