"""Makes the page: one HTML file with its data, charts and their library; it loads nothing."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pytest_annmodal.datasets.volume.volume import cache_dir
from pytest_annmodal.durable import write_text
from pytest_annmodal.errors import ConfigurationError
from pytest_annmodal.figures import BY_NAME, counted
from pytest_annmodal.page import content as shown
from pytest_annmodal.page.content import Content, Group, Point
from pytest_annmodal.reports.columns import COLUMNS, record

ASSETS = Path(__file__).parent / "assets"
# Makes the charts' library available to the page's own script.
ENTRY = "globalThis.vegaEmbed = vegaEmbed;"
# With more settings, the page has tails and histograms only of those on a frontier.
MAX_WITH_SAMPLES = 600
DIGITS = 6  # of a figure in the page's data: more than are repeatable on any machine


def render(content: Content) -> str:
    """Returns the page as text."""
    import jinja2

    from pytest_annmodal.page import charts

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(ASSETS),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["counted"] = counted
    environment.globals["asset"] = lambda name: (ASSETS / name).read_text(encoding="utf-8")
    data = {**_data(content, charts), "table": _table(content)}
    return environment.get_template("page.html.j2").render(
        content=content,
        figures=[(name, shown.figure_title(name)) for name in ("recall", *shown.DRAWN)],
        drawn=shown.DRAWN,
        levels=shown.LEVELS,
        number=_number,
        data=_json(data),
        library=_library(),
    )


@functools.cache
def _library() -> str:
    """Returns the charts' library, escaped so that it cannot end a ``<script>``.

    Bundling it takes longer than the rest of a page, so it is kept in the cache folder.
    """
    import vl_convert

    kept = None
    with contextlib.suppress(ConfigurationError):  # no cache folder
        name = f"{vl_convert.__version__}-{hashlib.sha256(ENTRY.encode()).hexdigest()[:8]}.js"
        kept = cache_dir(os.environ) / "page" / name
    if kept is not None:
        with contextlib.suppress(OSError):
            return kept.read_text(encoding="utf-8")
    bundle: str = vl_convert.javascript_bundle(ENTRY)
    bundle = bundle.replace("</script", r"<\/script").replace("<!--", r"<\!--")
    if kept is not None:
        with contextlib.suppress(OSError):
            kept.parent.mkdir(parents=True, exist_ok=True)
            write_text(kept, bundle)
    return bundle


def _json(data: Any) -> str:
    """Returns JSON that cannot end a ``<script>`` or start a comment in it."""
    return json.dumps(data, allow_nan=False, separators=(",", ":")).replace("<", r"\u003c")


def charts_of(implementations: Sequence[str], charts: Any) -> dict[str, Any]:
    """Returns the page's charts by name, without data; ``charts`` is the module."""
    import altair as alt

    style = charts.Style(implementations)
    named = alt.NamedData("data")
    blank_x, blank_y = charts.recall_axis(None), charts.figure_axis("qps")
    return {
        "frontier": charts.frontier(named, style, blank_x, blank_y),
        "ranking": charts.ranking(named, style),
        "across": charts.across(named, style),
        "tail": charts.tail(named, style),
        "recalls": charts.recalls(named, style),
        "cost": charts.cost(named, style),
        "comparison": charts.comparison(named),
        "load": charts.load(named, style),
    }


def _data(content: Content, charts: Any) -> dict[str, Any]:
    drawn = charts_of(content.implementations, charts)
    few = sum(len(group.points) for group in content.groups) <= MAX_WITH_SAMPLES
    return {
        "figures": [{"name": name, "title": shown.figure_title(name)} for name in shown.DRAWN],
        "levels": shown.LEVELS,
        "tail_shares": shown.TAIL_SHARES,
        "implementations": content.implementations,
        "groups": [_group(group, charts, all_samples=few) for group in content.groups],
        "charts": {name: charts.to_spec(chart) for name, chart in drawn.items()},
        "linear": charts.encoding(charts.recall_axis(None)),
        "axes": {
            name: {
                "encoding": charts.encoding(charts.figure_axis(name)),
                "better": BY_NAME[name].better,
            }
            for name in shown.DRAWN
        },
    }


def _group(group: Group, charts: Any, *, all_samples: bool) -> dict[str, Any]:
    points = group.points
    fronts = [shown.on_frontier(points, BY_NAME[name]) for name in shown.DRAWN]
    masks = [sum(on << bit for bit, on in enumerate(of)) for of in zip(*fronts, strict=True)]
    kept = [all_samples or mask > 0 for mask in masks]
    return {
        "label": group.label,
        "dataset": group.dataset,
        "k": group.k,
        "nines": charts.encoding(charts.recall_axis(group.one_at)),
        "ranking": [
            {
                "implementation": ranked.implementation,
                "qps": _rounded(ranked.qps),
                "best_recall": ranked.best_recall,
            }
            for ranked in shown.ranking(group)
        ],
        "points": {
            "implementation": [point.implementation for point in points],
            "label": [point.label for point in points],
            "recall": _rounded([point.recall for point in points]),
            "nines": _rounded([group.nines_of(point) for point in points]),
            "frontier": masks,
            "marks": [", ".join(point.marks) for point in points],
            "machine": [point.machine for point in points],
            "hardest_tenth": _rounded([point.hardest_tenth for point in points]),
            **{
                name: _rounded([point.values.get(name) for point in points]) for name in shown.DRAWN
            },
        },
        "tails": _samples([point.tail_s for point in points], kept),
        "recalls": _samples([point.recalls for point in points], kept),
        "loads": [{**row, "ms": _finite(row["ms"])} for row in group.loads],
        "raced": [raced.row for raced in sorted(group.raced, key=lambda item: not item.is_control)],
    }


def _samples(values: Sequence[Sequence[float]], kept: Sequence[bool]) -> list[list[float | None]]:
    return [_rounded(value) if keep else [] for value, keep in zip(values, kept, strict=True)]


def _rounded(values: Sequence[float | None]) -> list[float | None]:
    return [_finite(value) for value in values]


def _finite(value: float | None) -> float | None:
    """Returns the value rounded, or None for NaN and infinity, which JSON lacks."""
    if value is None or not math.isfinite(value):
        return None
    return value if isinstance(value, int) else float(f"{value:.{DIGITS}g}")


def _table(content: Content) -> dict[str, Any]:
    """Returns the page's CSV and JSON data: the columns of ``annmodal export``."""
    return {
        "columns": [column.name for column in COLUMNS],
        "rows": [list(record(case).values()) for case in content.cases],
    }


def _number(point: Point, name: str) -> str:
    """Returns a figure for the table, in its unit with four digits; empty if there is none."""
    value = point.values.get(name)
    if value is None or not math.isfinite(value):
        return ""
    return f"{value:.4f}" if name == "recall" else f"{value:.4g}" if value < 1e4 else f"{value:.0f}"
