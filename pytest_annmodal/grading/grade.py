"""The grade of a submission, as frozen data from which every output is made."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import Literal

from pytest_annmodal.figures import Figure
from pytest_annmodal.model import Case
from pytest_annmodal.outcome import Failure, Measurement, Outcome

# Of a part: all points; some; none; none because of a failure; not known yet.
Status = Literal["full", "partial", "missed", "failed", "incomplete"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """One case of a submission and its outcome.

    Attributes:
        outcome: None if there is none.
        problem: why there is no outcome, for a reason outside the submission; the case must be
            run (again).
        counted: whether the points come from this setting.
    """

    case: Case
    outcome: Outcome | None
    problem: str | None = None
    counted: bool = False

    @property
    def measurement(self) -> Measurement | None:
        return self.outcome if isinstance(self.outcome, Measurement) else None

    @property
    def failure(self) -> Failure | None:
        return self.outcome if isinstance(self.outcome, Failure) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class PartGrade:
    """The points of one part on one dataset, and why."""

    name: str
    dataset: str
    points: float
    possible: float | None
    status: Status
    why: tuple[str, ...]
    visibility: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Grade:
    """One submission's grade.

    Attributes:
        status: ``graded``, or ``incomplete`` if a case must be run (again) for a reason outside
            the submission.
        max_score: None for a formula without a maximum.
        reason: one line on the most important problem, or empty.
    """

    name: str
    path: str
    digest: str
    status: Literal["graded", "incomplete"]
    score: float
    max_score: float | None
    parts: tuple[PartGrade, ...]
    tried: tuple[Tried, ...]
    reason: str = ""
    notes: tuple[str, ...] = ()

    @property
    def counted(self) -> list[Measurement]:
        return [t.measurement for t in self.tried if t.counted and t.measurement is not None]

    def mean(self, figure: Figure) -> float | None:
        """Returns the mean of a figure over the datasets, in the unit of its field."""
        found = [figure.measured(measurement) for measurement in self.counted]
        values = [float(value) for value in found if value is not None]
        if not values:
            return None
        if figure.mean == "geometric":
            return statistics.geometric_mean(values) if min(values) > 0 else 0.0
        return statistics.fmean(values)
