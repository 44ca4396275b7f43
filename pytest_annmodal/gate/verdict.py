"""Turns the results of sessions into findings; pure functions."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from pytest_annmodal.figures import duration
from pytest_annmodal.finding import (
    CANNOT_TELL,
    CONFIDENCE,
    NO_CHANGE,
    NOT_GATED,
    Control,
    Finding,
)
from pytest_annmodal.gate import statistics
from pytest_annmodal.gate.statistics import ERROR, Estimate
from pytest_annmodal.scoring.operating_points import EQUAL_RECALL
from pytest_annmodal.tolerances import BY_NAME

LEAST_BUILD_S = 0.05  # a shorter build is mostly page faults, and its time does not matter
ROUNDING_BYTES = 2**18  # allocators round up: sizes that differ by less count as equal


@dataclass(slots=True, kw_only=True)
class Series:
    """One figure of all three sides, with a value for each session."""

    figure: str
    at: str = ""
    candidate: list[float] = field(default_factory=list)
    baseline: list[float] = field(default_factory=list)
    control: list[float] = field(default_factory=list)

    def add(self, values: Sequence[float]) -> None:
        """Adds the values of candidate, baseline and control."""
        for side, value in zip((self.candidate, self.baseline, self.control), values, strict=True):
            side.append(float(value))

    @property
    def tolerance(self) -> str:
        return BY_NAME[self.figure].tolerance

    @property
    def usable(self) -> bool:
        """Whether it has ratios: the measured size of a tiny index may be 0."""
        return all(
            value > 0 for side in (self.candidate, self.baseline, self.control) for value in side
        )

    def ratios(self, side: Sequence[float]) -> tuple[float, ...]:
        rounding = ROUNDING_BYTES if self.figure in {"index", "peak"} else 0
        return tuple(
            1.0 if abs(mine - theirs) < rounding else mine / theirs
            for mine, theirs in zip(side, self.baseline, strict=True)
        )


def of_series(series: Series, *, n_looks: int, bound: float | None) -> Finding:
    """Returns the finding of one figure after five or more sessions, judged alone."""
    ratios, control = series.ratios(series.candidate), series.ratios(series.control)
    mine, copy = (
        statistics.estimate([math.log(ratio) for ratio in side], n_looks)
        for side in (ratios, control)
    )
    found = Finding(
        figure=series.figure,
        word=CANNOT_TELL,
        change=math.expm1(mine.mean),
        low=math.expm1(mine.low),
        high=math.expm1(mine.high),
        p=mine.p,
        at=series.at,
        candidate=math.fsum(series.candidate) / len(ratios),
        baseline=math.fsum(series.baseline) / len(ratios),
        sessions=len(ratios),
        ratios=ratios,
        control=Control(
            change=math.expm1(copy.mean),
            low=math.expm1(copy.low),
            high=math.expm1(copy.high),
            ratios=control,
        ),
    )
    return judged(found, bound)


def of_recalls(found: Estimate, differences: Sequence[float], *, at: str, bound: float) -> Finding:
    """Returns the finding of recall at one setting of both sides."""
    finding = Finding(
        figure="recall",
        word=CANNOT_TELL,
        change=found.mean,
        low=found.low,
        high=found.high,
        p=found.p,
        at=at,
        sessions=len(differences),
        ratios=tuple(differences),
    )
    return judged(finding, bound)


def of_identical(n_queries: int, *, at: str, bound: float) -> Finding:
    """Returns the finding of recall for identical answers."""
    return Finding(
        figure="recall",
        word=NO_CHANGE,
        change=0.0,
        bound=bound,
        at=at,
        why=f"proved by identical answers to all {n_queries:,} queries",
        sessions=1,
    )


def judged(finding: Finding, bound: float | None, *, p: float | None = None) -> Finding:
    """Returns the finding with its verdict by this bound.

    Args:
        p: adjusted for all tests; by default the finding's own.
    """
    if finding.low is None or finding.high is None:  # proved, or not measured
        return replace(finding, bound=bound)
    if bound is None:
        return replace(finding, bound=None, word=NOT_GATED, why="")
    if finding.figure == "build" and finding.baseline < LEAST_BUILD_S:
        why = f"builds of less than {duration(LEAST_BUILD_S)} are not gated"
        return replace(finding, bound=None, word=NOT_GATED, why=why)
    allowed, near = _bounds(finding, bound)
    control = finding.control
    if control is not None:
        copy = _gain(finding, control.change, control.low, control.high)
        if statistics.word(copy, bound=allowed) != NO_CHANGE:
            why = _out_of_control(finding, bound)
            return replace(finding, bound=bound, word=CANNOT_TELL, why=why)
    confirmed = (finding.p if p is None else p) <= ERROR
    gain = _gain(finding, finding.change, finding.low, finding.high)
    word = statistics.word(gain, bound=allowed, near=near, confirmed=confirmed)
    return replace(finding, bound=bound, word=word, why=_why(finding, word, gain, bound))


def _bounds(finding: Finding, bound: float) -> tuple[float, float]:
    """Returns the least loss that counts and the change that counts as none, as gains."""
    if not finding.row.is_ratio:
        return bound, max(bound, EQUAL_RECALL)
    allowed = -math.log1p(-min(bound, 0.99)) if finding.row.more_is_better else math.log1p(bound)
    return allowed, allowed


def _gain(finding: Finding, change: float, low: float, high: float) -> Estimate:
    """Returns a change as a gain (above 0 is better); for ratios as a logarithm."""
    mean, least, most = (
        (math.log1p(value) for value in (change, low, high))
        if finding.row.is_ratio
        else (change, low, high)
    )
    if not finding.row.more_is_better:
        mean, least, most = -mean, -most, -least
    return Estimate(mean=mean, half=(most - least) / 2, p=finding.p)


def _why(finding: Finding, word: str, gain: Estimate, bound: float) -> str:
    if word == NO_CHANGE:
        limit = bound if finding.row.is_ratio else max(bound, EQUAL_RECALL)
        return f"less than {finding.amount(limit)}"
    if word != CANNOT_TELL:
        return ""
    row, worst = finding.row, finding.worst
    assert worst is not None
    worse = row.less if row.more_is_better else row.more
    why = f"not {worse} by more than {finding.amount(max(worst, 0.0))}"
    if not row.is_ratio:
        least = finding.amount(max(gain.half, bound))
        why += f"; with these queries only a drop of {least} or more can be seen"
    return why


def _out_of_control(finding: Finding, bound: float) -> str:
    control = finding.control
    assert control is not None
    shown = Finding(
        figure=finding.figure,
        word=CANNOT_TELL,
        change=control.change,
        low=control.low,
        high=control.high,
    )
    return (
        "even the baseline and its own copy (the control) may differ by more than "
        f"{shown.amount(bound)}: {shown.amount(control.change)} ({CONFIDENCE}: "
        f"{shown.amount(control.low)} to {shown.amount(control.high)})"
    )


def advice(findings: Sequence[Finding], max_sessions: int = statistics.LOOKS[-1]) -> Iterator[str]:
    """Yields what to do about findings that cannot tell, each advice once.

    Args:
        max_sessions: number of sessions that were allowed.
    """
    unsure = [finding for finding in findings if finding.word == CANNOT_TELL]
    if any(finding.figure == "recall" for finding in unsure):
        yield "ask more queries: recall needs them"
    repeated = [one for one in unsure if one.figure != "recall" and one.low is not None]
    if repeated:
        yield "measure on a quieter machine, or ask more queries"
    if repeated and max_sessions < statistics.LOOKS[-1]:
        yield f"allow more sessions (--ann-sessions {statistics.LOOKS[-1]})"
    if any(finding.low is None for finding in unsure):
        yield (
            "choose settings on both sides of the recall level, or another level (--ann-at-recall)"
        )
