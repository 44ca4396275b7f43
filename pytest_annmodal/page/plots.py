"""Draws one chart as a file for a paper or a README: SVG, PNG or PDF."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pytest_annmodal.errors import ConfigurationError
from pytest_annmodal.figures import BY_NAME
from pytest_annmodal.page import content as shown
from pytest_annmodal.page.content import Content, Group, Point
from pytest_annmodal.page.files import require

if TYPE_CHECKING:
    import altair as alt

FORMATS = ("svg", "png", "pdf")
WIDTH = 560
HEIGHT = 340
SCALE = 2.0  # of a PNG: pixels for each point
CONFIG = {
    "background": "white",
    "font": "Helvetica, Arial, sans-serif",
    "legend": {"orient": "bottom", "columns": 4, "labelLimit": 220, "symbolOpacity": 1},
    "axis": {"titleFontWeight": "normal"},
}
Chart = Any  # of Altair


def _frontier(content: Content, group: Group, figure: str) -> Chart:
    from pytest_annmodal.page import charts

    on = shown.on_frontier(group.points, BY_NAME[figure])
    rows = [
        {**_row(point), "x": group.nines_of(point), "y": point.values[figure], "on": front}
        for point, front in zip(group.points, on, strict=True)
        if (point.values.get(figure) or 0) > 0
    ]
    style = charts.Style(content.implementations)
    x, y = charts.recall_axis(group.one_at), charts.figure_axis(figure)
    return charts.frontier(_values(rows), style, x, y).properties(height=HEIGHT)


def _build(content: Content, group: Group, _figure: str) -> Chart:
    from pytest_annmodal.page import charts

    rows = [
        {**_row(point), **{name: point.values[name] for name in ("build_s", "index_mb")}}
        for point in group.points
        if all((point.values.get(name) or 0) > 0 for name in ("build_s", "index_mb"))
    ]
    style = charts.Style(content.implementations)
    return charts.cost(_values(rows), style).properties(height=HEIGHT)


def _memory(content: Content, group: Group, _figure: str) -> Chart:
    return _frontier(content, group, "index_mb")


def _tail(content: Content, group: Group, _figure: str) -> Chart:
    from pytest_annmodal.page import charts

    rows = [
        {**_row(point), "ms": seconds * 1e3, "share": share}
        for point in fastest(group, recall=0.9)
        for seconds, share in zip(point.tail_s, shown.TAIL_SHARES, strict=False)
    ]
    style = charts.Style(content.implementations)
    return charts.tail(_values(rows), style).properties(height=HEIGHT)


def _compare(_content: Content, group: Group, _figure: str) -> Chart:
    from pytest_annmodal.page import charts

    ordered = sorted(group.raced, key=lambda item: not item.is_control)
    rows = [{**raced.row, "place": place} for place, raced in enumerate(ordered)]
    return charts.comparison(_values(rows))


def _load(content: Content, group: Group, _figure: str) -> Chart:
    from pytest_annmodal.page import charts

    style = charts.Style(content.implementations)
    return charts.load(_values(group.loads), style).properties(height=HEIGHT)


# The values of `--kind`: the chart, and the data that it needs.
KINDS: Mapping[str, tuple[Callable[[Content, Group, str], Chart], str]] = {
    "frontier": (_frontier, "measured settings"),
    "build": (_build, "measured settings"),
    "memory": (_memory, "measured settings"),
    "tail": (_tail, "latencies of single queries"),
    "load": (_load, "levels of load (--ann-rate, --ann-concurrency)"),
    "compare": (_compare, "a comparison with a baseline (--ann-baseline)"),
}


def fastest(group: Group, *, recall: float) -> list[Point]:
    """Returns each implementation's fastest setting that reaches a recall, else its best recall."""
    found: dict[str, Point] = {}

    def rank(point: Point) -> tuple[bool, float]:
        able = point.recall >= recall
        return able, (point.values.get("qps") or 0.0) if able else point.recall

    for point in group.points:
        known = found.get(point.implementation)
        if known is None or rank(point) > rank(known):
            found[point.implementation] = point
    return list(found.values())


def plot(content: Content, group: Group, *, kind: str, figure: str, file_format: str) -> bytes:
    """Draws one image of one dataset.

    Args:
        kind: one of :data:`KINDS`.
        figure: one of :data:`~pytest_annmodal.page.content.DRAWN`, for the kind ``frontier``.
        file_format: one of :data:`FORMATS`.

    Raises:
        ConfigurationError: a package of the extra ``report`` or the needed data are missing.
    """
    require()
    make, needed = KINDS[kind]
    try:
        chart = make(content, group, figure)
    except LookupError as error:
        raise ConfigurationError(
            f"{group.label}: there is nothing to draw. --kind {kind} needs {needed}."
        ) from error
    spec = chart.properties(width=WIDTH, title=group.label).to_dict()
    return drawn({**spec, "config": CONFIG}, file_format)


def drawn(spec: dict[str, Any], file_format: str) -> bytes:
    """Renders a Vega-Lite chart as a file in one of :data:`FORMATS`."""
    import vl_convert

    if file_format == "svg":
        text: str = vl_convert.vegalite_to_svg(spec)
        return text.encode("utf-8")
    if file_format == "png":
        png: bytes = vl_convert.vegalite_to_png(spec, scale=SCALE)
        return png
    pdf: bytes = vl_convert.vegalite_to_pdf(spec)
    return pdf


def _row(point: Point) -> dict[str, Any]:
    return {"implementation": point.implementation, "label": point.label, "recall": point.recall}


def _values(rows: Sequence[Mapping[str, Any]]) -> alt.Data:
    """Returns data to be stored inside the chart.

    Raises:
        LookupError: there are no rows.
    """
    import altair as alt

    if not rows:
        raise LookupError
    return alt.Data(values=list(rows))
