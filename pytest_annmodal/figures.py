"""The table of all figures that are shown, ranked by, or used as thresholds.

Tables, records, JUnit properties, markers and grading read it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeGuard

if TYPE_CHECKING:
    from pytest_annmodal.outcome import Measurement

NO_VALUE = "–"


def duration(seconds: float | None) -> str:
    """Returns three digits and a suitable unit: ``12.3 µs``."""
    if not is_number(seconds):
        return NO_VALUE
    for unit, factor in (("ns", 1e9), ("µs", 1e6), ("ms", 1e3)):
        if abs(seconds) * factor < 999.5:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds:.3g} s" if seconds < 999.5 else f"{seconds:,.0f} s"


def size(n_bytes: float | None) -> str:
    """Returns a size in decimal units: ``36 kB``, ``1.2 MB``."""
    if not is_number(n_bytes):
        return NO_VALUE
    for unit, factor in (("GB", 1e9), ("MB", 1e6)):
        if n_bytes >= factor:
            return f"{n_bytes / factor:,.1f} {unit}"
    return f"{n_bytes / 1e3:,.0f} kB"


def rate(per_s: float | None) -> str:
    """Returns ``12,345``, or a dash if there is none."""
    if not is_number(per_s):
        return NO_VALUE
    return f"{per_s:,.0f}" if per_s >= 10 else f"{per_s:.2g}"


def share(value: float | None) -> str:
    """Returns a recall with four digits, rounded down so that only 1 is 1.0000."""
    if not is_number(value):
        return NO_VALUE
    return f"{math.floor(value * 1e4 + 1e-6) / 1e4:.4f}"


def is_number(value: float | None) -> TypeGuard[float]:
    return value is not None and math.isfinite(value)


def number(value: float | None) -> str:
    """Returns up to four digits: ``0.25``, ``12,345``."""
    return _digits(value) if is_number(value) else NO_VALUE


def counted(n: int, one: str, several: str = "") -> str:
    """Returns ``1 submission``, ``2 submissions``."""
    return f"{n:,} {one if n == 1 else several or f'{one}s'}"


def _digits(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


# Places where a figure may be shown. Thresholds and leaderboards may use every figure.
TABLE = "table"  # a column of the summary, and of a student's page
RECORD = "record"  # a key of extra_info, and of a case in grades.json
JUNIT = "junit"  # a property of a test
CSV = "csv"  # a column of grades.csv
CLASS = "class"  # a column of the class's table, on the terminal and in Markdown
SENTENCE = "sentence"  # a phrase in Gradescope's text for a setting
EVERYWHERE = frozenset({TABLE, RECORD, JUNIT, CSV, CLASS, SENTENCE})
NOT_OF_THE_CLASS = EVERYWHERE - {CLASS}


class Figure(NamedTuple):
    """One measured figure, in the unit in which it is shown.

    Attributes:
        name: short, with the unit; used in messages, leaderboards and thresholds.
        words: its description.
        field: of :class:`~pytest_annmodal.outcome.Measurement`, in that field's own unit.
        value: computes it, in this figure's unit, if it is not a field.
        factor: from the field's unit to this one's.
        better: whether ``more`` or ``less`` of it is better.
        option: the setting without which it is not measured, or "".
        proviso: a further condition for measuring it.
        unmeasured: why it may be missing even with its option.
        timed: the phase in which it is timed, as in ``Measurement.disturbed``, or "".
        mean: kind of mean over several datasets.
        title: heading of its column in tables; "" for its name.
        cell: formats a value in the field's unit for a table.
        phrase: wording in a sentence, with ``{}`` for the cell; "" for words and cell.
        stands: the places where it is shown.
    """

    name: str
    words: str
    field: str = ""
    value: Callable[[Measurement], float | None] | None = None
    factor: float = 1.0
    unit: str = ""
    better: Literal["more", "less"] = "more"
    option: str = ""
    proviso: str = ""
    unmeasured: str = ""
    timed: Literal["", "build", "queries", "batch"] = ""
    mean: Literal["arithmetic", "geometric"] = "arithmetic"
    title: str = ""
    cell: Callable[[float | None], str] = number
    phrase: str = ""
    stands: frozenset[str] = EVERYWHERE

    @property
    def key(self) -> str:
        """Its key in records: a field of the measurement, or this figure's name."""
        return self.field or self.name

    @property
    def heading(self) -> str:
        return self.title or self.name

    @property
    def threshold(self) -> str:
        """``min_recall``, ``max_p50_ms``: the name of its bound in markers and grading."""
        return f"{'min' if self.better == 'more' else 'max'}_{self.name}"

    @property
    def relation(self) -> str:
        return "at least" if self.better == "more" else "at most"

    @property
    def needs(self) -> str:
        """The option without which it is not measured: ``--ann-at-recall``."""
        flag = f"--ann-{self.option.replace('_', '-')}" if self.option else ""
        return f"{flag}{self.proviso}"

    def measured(self, measurement: Measurement) -> float | None:
        """Returns the measured value, in the field's unit."""
        if self.value is not None:
            return self.value(measurement)
        found: float | None = getattr(measurement, self.field)
        return found

    def scaled(self, measured: float | None) -> float | None:
        """Converts from the field's unit to this figure's."""
        return None if measured is None else measured * self.factor

    def of(self, measurement: Measurement) -> float | None:
        """Returns the value in this figure's unit."""
        return self.scaled(self.measured(measurement))

    def meets(self, value: float, bound: float) -> bool:
        """Returns whether a value meets a bound; False for NaN."""
        return value >= bound if self.better == "more" else value <= bound

    def cannot_tell(self, measurement: Measurement) -> bool:
        """Returns whether a missed bound might be met on a quieter machine.

        False for a figure that was not measured.
        """
        return self.timed in measurement.disturbed and self.of(measurement) is not None

    def show(self, value: float) -> str:
        return f"{_digits(value)} {self.unit}".rstrip()

    def say(self, measurement: Measurement) -> str:
        """Returns ``median 12.3 µs``."""
        return (self.phrase or f"{self.words} {{}}").format(self.cell(self.measured(measurement)))

    def why_missing(self, measurement: Measurement) -> str:
        """Returns why a measurement lacks this figure."""
        if self.name == "ratio" and measurement.comparison is not None:
            return f"cannot be told ({measurement.comparison.words})"
        asked_for = self.name not in LEVELS or LEVELS[self.name](measurement)
        why = self.unmeasured if asked_for and self.unmeasured else f"it needs {self.needs}"
        return f"not measured ({why})"


