"""The user's own queries, used instead of a dataset's."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnQueries:
    """The user's own queries, used instead of a dataset's.

    Attributes:
        name: of the user's file, without its suffix.
        path: an ``.npy`` file with their rows, (n, dim), where the job runs.
        sha256: of that file; equal rows are the same queries, whatever their original format.
    """

    name: str
    path: str
    sha256: str
    n: int
    dim: int

    @property
    def label(self) -> str:
        """``mine-1a2b3c4d``: their name in ids, tables and the store."""
        return f"{self.name}-{self.sha256[:8]}"


def label_of(queries: OwnQueries | None) -> str:
    """Returns the label of the queries; "" for a dataset's own."""
    return "" if queries is None else queries.label


def place(dataset: str, subset: int | None, queries: OwnQueries | None) -> str:
    """Returns ``gist-960-euclidean-subset1000-queries-mine-1a2b3c4d``: dataset, subset, queries."""
    cut = f"-subset{subset}" if subset else ""
    return dataset + cut + (f"-queries-{queries.label}" if queries is not None else "")
