"""The table of metrics. The arithmetic of a metric is its measure.

To add a metric, write a row here and a class in :mod:`.measures`. Its files are then read,
checked and written, its truth is computed, and implementations that name it are measured.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from pytest_annmodal.errors import ConfigurationError

if TYPE_CHECKING:
    from pytest_annmodal.distances.measure import Measure
    from pytest_annmodal.distances.rows import Layout


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """The names and the layout of a metric.

    Attributes:
        name: in our files, headers and tables.
        words: other names in files, without spaces, hyphens and underscores.
        keys: keys of ``config.yml`` under which ann-benchmarks and VIBE list definitions for
            it; see also :data:`WIDE_KEYS`.
        vibe: VIBE's name for it, if VIBE's key ``any`` includes it.
        by_default: an implementation that names no metric serves it.
        layout: how its rows are kept, a key of :data:`~.layouts.LAYOUT_FORMS`.
    """

    name: str
    words: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    vibe: str = ""
    by_default: bool = False
    layout: str = "floats"

    @property
    def measure(self) -> Measure:
        """Its arithmetic; imports numpy."""
        from pytest_annmodal.distances import measures

        return measures.MEASURES[self.name]

    @property
    def rows(self) -> Layout:
        """The layout of its rows; imports numpy."""
        from pytest_annmodal.distances import rows

        return rows.LAYOUTS[self.layout]


_ROWS = (
    Metric(
        name="euclidean",
        words=("euclid", "l2"),
        keys=("euclidean",),
        vibe="euclidean",
        by_default=True,
    ),
    Metric(
        name="angular",
        words=("cosine", "cosinesimilarity", "cosinedistance", "cos", "normalized"),
        keys=("angular", "cosine"),
        vibe="cosine",
        by_default=True,
    ),
    Metric(
        name="dot",
        words=("dotproduct", "ip", "mips", "innerproduct"),
        keys=("ip", "dot"),
        vibe="ip",
    ),
    Metric(name="manhattan", words=("l1", "cityblock", "taxicab")),
    Metric(name="hamming", words=("bithamming",), keys=("hamming",), layout="bits"),
    Metric(name="jaccard", words=("tanimoto",), keys=("jaccard",), layout="sets"),
)
# Keys for several metrics, or (normalized) for vectors of unit length only.
WIDE_KEYS = {"normalized": ("angular",), "any": ("euclidean", "angular")}

METRICS: Mapping[str, Metric] = MappingProxyType({row.name: row for row in _ROWS})
NAMES = tuple(METRICS)
BY_DEFAULT = tuple(row.name for row in _ROWS if row.by_default)
BY_WORD: Mapping[str, Metric] = MappingProxyType(
    {word: row for row in _ROWS for word in (row.name, *row.words)}
)
LISTED = f"{', '.join(NAMES[:-1])} or {NAMES[-1]}"  # for a message


def of_layout(layout: str) -> tuple[str, ...]:
    """Returns the names of the metrics with this layout."""
    return tuple(row.name for row in _ROWS if row.layout == layout)


def named(name: str) -> Metric:
    """Returns the metric of that name.

    Raises:
        ConfigurationError: there is none.
    """
    if name not in METRICS:
        raise ConfigurationError(f"metric {name!r} is not supported: use one of {', '.join(NAMES)}")
    return METRICS[name]
