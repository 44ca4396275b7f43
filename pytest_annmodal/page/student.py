"""One static image for a student's page: the submission's results, with the class's best."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from pytest_annmodal.outcome import Measurement
from pytest_annmodal.page.cases import recall_counts, tail_s
from pytest_annmodal.page.content import GAP_TO_ONE, TAIL_SHARES, nines
from pytest_annmodal.results.store import samples_of
from pytest_annmodal.scoring.operating_points import Level, frontier

WIDTH, HEIGHT = 250, 220
MIN_OTHERS = 3  # with fewer other submissions, a line for all would not be anonymous
MAX_BARS = 20
OWN, CLASS = "yours", "the class"


@dataclass(frozen=True, slots=True, kw_only=True)
class Class:
    """The results of all submissions on one dataset.

    Attributes:
        best: the frontier of all together; empty if they are too few to be anonymous.
        one_at: position of recall 1 in all their images.
    """

    best: tuple[Level, ...]
    one_at: float


def class_of(submissions: Sequence[Sequence[Measurement]]) -> Class:
    """Returns the class's results from every submission's measurements on one dataset."""
    levels = [Level(recall=one.recall, qps=one.qps) for measured in submissions for one in measured]
    many = sum(map(bool, submissions)) > MIN_OTHERS
    below = (nines(level.recall) for level in levels if level.recall < 1)
    one_at = max(below, default=1.0) + GAP_TO_ONE
    return Class(best=tuple(frontier(levels)) if many else (), one_at=one_at)


def picture(own: Mapping[str, Measurement], counted: Sequence[str], others: Class) -> str:
    """Draws recall and speed, latencies, and recall of single queries, as SVG.

    Args:
        own: the settings of one submission on one dataset, by their labels.
        counted: labels whose latencies and recalls are drawn; all if it is empty.
    """
    from pytest_annmodal.page.plots import drawn

    shown = {label: one for label, one in own.items() if label in counted} or own
    data = {
        "points": _points(own, others),
        "tails": _tails(shown),
        "bars": _bars(shown),
    }
    spec = _spec(others.one_at)
    return drawn({**spec, "datasets": {**spec["datasets"], **data}}, "svg").decode("utf-8")


@lru_cache(maxsize=8)  # one for each dataset; making it takes as long as drawing it
def _spec(one_at: float) -> dict[str, Any]:
    """Returns the three charts, without their data."""
    import altair as alt

    from pytest_annmodal.page import charts
    from pytest_annmodal.page.plots import CONFIG

    style = charts.Style([OWN, CLASS])
    x, y = charts.recall_axis(one_at), charts.figure_axis("qps")
    parts = (
        charts.frontier(alt.NamedData("points"), style, x, y),
        charts.tail(alt.NamedData("tails"), style),
        charts.recalls(alt.NamedData("bars"), style),
    )
    row = alt.hconcat(*(part.properties(width=WIDTH, height=HEIGHT) for part in parts))
    made: dict[str, Any] = {"datasets": {}, **row.to_dict(), "config": CONFIG}
    return made


def _points(own: Mapping[str, Measurement], others: Class) -> list[dict[str, Any]]:
    levels = [(OWN, label, one.recall, one.qps) for label, one in own.items()]
    levels += [(CLASS, CLASS, level.recall, level.qps) for level in others.best]
    reached = {
        name: {
            (level.recall, level.qps)
            for level in frontier(
                [Level(recall=item[2], qps=item[3]) for item in levels if item[0] == name]
            )
        }
        for name in (OWN, CLASS)
    }
    return [
        {
            "implementation": name,
            "label": label,
            "recall": recall,
            "x": others.one_at if recall >= 1 else nines(recall),
            "y": qps,
            "on": (recall, qps) in reached[name],
        }
        for name, label, recall, qps in levels
        if qps > 0
    ]


def _tails(shown: Mapping[str, Measurement]) -> list[dict[str, Any]]:
    return [
        {"implementation": OWN, "label": label, "ms": seconds * 1e3, "share": share}
        for label, one in shown.items()
        for seconds, share in zip(tail_s(samples_of(one)), TAIL_SHARES, strict=False)
    ]


def _bars(shown: Mapping[str, Measurement]) -> list[dict[str, Any]]:
    """Returns shares of the queries by recall, in at most ``MAX_BARS`` steps and one for 0."""
    rows = []
    for label, one in shown.items():
        counts = recall_counts(samples_of(one), k=one.k, rounds=one.rounds)
        width = -(-one.k // MAX_BARS)
        bars: dict[float, float] = {}
        for found, count in enumerate(counts):
            recall = round(min(-(-found // width) * width, one.k) / one.k, 4)
            bars[recall] = bars.get(recall, 0.0) + count / max(sum(counts), 1)
        rows += [
            {"implementation": OWN, "label": label, "recall": recall, "share": share}
            for recall, share in bars.items()
        ]
    return rows
