"""The content of the page and the images: measured settings as points, by dataset and k."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pytest_annmodal.figures import BY_NAME, FIGURES, Figure
from pytest_annmodal.results.stored import StoredCase
from pytest_annmodal.scoring.operating_points import Level, frontier, qps_at

# Figures that are not drawn over recall: recall itself, those that belong to several settings or to
# a comparison, and those that few sessions have.
BY_THEMSELVES = {"recall", "qps_at_recall", "rate_at_p99_ms", "cold_p50_ms", "cold_p99_ms", "ratio"}
DRAWN: tuple[str, ...] = tuple(
    figure.name for figure in FIGURES if figure.name not in BY_THEMSELVES
)
# Recalls of the ranking: the steps of the page's slider.
LEVELS: tuple[float, ...] = (
    *(round(0.1 * step, 1) for step in range(1, 8)),
    *(round(0.8 + 0.02 * step, 2) for step in range(5)),
    *(round(0.9 + 0.01 * step, 2) for step in range(10)),
    *(round(0.99 + 0.001 * step, 3) for step in range(10)),
    1.0,
)
# Shares of the latencies that are at least as long: points of the tail's line.
TAIL_SHARES: tuple[float, ...] = (
    *(1.0, 0.9, 0.75, 0.5, 0.35, 0.2, 0.1, 0.05, 0.02, 0.01),
    *(0.005, 0.002, 0.001, 0.0005, 0.0002, 0.0001),
)
GAP_TO_ONE = 0.45  # on the axis of nines, between the best recall below 1 and recall 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One measured setting.

    Attributes:
        implementation: name of its line, with source, machine and threads where needed.
        setting: the arguments of build and search, as tables show them.
        values: figures by the names of :data:`~pytest_annmodal.figures.FIGURES`, in their units.
        n_answers: number of ids that recall was counted over.
        tail_s: seconds that the shares :data:`TAIL_SHARES` of the latencies reach at least; empty
            if single latencies were not stored.
        recalls: how many queries found each number of ids, from 0 to k; empty likewise.
        hardest_tenth: mean recall of the tenth of the queries with the lowest recall, or None.
        marks: warnings for the reader: ``noisy``, ``throttled``, ``reused``, ``foreign``.
        machine: description of the machine.
    """

    implementation: str
    setting: str
    values: Mapping[str, float | None]
    n_answers: int
    tail_s: tuple[float, ...] = ()
    recalls: tuple[int, ...] = ()
    hardest_tenth: float | None = None
    marks: tuple[str, ...] = ()
    machine: str = ""

    @property
    def label(self) -> str:
        """``annoy[n_trees=10,search_k=100]``."""
        name = self.implementation
        return f"{name}[{self.setting}]" if self.setting else name

    @property
    def recall(self) -> float:
        return self.values["recall"] or 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """One setting that failed, with cause, blame and evidence as escaped text."""

    label: str
    kind: str
    blame: str
    message: str
    evidence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Raced:
    """A setting over its baseline, or the baseline's copy over it (``is_control``)."""

    label: str
    baseline: str
    ratio: float
    low: float | None
    high: float | None
    difference: float
    verdict: str
    is_control: bool = False

    @property
    def row(self) -> dict[str, str | float]:
        """Its fields for the chart; without an interval both ends are the ratio."""
        return {
            "label": self.label,
            "baseline": self.baseline,
            "ratio": self.ratio,
            "low": self.ratio if self.low is None else self.low,
            "high": self.ratio if self.high is None else self.high,
            "least": 1 / (1 + self.difference),
            "most": 1 + self.difference,
            "verdict": self.verdict,
            "kind": "control" if self.is_control else "compared",
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """All that was measured on one dataset's content at one k.

    Attributes:
        dataset: its name, with the start of its hash if two contents share the name.
        loads: levels of load, from :func:`.loads.rows`.
        linted: results of ``annmodal lint``, label and value; empty if it was not run.
    """

    dataset: str
    content: str
    metric: str
    n_train: int
    dim: int
    n_queries: int
    k: int
    points: tuple[Point, ...] = ()
    broken: tuple[Broken, ...] = ()
    raced: tuple[Raced, ...] = ()
    loads: tuple[Mapping[str, Any], ...] = ()
    linted: tuple[tuple[str, str], ...] = ()

    @property
    def label(self) -> str:
        return f"{self.dataset}, k = {self.k}"

    @property
    def n_points(self) -> int:
        return len(self.points)

    @property
    def one_at(self) -> float:
        """The position of recall 1 on the axis of nines: beyond all smaller recalls."""
        below = [nines(point.recall) for point in self.points if point.recall < 1]
        return max(below, default=1.0) + GAP_TO_ONE

    def nines_of(self, point: Point) -> float:
        return self.one_at if point.recall >= 1 else nines(point.recall)


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """Everything that is shown.

    Attributes:
        banner: warnings about comparisons: mixed machines, noise, reuse.
        verdicts: of comparisons with a baseline, as text.
        cases: the cases that are shown, for export.
        sources: folders that they were read from.
    """

    groups: tuple[Group, ...]
    machines: tuple[str, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    banner: tuple[str, ...] = ()
    verdicts: tuple[str, ...] = ()
    cases: tuple[StoredCase, ...] = ()
    sources: tuple[str, ...] = ()
    began: str = ""
    command: str = ""

    @property
    def has_broken(self) -> bool:
        return any(group.broken for group in self.groups)

    @property
    def has_loads(self) -> bool:
        return any(group.loads for group in self.groups)

    @property
    def has_raced(self) -> bool:
        return any(group.raced for group in self.groups)

    @property
    def implementations(self) -> tuple[str, ...]:
        """Their names in one order for all charts, so that each keeps its colour."""
        return tuple(
            sorted({point.implementation for group in self.groups for point in group.points})
        )


def nines(recall: float) -> float:
    """Returns ``-log10(1 - recall)`` of a recall below 1: 1 for 0.9, 2 for 0.99."""
    return -math.log10(1 - min(max(recall, 0.0), 1 - 1e-9))


def on_frontier(points: Sequence[Point], figure: Figure) -> list[bool]:
    """Returns which points no point of the same implementation beats in recall and this figure.

    Of two equal points the first is on the frontier.
    """
    best: dict[str, list[int]] = {}
    for index, point in enumerate(points):
        best.setdefault(point.implementation, []).append(index)
    found = [False] * len(points)
    for indexes in best.values():
        for index in _frontier_of(points, indexes, figure):
            found[index] = True
    return found


def _frontier_of(points: Sequence[Point], indexes: Sequence[int], figure: Figure) -> Iterable[int]:
    sign = 1 if figure.better == "more" else -1

    def goodness(index: int) -> float | None:
        value = points[index].values.get(figure.name)
        return None if value is None or not math.isfinite(value) else sign * value

    known = [(index, good) for index in indexes if (good := goodness(index)) is not None]
    levels = [Level(recall=points[index].recall, qps=good, index=index) for index, good in known]
    return (level.index for level in frontier(levels))


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranked:
    """Queries per second of one implementation at each of :data:`LEVELS`; None if not reached."""

    implementation: str
    qps: tuple[float | None, ...]
    best_recall: float


def ranking(group: Group) -> list[Ranked]:
    """Returns every implementation's speed at each recall, over all its builds.

    Between two settings of the frontier log QPS is interpolated over logit recall. Below the
    fastest setting's recall it is that setting's speed, since its recall is high enough.
    """
    by_name: dict[str, list[Point]] = {}
    for point in group.points:
        if point.values.get("qps"):
            by_name.setdefault(point.implementation, []).append(point)
    return [_ranked(name, points) for name, points in sorted(by_name.items())]


def _ranked(name: str, points: Sequence[Point]) -> Ranked:
    levels = frontier([Level(recall=item.recall, qps=item.values["qps"] or 0.0) for item in points])
    n_answers = min(point.n_answers for point in points)

    def at(level: float) -> float | None:
        if level <= levels[0].recall:
            return levels[0].qps
        return qps_at(levels, level, n_answers=n_answers)

    best = max(level.recall for level in levels)
    return Ranked(implementation=name, qps=tuple(map(at, LEVELS)), best_recall=best)


def figure_title(name: str) -> str:
    """Returns a title such as ``speed (queries/s)``."""
    figure = BY_NAME[name]
    return f"{figure.words} ({figure.unit})" if figure.unit else figure.words
