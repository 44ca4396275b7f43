"""How much is measured: sizes and repeats, of which the table's words tell."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """Rows and dimensions of a dataset."""

    n: int
    dim: int

    @property
    def words(self) -> str:
        return f"{self.n:,} × {self.dim}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """A full run; :data:`QUICK` has the same rows on less data.

    Attributes:
        alternations: of one side and the other in turn, for each row.
        passes: of the tight loop and the product in turn, within one pair of processes.
    """

    alternations: int = 5
    passes: int = 20
    words_sized: Size = Size(n=331_000, dim=100)  # as many as GloVe has, or NYTimes nearly
    large: Size = Size(n=1_000_000, dim=960)  # as GIST
    small: Size = Size(n=9_000, dim=784)
    gated: Size = Size(n=20_000, dim=64)
    clusters_n: int = 20_000
    clusters_queries: int = 500
    slope_queries: int = 40_000
    truth_few: int = 500
    truth_many: int = 2_000
    large_job_queries: int = 10_000
    large_job_settings: int = 10
    large_queries: int = 100
    small_job_queries: int = 1_000
    scored_n: int = 100_000
    scored_queries: int = 10_000
    scored_settings: int = 30
    imported: Size = Size(n=10_000_000, dim=96)  # as the 10 million rows of DEEP1B
    imported_queries: int = 100
    collected: int = 12_000
    fidelity: tuple[str, ...] = ("bruteforce", "hnswlib", "annoy")
    asked: tuple[str, ...] = ()  # more arguments of the session on the default datasets

    def words(self) -> Mapping[str, str]:
        """For the texts of rows: each size, spelt as a person reads it."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {name: _spelt(value) for name, value in values.items()}


def _spelt(value: object) -> str:
    if isinstance(value, Size):
        return value.words
    return f"{value:,}" if isinstance(value, int) else str(value)


QUICK = Scale(
    alternations=2,
    passes=8,
    words_sized=Size(n=60_000, dim=100),
    large=Size(n=60_000, dim=960),
    small=Size(n=3_000, dim=784),
    gated=Size(n=5_000, dim=64),
    slope_queries=20_000,
    large_job_queries=1_000,
    large_job_settings=3,
    large_queries=20,
    small_job_queries=300,
    scored_n=30_000,
    scored_queries=3_000,
    scored_settings=5,
    imported=Size(n=300_000, dim=96),
    collected=3_000,
    asked=("--ann-queries=50",),
)
