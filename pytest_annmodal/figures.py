"""Every figure that people set thresholds on or rank by, in ONE table.

``@pytest.mark.ann`` and grading read it, so that both know the same thresholds. It is imported
by every pytest run on the machine, so it imports nothing heavy.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeGuard

if TYPE_CHECKING:
    from pytest_annmodal.outcome import Measurement


class Figure(NamedTuple):
    """One measured figure, in a unit that people use.

    (A named tuple, since defining a dataclass takes four times as long, in every pytest run.)

    Attributes:
        name: short, with the unit: what messages, leaderboards and thresholds call it.
        words: what it is, for somebody who did not choose it.
        field: of :class:`~pytest_annmodal.outcome.Measurement`, in that field's own unit.
        factor: from the field's unit to this one's.
        better: whether ``more`` of it is better, or ``less``.
        needs: the option without which it is not measured, or nothing.
        unmeasured: why it may be missing although its option is there.
        timed: in which phase its clock runs, as ``Measurement.disturbed`` names it; else nothing.
    """

    name: str
    words: str
    field: str
    factor: float = 1.0
    unit: str = ""
    better: Literal["more", "less"] = "more"
    needs: str = ""
    unmeasured: str = ""
    timed: Literal["", "build", "queries", "batch"] = ""

    @property
    def threshold(self) -> str:
        """``min_recall``, ``max_p50_ms``: what a marker and a grading part call its bound."""
        return f"{'min' if self.better == 'more' else 'max'}_{self.name}"

    @property
    def relation(self) -> str:
        return "at least" if self.better == "more" else "at most"

    def of(self, measurement: Measurement) -> float | None:
        value: float | None = getattr(measurement, self.field)
        return None if value is None else value * self.factor

    def meets(self, value: float, bound: float) -> bool:
        """Whether a value is as good as a bound; NaN is not."""
        return value >= bound if self.better == "more" else value <= bound

    def cannot_tell(self, measurement: Measurement) -> bool:
        """Whether a bound that is missed might be reached on a quieter machine.

        A figure that was not measured is missing on every machine.
        """
        return self.timed in measurement.disturbed and self.of(measurement) is not None

    def show(self, value: float) -> str:
        text = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
        return f"{text} {self.unit}".rstrip()

    def why_missing(self, measurement: Measurement) -> str:
        """Why a measurement has no such figure."""
        if self.name == "ratio" and measurement.comparison is not None:
            return f"cannot be told ({measurement.comparison.words})"
        asked_for = self.name != "qps_at_recall" or measurement.at_recall is not None
        why = self.unmeasured if asked_for and self.unmeasured else f"it needs {self.needs}"
        return f"not measured ({why})"


FIGURES: tuple[Figure, ...] = (
    Figure(name="recall", words="recall", field="recall"),
    Figure(name="qps", words="speed", field="qps", unit="queries/s", timed="queries"),
    Figure(
        name="qps_at_recall",
        words="speed at the recall level",
        field="qps_at_recall",
        unit="queries/s",
        needs="--ann-at-recall",
        unmeasured="no two settings of one build bracket that recall",
        timed="queries",
    ),
    Figure(
        name="ratio",
        words="speed over the baseline's",
        field="supported_ratio",
        needs="--ann-baseline, and one that serves this metric",
    ),
    Figure(
        name="batch_qps",
        words="batch speed",
        field="batch_qps",
        unit="queries/s",
        unmeasured="there is no batch_query",
        timed="batch",
    ),
    Figure(
        name="p50_ms",
        words="median latency",
        field="p50_s",
        factor=1e3,
        unit="ms",
        better="less",
        timed="queries",
    ),
    Figure(
        name="p95_ms",
        words="95 % latency",
        field="p95_s",
        factor=1e3,
        unit="ms",
        better="less",
        timed="queries",
    ),
    Figure(
        name="p99_ms",
        words="99 % latency",
        field="p99_s",
        factor=1e3,
        unit="ms",
        better="less",
        timed="queries",
    ),
    Figure(
        name="build_s",
        words="build time",
        field="build_s",
        unit="s",
        better="less",
        timed="build",
    ),
    Figure(
        name="index_mb",
        words="index size",
        field="index_bytes",
        factor=1e-6,
        unit="MB",
        better="less",
    ),
    Figure(
        name="peak_mb",
        words="peak memory",
        field="peak_rss_bytes",
        factor=1e-6,
        unit="MB",
        better="less",
    ),
)

CANNOT_TELL = "cannot tell, since others used its core meanwhile: measure on a quieter machine"
BY_NAME: Mapping[str, Figure] = {figure.name: figure for figure in FIGURES}
THRESHOLDS: Mapping[str, Figure] = {figure.threshold: figure for figure in FIGURES}


NO_VALUE = "–"


def duration(seconds: float | None) -> str:
    """Three digits and the unit that fits: ``12.3 µs``."""
    if not _is_number(seconds):
        return NO_VALUE
    for unit, factor in (("ns", 1e9), ("µs", 1e6), ("ms", 1e3)):
        if abs(seconds) * factor < 999.5:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds:.3g} s" if seconds < 999.5 else f"{seconds:,.0f} s"


def size(n_bytes: float | None) -> str:
    """Decimal units, as disks and clouds count: ``36 kB``, ``1.2 MB``."""
    if not _is_number(n_bytes):
        return NO_VALUE
    for unit, factor in (("GB", 1e9), ("MB", 1e6)):
        if n_bytes >= factor:
            return f"{n_bytes / factor:,.1f} {unit}"
    return f"{n_bytes / 1e3:,.0f} kB"


def rate(per_s: float | None) -> str:
    """``12,345``, or a dash where there is none."""
    if not _is_number(per_s):
        return NO_VALUE
    return f"{per_s:,.0f}" if per_s >= 10 else f"{per_s:.2g}"


def share(value: float | None) -> str:
    """Recall, never rounded up to a perfect 1.0000."""
    if not _is_number(value):
        return NO_VALUE
    return f"{math.floor(value * 1e4 + 1e-6) / 1e4:.4f}"


def _is_number(value: float | None) -> TypeGuard[float]:
    return value is not None and math.isfinite(value)


COLUMNS: tuple[tuple[str, Callable[[Any], str], str], ...] = (
    ("recall", share, "recall"),
    ("QPS", rate, "qps"),
    ("p50", duration, "p50_s"),
    ("p95", duration, "p95_s"),
    ("p99", duration, "p99_s"),
    ("batch QPS", rate, "batch_qps"),
    ("build", duration, "build_s"),
    ("index", size, "index_bytes"),
)
