"""The table of metrics: one row each. What is computed by a metric is its measure.

To add a metric, write a row here and a class in :mod:`.measures`: files of it are then read,
checked and written, truth is computed, and what names it is measured.
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
    """What the rest of the house knows of a metric without computing anything.

    Attributes:
        name: in our files, headers and tables.
        words: what others call it in files, without spaces, hyphens and underscores.
        keys: under which ann-benchmarks and VIBE list a definition that serves it, in a
            ``config.yml``; see also :data:`WIDE_KEYS`.
        vibe: VIBE's word for it, where its key ``any`` includes it.
        by_default: an implementation that names no metric is asked for it.
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
        """Its arithmetic; numpy is imported for it."""
        from pytest_annmodal.distances import measures

        return measures.MEASURES[self.name]

    @property
    def rows(self) -> Layout:
        """What is done with its rows, whatever is computed of them; numpy is imported for it."""
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
# Keys that stand for several metrics, or for less than one: definitions for vectors of unit length.
WIDE_KEYS = {"normalized": ("angular",), "any": ("euclidean", "angular")}

METRICS: Mapping[str, Metric] = MappingProxyType({row.name: row for row in _ROWS})
NAMES = tuple(METRICS)
BY_DEFAULT = tuple(row.name for row in _ROWS if row.by_default)
BY_WORD: Mapping[str, Metric] = MappingProxyType(
    {word: row for row in _ROWS for word in (row.name, *row.words)}
)
LISTED = f"{', '.join(NAMES[:-1])} or {NAMES[-1]}"  # for a message


def of_layout(layout: str) -> tuple[str, ...]:
    """The names of the metrics whose datasets' rows are kept so."""
    return tuple(row.name for row in _ROWS if row.layout == layout)


def named(name: str) -> Metric:
    """The row of that name.

    Raises:
        ConfigurationError: there is none.
    """
    if name not in METRICS:
        raise ConfigurationError(f"metric {name!r} is not supported: use one of {', '.join(NAMES)}")
    return METRICS[name]
