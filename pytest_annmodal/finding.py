"""What a gate found of one figure of a candidate beside its baseline, and what it is called.

The figures that a gate looks at are ONE table, :data:`GATED`. All that shows verdicts reads it.
Imported by every pytest run on the machine, so it imports nothing heavy.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

Word = Literal["worse", "better", "no change", "cannot tell", "not gated"]
WORSE: Word = "worse"
BETTER: Word = "better"
NO_CHANGE: Word = "no change"
CANNOT_TELL: Word = "cannot tell"
NOT_GATED: Word = "not gated"
CONFIDENCE = "99 %"  # of every interval, all looks together


class GateFigure(NamedTuple):
    """One figure that a gate looks at.

    Attributes:
        subject: begins a sentence about it.
        less, more: what a candidate is that has less, or more, of it.
        more_is_better: which way is better.
        tolerance: the option and argument of the marker that says how much worse it may be.
        default: that much, where nobody says otherwise; None: it is shown and not gated.
        is_ratio: whether changes are shares of the baseline's value; else they are differences.
    """

    name: str
    subject: str
    less: str
    more: str
    more_is_better: bool
    tolerance: str
    default: float | None
    is_ratio: bool = True


GATED: tuple[GateFigure, ...] = (
    GateFigure("speed", "", "slower", "faster", True, "max_slowdown", 0.03),
    GateFigure("recall", "recall ", "lower", "higher", True, "max_recall_drop", 0.002, False),
    GateFigure("build", "build ", "shorter", "longer", False, "max_build_rise", 0.1),
    GateFigure("index", "index ", "smaller", "larger", False, "max_memory_rise", 0.02),
    GateFigure("peak", "peak memory ", "lower", "higher", False, "max_memory_rise", 0.02),
    GateFigure("p99", "p99 ", "lower", "higher", False, "max_p99_rise", None),
)
BY_NAME: Mapping[str, GateFigure] = {figure.name: figure for figure in GATED}
TOLERANCES: Mapping[str, float | None] = {figure.tolerance: figure.default for figure in GATED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """The baseline's own copy beside the baseline: changes as those of :class:`Finding`."""

    change: float
    low: float
    high: float
    ratios: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The verdict on one figure.

    Attributes:
        figure: a name of :data:`GATED`.
        word: the verdict.
        change: of the candidate's value, as a share of the baseline's: -0.04 is 4 % less. Of
            recall it is the difference.
        low, high: between what the true change lies (99 %, all looks together); None where nothing
            was repeated.
        bound: how much worse it may be; None where it is not gated.
        p: how often a change as clear as this is seen where there is none.
        at: under which condition it was measured, such as ``at recall 0.95``.
        why: what it rests on, or why one cannot tell.
        candidate, baseline: means of the two sides, in the figure's own unit.
        sessions: with fresh builds of everything.
        ratios: of the sessions, candidate over baseline; of recall, the differences of the builds.
        control: what the baseline's own copy shows; None where it has none.
    """

    figure: str
    word: Word
    change: float
    low: float | None = None
    high: float | None = None
    bound: float | None = None
    p: float = 1.0
    at: str = ""
    why: str = ""
    candidate: float = 0.0
    baseline: float = 0.0
    sessions: int = 0
    ratios: tuple[float, ...] = ()
    control: Control | None = None

    @property
    def row(self) -> GateFigure:
        return BY_NAME[self.figure]

    @property
    def name(self) -> str:
        """``speed at recall 0.95``."""
        return f"{self.row.subject.strip() or self.figure} {self.at}".strip()

    @property
    def worse_by(self) -> float:
        """How much worse it is: below 0 it is better."""
        return -self.change if self.row.more_is_better else self.change

    @property
    def worst(self) -> float | None:
        """The most that it may be worse by, as far as can be told."""
        end = self.low if self.row.more_is_better else self.high
        return None if end is None else (-end if self.row.more_is_better else end)

    def says(self, baseline: str) -> str:
        """``4.1 % slower than hnswlib@0.8.0 at recall 0.95 (99 %: 3.2…5.0 %)``."""
        row = self.row
        word, sign = (row.more, 1) if self.change > 0 else (row.less, -1)
        than = f"{row.subject}{self.amount(abs(self.change))} {word} than {baseline}"
        return f"{than} {self.at}".rstrip() + self.interval(sign)

    def interval(self, sign: int = 1) -> str:
        """`` (99 %: 3.2…5.0 %)``, of the change or, with -1, of what is less."""
        if self.low is None or self.high is None:
            return ""
        first, last = sorted((sign * self.low, sign * self.high))
        return f" ({CONFIDENCE}: {self._digits(first)}…{self.amount(last)})"

    def amount(self, change: float) -> str:
        """``4.1 %``, or ``0.0040`` of recall."""
        return f"{self._digits(change)} %" if self.row.is_ratio else self._digits(change)

    def _digits(self, change: float) -> str:
        return f"{100 * change:.1f}" if self.row.is_ratio else f"{change:.4f}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Gated:
    """What a gate found of one case; what belongs to a whole job stands with one of its cases.

    Attributes:
        baseline: its name and build.
        notes: what a reader must know: how busy the machine was, that both sides are the same.
        advice: what to do where one cannot tell.
    """

    baseline: str
    findings: tuple[Finding, ...] = ()
    notes: tuple[str, ...] = ()
    advice: tuple[str, ...] = ()

    def of(self, word: Word) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if finding.word == word)
