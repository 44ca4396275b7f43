"""Every figure that people set thresholds on or rank by, in ONE table.

``@pytest.mark.ann`` and grading read it, so that both know the same thresholds. It is imported
by every pytest run on the machine, so it imports nothing heavy.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal, NamedTuple

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
        """Whether a bound that is missed might be reached on a quieter machine."""
        return self.timed in measurement.disturbed

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
