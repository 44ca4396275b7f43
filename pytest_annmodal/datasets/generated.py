"""The table of generated datasets: their parameters, without arrays.

To add one, write a row here and, for a new kind of rows, a function in :mod:`.synthetic`.
The catalogue and ``pytest benchmarks/`` then include it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from pytest_annmodal.model import Dataset


@dataclass(frozen=True, slots=True, kw_only=True)
class Generated:
    """One generated dataset.

    Attributes:
        kind: the text after ``generate:`` in the source.
        rows: the function that makes them, a key of
            :data:`~pytest_annmodal.datasets.synthetic.MAKERS`.
        dim: numbers or bits of a row, or members that sets are drawn from.
    """

    name: str
    kind: str
    rows: str
    metric: str
    seed: int
    dim: int = 64
    n_train: int = 8_000  # all generated datasets together take a minute
    n_queries: int = 200

    def dataset(self) -> Dataset:
        return Dataset(
            name=self.name,
            source=f"generate:{self.kind}",
            metric=self.metric,
            dim=self.dim,
            n_train=self.n_train,
            n_queries=self.n_queries,
        )


GENERATED: Mapping[str, Generated] = MappingProxyType(
    {
        row.kind: row
        for row in (
            Generated(
                name="clusters-64-euclidean",
                kind="euclidean",
                rows="points",
                metric="euclidean",
                seed=64_001,
                n_train=20_000,
                n_queries=500,
            ),
            Generated(
                name="clusters-64-angular",
                kind="angular",
                rows="points",
                metric="angular",
                seed=64_002,
            ),
            Generated(
                name="clusters-64-manhattan",
                kind="manhattan",
                rows="points",
                metric="manhattan",
                seed=64_003,
            ),
            Generated(
                name="clusters-250-hamming",
                kind="hamming",
                rows="signs",
                metric="hamming",
                seed=64_004,
                dim=250,  # not a multiple of 8, so that padding bits are tested
            ),
            Generated(
                name="random-jaccard",
                kind="jaccard",
                rows="baskets",
                metric="jaccard",
                seed=64_005,
                dim=2_000,
                n_train=4_000,
            ),
            Generated(
                name="bytes-64-euclidean",
                kind="uint8",
                rows="pixels",
                metric="euclidean",
                seed=64_006,
            ),
        )
    }
)
