"""All grades of a session, ranked, from which every output is made."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from pytest_annmodal.grading.grade import Grade
from pytest_annmodal.grading.rules import Rules
from pytest_annmodal.grading.submissions import Submission


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A grade with its rank; equal scores share a rank."""

    rank: int
    grade: Grade
    submission: Submission

    @property
    def place(self) -> str:
        """The rank as shown; a dash while the grade is incomplete."""
        return str(self.rank) if self.grade.status == "graded" else "–"

    @property
    def points(self) -> str:
        """The score as shown: ``36.25/40``, with "so far" while it is incomplete."""
        return out_of(self.grade) + ("" if self.grade.status == "graded" else " so far")


@dataclass(frozen=True, slots=True, kw_only=True)
class Book:
    """The session's grades.

    Attributes:
        session: the journal's id of the session, the same after ``--ann-resume``.
        finished: whether pytest ran to its end; grades may still be incomplete.
        warnings: warnings about all grades, shown first.
    """

    rules: Rules
    entries: tuple[Entry, ...]
    session: str
    where: str
    datasets: tuple[str, ...]
    k: int
    rounds: int
    finished: bool
    written: str
    warnings: tuple[str, ...] = ()

    @property
    def incomplete(self) -> list[Grade]:
        return [entry.grade for entry in self.entries if entry.grade.status == "incomplete"]


def rank(pairs: Sequence[tuple[Submission, Grade]]) -> tuple[Entry, ...]:
    """Ranks the grades, best first; equal scores share a rank and keep their order."""
    ordered = sorted(pairs, key=lambda pair: -pair[1].score)
    scores = [grade.score for _, grade in ordered]
    return tuple(
        Entry(rank=scores.index(grade.score) + 1, grade=grade, submission=submission)
        for submission, grade in ordered
    )


def now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def score_text(value: float | None) -> str:
    """Returns points with at most two decimals: ``40``, ``36.25``; a dash for None."""
    if value is None:
        return "–"
    text = f"{value:.2f}"
    return text.rstrip("0").rstrip(".")


def out_of(grade: Grade) -> str:
    """Returns ``36.25/40``, or only the score if there is no maximum."""
    score = score_text(grade.score)
    return score if grade.max_score is None else f"{score}/{score_text(grade.max_score)}"
