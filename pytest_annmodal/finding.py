"""A gate's finding on one figure of a candidate and its baseline, and its wording."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pytest_annmodal.tolerances import BY_NAME, GateFigure

Word = Literal["worse", "better", "no change", "cannot tell", "not gated"]
WORSE: Word = "worse"
BETTER: Word = "better"
NO_CHANGE: Word = "no change"
CANNOT_TELL: Word = "cannot tell"
NOT_GATED: Word = "not gated"
CONFIDENCE = "99 %"  # of every interval, over all looks together


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """A copy of the baseline compared with the baseline, like a :class:`Finding`."""

    change: float
    low: float
    high: float
    ratios: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The verdict on one figure.

    Attributes:
        figure: a name of :data:`~pytest_annmodal.tolerances.GATED`.
        word: the verdict.
        change: the candidate's change as a share of the baseline's value: -0.04 is 4 % less; for
            recall the difference.
        low, high: confidence interval of the change (99 %, over all looks together); None if
            nothing was repeated.
        bound: how much worse it may be; None if it is not gated.
        p: the probability of a change as clear as this if there is none.
        at: the condition of the measurement, such as ``at recall 0.95``.
        why: the basis of the verdict, or the reason for ``cannot tell``.
        candidate, baseline: means of the two sides, in the figure's own unit.
        sessions: number of sessions, each with fresh builds.
        ratios: candidate over baseline by session; for recall, differences by build.
        control: the result of a copy of the baseline; None without one.
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
    def has_values(self) -> bool:
        """Whether there are two values to show."""
        return self.low is not None or self.baseline > 0

    @property
    def name(self) -> str:
        """``speed at recall 0.95``."""
        return f"{self.row.subject.strip() or self.figure} {self.at}".strip()

    @property
    def worse_by(self) -> float:
        """How much worse it is; negative if it is better."""
        return -self.change if self.row.more_is_better else self.change

    @property
    def worst(self) -> float | None:
        """The worst change within the interval, or None."""
        end = self.low if self.row.more_is_better else self.high
        return None if end is None else (-end if self.row.more_is_better else end)

    def says(self, baseline: str) -> str:
        """``4.1 % slower than hnswlib@0.8.0 at recall 0.95 (99 %: 3.2…5.0 %)``."""
        than = f"{self.row.subject}{self.difference} than {baseline}"
        return f"{than} {self.at}".rstrip() + self.interval()

    @property
    def brief(self) -> str:
        """``4.1 % slower (99 %: 3.2…5.0 %)``."""
        return self.difference + self.interval()

    @property
    def difference(self) -> str:
        """``4.1 % slower``."""
        if not float(self._digits(self.change)):
            return "unchanged"
        word = self.row.more if self.change > 0 else self.row.less
        return f"{self.amount(abs(self.change))} {word}"

    def interval(self) -> str:
        """Returns `` (99 %: 3.2…5.0 %)``, with the sign of the change; "" for a single value."""
        if self.low is None or self.high is None or self.low == self.high:
            return ""
        sign = 1 if self.change > 0 else -1
        first, last = sorted((sign * self.low, sign * self.high))
        return f" ({CONFIDENCE}: {self._digits(first)}…{self.amount(last)})"

    def amount(self, change: float) -> str:
        """``4.1 %``, or ``0.0040`` of recall."""
        return f"{self._digits(change)} %" if self.row.is_ratio else self._digits(change)

    def _digits(self, change: float) -> str:
        shown = f"{100 * change:.1f}" if self.row.is_ratio else f"{change:.4f}"
        return shown if float(shown) else shown.removeprefix("-")


@dataclass(frozen=True, slots=True, kw_only=True)
class Gated:
    """A gate's findings for one case; findings on a whole job are with one of its cases.

    Attributes:
        baseline: its name and build.
        notes: warnings, such as that the machine was busy or that both sides are the same.
        advice: what to do about ``cannot tell``.
    """

    baseline: str
    findings: tuple[Finding, ...] = ()
    notes: tuple[str, ...] = ()
    advice: tuple[str, ...] = ()

    def of(self, word: Word) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if finding.word == word)
