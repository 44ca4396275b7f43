"""The charts of the page (with data by name) and of image files (with data inside).

Altair turns them into Vega-Lite. A chart's docstring lists the fields of its data; the caller
computes them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from pytest_annmodal.page.content import DRAWN, figure_title

# Okabe and Ito's colours, which people with any colour vision can distinguish, without yellow
# (invisible on white) and with grey for black (invisible on a dark page); then olive and brown.
COLORS = (
    *("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#888888"),
    *("#999933", "#9c6b4e"),
)
SHAPES = (
    *("circle", "square", "triangle-up", "diamond", "cross", "triangle-down"),
    *("triangle-right", "triangle-left"),
)
DASHES = ([1, 0], [6, 3], [2, 2], [8, 3, 2, 3])
PERCENTILES = {0.5: "p50", 0.05: "p95", 0.01: "p99"}
# Recalls that are marked on the axis of nines.
TICKS = (0.0, 0.5, 0.8, 0.9, 0.95, 0.99, 0.995, 0.999, 0.9995, 0.9999, 0.99999, 0.999999)
FAINT = 0.3


class Style:
    """One colour, marker and dash for each implementation, the same in all charts."""

    def __init__(self, implementations: Sequence[str]) -> None:
        names = list(implementations)
        count = range(len(names))
        self.color = alt.Scale(domain=names, range=[COLORS[i % len(COLORS)] for i in count])
        self.shape = alt.Scale(domain=names, range=[SHAPES[i % len(SHAPES)] for i in count])
        self.dash = alt.Scale(
            domain=names, range=[DASHES[i // len(COLORS) % len(DASHES)] for i in count]
        )

    def of(self, *channels: str, legend: bool = True) -> dict[str, Any]:
        """Returns encodings of the field ``implementation``."""
        made = {"color": alt.Color, "shape": alt.Shape, "strokeDash": alt.StrokeDash}
        scales = {"color": self.color, "shape": self.shape, "strokeDash": self.dash}
        return {
            channel: made[channel]("implementation:N")
            .scale(scales[channel])
            .title(None)
            .legend(alt.Legend() if legend else None)
            for channel in channels
        }


def recall_axis(one_at: float | None) -> alt.X:
    """Returns the axis of recall: linear, or in nines with recall 1 at ``one_at``."""
    if one_at is None:
        return alt.X("x:Q").title("recall").scale(zero=False)
    places = [-math.log10(1 - tick) for tick in TICKS]
    values = [place for place in places if place < one_at - 0.1] + [one_at]
    words = f"datum.value > {one_at - 1e-6} ? '1' : format(1 - pow(10, -datum.value), '.6~f')"
    axis = alt.Axis(values=values, labelExpr=words, labelOverlap=True)
    scale = alt.Scale(zero=False, nice=False, padding=12)
    return (
        alt.X("x:Q").title("recall (each step to the right: fewer misses)").axis(axis).scale(scale)
    )


def figure_axis(name: str) -> alt.Y:
    """Returns a logarithmic axis of one of the figures in DRAWN."""
    title = figure_title(name)
    scale = alt.Scale(type="log", nice=False, padding=12)
    return alt.Y("y:Q").title(title).scale(scale).axis(format="~s", tickCount=6)


def tooltip() -> list[alt.Tooltip]:
    """Returns the setting and every figure, by the names of their fields."""
    shown = [alt.Tooltip("label:N", title="setting"), alt.Tooltip("recall:Q", format=".4~f")]
    shown += [alt.Tooltip(f"{name}:Q", title=figure_title(name), format=",.4~r") for name in DRAWN]
    return [*shown, alt.Tooltip("marks:N", title="marks"), alt.Tooltip("machine:N")]


def frontier(data: alt.Data, style: Style, x: alt.X, y: alt.Y) -> alt.LayerChart:
    """Draws a figure over recall.

    Fields: ``implementation``, ``x``, ``y``, ``on`` (on its implementation's frontier), and
    those of :func:`tooltip`.
    """
    base = alt.Chart(data).encode(x=x, y=y)
    points = base.encode(tooltip=tooltip())
    on = alt.datum.on
    others = points.transform_filter(~on).mark_point(size=30, opacity=FAINT, filled=True)
    line = base.transform_filter(on).mark_line(strokeWidth=2).encode(order="x:Q")
    best = points.transform_filter(on).mark_point(size=60, filled=True, opacity=1)
    return alt.layer(
        others.encode(**style.of("color", "shape")),
        line.encode(**style.of("color", "strokeDash")),
        best.encode(**style.of("color", "shape")),
    )


def ranking(data: alt.Data, style: Style) -> alt.LayerChart:
    """Draws bars of ``qps`` by ``implementation``, with ``words`` at their ends."""
    base = alt.Chart(data).encode(
        x=alt.X("qps:Q").title(figure_title("qps")).axis(format="~s"),
        y=alt.Y("implementation:N").sort(field="qps", op="max", order="descending").title(None),
    )
    bars = base.mark_bar().encode(**style.of("color", legend=False))
    words = base.mark_text(align="left", dx=4).encode(text="words:N")
    return alt.layer(bars, words).properties(height={"step": 26})


def across(data: alt.Data, style: Style) -> alt.Chart:
    """Draws ``share`` of the best implementation's speed, one row for each ``dataset``."""
    return (
        alt.Chart(data)
        .mark_point(size=80, filled=True)
        .encode(
            x=alt.X("share:Q").title("speed ÷ the fastest's").scale(domain=[0, 1]),
            y=alt.Y("dataset:N").title(None),
            tooltip=[
                alt.Tooltip("implementation:N"),
                alt.Tooltip("dataset:N"),
                alt.Tooltip("qps:Q", title=figure_title("qps"), format=",.4~r"),
                alt.Tooltip("share:Q", format=".3f"),
            ],
            **style.of("color", "shape"),
        )
        .properties(height={"step": 30})
    )


def tail(data: alt.Data, style: Style) -> alt.LayerChart:
    """Draws the ``share`` of queries that take at least ``ms``, one line for each ``label``."""
    share = alt.Y("share:Q").title("share of queries that take at least this long")
    lines = (
        alt.Chart(data)
        .mark_line(strokeWidth=2)
        .encode(
            x=alt.X("ms:Q")
            .title("latency (ms)")
            .scale(type="log", nice=False, padding=12)
            .axis(format=",~r", tickCount=5, labelOverlap=True),
            y=share.scale(type="log", nice=False).axis(format="~%"),
            detail="label:N",
            order="share:Q",
            tooltip=["label:N", alt.Tooltip("ms:Q", format=".4~r"), alt.Tooltip("share:Q")],
            **style.of("color", "strokeDash"),
        )
    )
    marks = [{"share": level, "words": words} for level, words in PERCENTILES.items()]
    levels = alt.Chart(alt.Data(values=marks)).encode(y="share:Q")
    words = levels.mark_text(align="left", dx=2, dy=-5).encode(x=alt.value(0), text="words:N")
    return alt.layer(levels.mark_rule(strokeDash=[2, 3], opacity=0.6), words, lines)


def recalls(data: alt.Data, style: Style) -> alt.Chart:
    """Draws bars of the ``share`` of queries with each ``recall``, by ``label``."""
    return (
        alt.Chart(data)
        .mark_bar()
        .encode(
            x=alt.X("recall:O").title("recall of a query").axis(labelAngle=0, labelOverlap=True),
            xOffset=alt.XOffset("label:N"),
            y=alt.Y("share:Q").title("share of queries").axis(format="~%"),
            tooltip=["label:N", "recall:O", alt.Tooltip("share:Q", format=".2%")],
            **style.of("color"),
        )
    )


def cost(data: alt.Data, style: Style) -> alt.Chart:
    """Draws ``index_mb`` over ``build_s``: what an index costs before the first query."""
    scale = alt.Scale(type="log", nice=False, padding=16)
    return (
        alt.Chart(data)
        .mark_point(size=60, filled=True, opacity=0.8)
        .encode(
            x=alt.X("build_s:Q")
            .title(figure_title("build_s"))
            .scale(scale)
            .axis(format=",~r", tickCount=5),
            y=alt.Y("index_mb:Q")
            .title(figure_title("index_mb"))
            .scale(scale)
            .axis(format=",~r", tickCount=5),
            tooltip=tooltip(),
            **style.of("color", "shape"),
        )
    )


def comparison(data: alt.Data) -> alt.LayerChart:
    """Draws ``ratio`` with its interval ``low`` to ``high`` by ``label``.

    Further fields: ``kind`` (control or compared), ``verdict``, ``place`` (its line), and ``least``
    and ``most``, the limits of a difference that does not matter.
    """
    base = alt.Chart(data).encode(
        y=alt.Y("label:N").title(None).sort(field="place", op="min", order="ascending")
    )
    axis = (
        alt.X("low:Q")
        .title("÷ the baseline's (speed, if not said)")
        .scale(type="log", nice=False, padding=24)
    )
    band = base.mark_rule(strokeWidth=14, opacity=0.15).encode(x="least:Q", x2="most:Q")
    interval = base.mark_rule(strokeWidth=2).encode(x=axis, x2="high:Q")
    shape = alt.Shape("kind:N").title(None)
    points = base.mark_point(size=70, filled=True, opacity=1).encode(
        x="ratio:Q", shape=shape, tooltip=["label:N", "ratio:Q", "low:Q", "high:Q", "verdict:N"]
    )
    return alt.layer(band, interval, points).properties(height={"step": 28})


def load(data: alt.Data, style: Style) -> alt.LayerChart:
    """Draws latency in ``ms`` over queries per second (``rate``), by ``label`` and ``loop``.

    Further fields: ``percentile`` (p50 is faint), ``knee`` (marked), ``words``, ``recall``,
    ``marks``.
    """
    scale = alt.Scale(type="log", nice=False, padding=16)
    base = alt.Chart(data).encode(
        x=alt.X("rate:Q")
        .title("queries per second: offered (open loop), answered (closed loop)")
        .scale(zero=False, padding=16)
        .axis(format="~s"),
        y=alt.Y("ms:Q").title("latency (ms): p99, and p50 faint").scale(scale).axis(format=",~r"),
        opacity=alt.Opacity("percentile:N")
        .scale(domain=["p50", "p99"], range=[FAINT, 1])
        .legend(None),
    )
    lines = base.mark_line(strokeWidth=2).encode(
        detail=["label:N", "percentile:N"],
        order="rate:Q",
        strokeDash=alt.StrokeDash("loop:N")
        .scale(domain=["open loop", "closed loop"], range=[[1, 0], [5, 3]])
        .title(None),
        **style.of("color"),
    )
    names = ("label", "loop", "words", "percentile", "marks")
    points = base.mark_point(size=60, filled=True).encode(
        tooltip=[
            *(f"{name}:N" for name in names),
            alt.Tooltip("ms:Q", format=".4~r"),
            alt.Tooltip("recall:Q", format=".4~f"),
        ],
        **style.of("color", legend=False),
    )
    knees = base.transform_filter((alt.datum.knee) & (alt.datum.percentile == "p99"))
    ring = knees.mark_point(size=260, filled=False, strokeWidth=2)
    words = knees.mark_text(dx=-16, dy=-12).encode(text=alt.value("knee"))
    return alt.layer(lines, points, ring, words)


def to_spec(
    chart: alt.TopLevelMixin, *, width: int | str = "container", validate: bool = False
) -> dict[str, Any]:
    """Returns the chart as Vega-Lite.

    Args:
        validate: check it against Vega-Lite's schema, as tests do. That takes a third of the time
            of a page.
    """
    made: dict[str, Any] = chart.properties(width=width).to_dict(validate=validate)
    return made


def encoding(channel: alt.X | alt.Y) -> Mapping[str, Any]:
    """Returns one axis as Vega-Lite, to replace another one in a chart."""
    name = "x" if isinstance(channel, alt.X) else "y"
    blank = alt.Chart(alt.NamedData("none")).mark_point().encode(**{name: channel})
    found: Mapping[str, Any] = blank.to_dict()["encoding"][name]
    return found