# For figures at a level that the user must name: whether it was named.
LEVELS: Mapping[str, Callable[[Measurement], bool]] = {
    "qps_at_recall": lambda seen: seen.at_recall is not None,
    "rate_at_p99_ms": lambda seen: seen.load is not None and seen.load.at_p99_s is not None,
    "cold_p50_ms": lambda seen: seen.first_pass is not None,
    "cold_p99_ms": lambda seen: seen.first_pass is not None,
}

# In the order of the tables' columns.
FIGURES: tuple[Figure, ...] = (
    Figure(name="recall", words="recall", field="recall", cell=share),
    Figure(
        name="qps",
        words="speed",
        field="qps",
        unit="queries/s",
        timed="queries",
        mean="geometric",
        title="QPS",
        cell=rate,
        phrase="{} queries/s",
    ),
    Figure(
        name="p50_ms",
        words="median latency",
        field="p50_s",
        factor=1e3,
        unit="ms",
        better="less",
        timed="queries",
        title="p50",
        cell=duration,
        phrase="median {}",
        stands=NOT_OF_THE_CLASS,
    ),
    Figure(
        name="p95_ms",
        words="95 % latency",
        field="p95_s",
        factor=1e3,
        unit="ms",
        better="less",
        timed="queries",
        title="p95",
        cell=duration,
        stands=frozenset({TABLE, RECORD, JUNIT}),
    ),
    Figure(
        name="p99_ms",
        words="99 % latency",
        field="p99_s",
        factor=1e3,
        unit="ms",
        better="less",
        timed="queries",
        title="p99",
        cell=duration,
        phrase="99 % {}",
        stands=NOT_OF_THE_CLASS,
    ),
    Figure(
        name="batch_qps",
        words="batch speed",
        field="batch_qps",
        unit="queries/s",
        unmeasured="there is no batch_query",
        timed="batch",
        mean="geometric",
        title="batch QPS",
        cell=rate,
        stands=frozenset({TABLE, RECORD}),
    ),
    Figure(
        name="build_s",
        words="build time",
        field="build_s",
        unit="s",
        better="less",
        timed="build",
        title="build",
        cell=duration,
        phrase="built in {}",
        stands=NOT_OF_THE_CLASS,
    ),
    Figure(
        name="index_mb",
        words="index size",
        field="index_bytes",
        factor=1e-6,
        unit="MB",
        better="less",
        title="index",
        cell=size,
        phrase="index {}",
        stands=NOT_OF_THE_CLASS,
    ),
    Figure(
        name="peak_mb",
        words="peak memory",
        field="peak_rss_bytes",
        factor=1e-6,
        unit="MB",
        better="less",
        title="peak",
        cell=size,
        stands=frozenset({RECORD}),
    ),
    Figure(
        name="qps_at_recall",
        words="speed at the recall level",
        field="qps_at_recall",
        unit="queries/s",
        option="at_recall",
        unmeasured="no two settings of one build bracket that recall",
        timed="queries",
        mean="geometric",
        title="QPS at recall",
        cell=rate,
        stands=frozenset({RECORD, JUNIT}),  # of a build: the summary shows it below its table
    ),
    Figure(
        name="rate_at_p99_ms",
        words="rate at the latency level",
        field="rate_at_p99_qps",
        unit="queries/s",
        option="at_p99_ms",
        unmeasured="at no rate of --ann-rate was the 99 % latency within --ann-at-p99-ms, or its "
        "level is marked generator-bound or stopped",
        timed="queries",
        mean="geometric",
        title="rate at p99",
        cell=rate,
        stands=frozenset({RECORD, JUNIT}),  # the summary shows it below its table
    ),
    Figure(
        name="cold_p50_ms",
        words="median latency of the first pass",
        field="cold_p50_s",
        factor=1e3,
        unit="ms",
        better="less",
        option="cold",
        title="cold p50",
        cell=duration,
        stands=frozenset({JUNIT}),  # extra_info has the whole first pass
    ),
    Figure(
        name="cold_p99_ms",
        words="99 % latency of the first pass",
        field="cold_p99_s",
        factor=1e3,
        unit="ms",
        better="less",
        option="cold",
        title="cold p99",
        cell=duration,
        stands=frozenset({JUNIT}),
    ),
    Figure(
        name="ratio",
        words="speed over the baseline's",
        field="supported_ratio",
        option="baseline",
        proviso=", and one that serves this metric",
        mean="geometric",
        stands=frozenset(),  # shown only with its interval, by the comparison
    ),
)

CANNOT_TELL = "cannot tell, since others used its core meanwhile: measure on a quieter machine"
BY_NAME: Mapping[str, Figure] = {figure.name: figure for figure in FIGURES}
THRESHOLDS: Mapping[str, Figure] = {figure.threshold: figure for figure in FIGURES}


def standing(place: str) -> tuple[Figure, ...]:
    """Returns the figures that are shown in a place, in order."""
    return tuple(figure for figure in FIGURES if place in figure.stands)
