"""Computes the grade of one submission from its outcomes."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from pytest_annmodal.figures import CANNOT_TELL
from pytest_annmodal.grading import explanations, formulas
from pytest_annmodal.grading.grade import Grade, PartGrade, Status, Tried
from pytest_annmodal.grading.rules import Part, Rules
from pytest_annmodal.grading.submissions import Submission
from pytest_annmodal.model import Case
from pytest_annmodal.outcome import Failure, Measurement, Outcome, as_counted

# A submission caught at one of these on one setting gets no points for the dataset.
VOIDS = frozenset({"protocol", "smuggling"})
NOT_RUN = "not measured in this session"
Measured = Mapping[str, Sequence[Measurement]]  # by dataset name
Hook = Callable[[Measured, Rules], "float | None"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A submission and its cases on each dataset of the session."""

    submission: Submission
    cases: Mapping[str, Sequence[Case]]


def grade(
    plan: Plan,
    rules: Rules,
    outcomes: Mapping[str, Outcome],
    problems: Mapping[str, str],
    hook: Hook | None = None,
) -> Grade:
    """Returns the grade of one submission from the outcomes so far.

    Args:
        outcomes: by case id, of any submission.
        problems: by case id, why a case gave no outcome (skipped, an error of the harness).
        hook: may replace the score; called with all measurements, by dataset.
    """
    parts: list[PartGrade] = []
    tried: list[Tried] = []
    for dataset, cases in plan.cases.items():
        here = _Dataset(dataset, plan, rules, [_tried(c, outcomes, problems) for c in cases])
        parts += here.parts()
        tried += here.tried
    parts += _elsewhere(plan, rules)
    score, notes = round(sum(part.points for part in parts), 6), []
    incomplete = any(part.status == "incomplete" for part in parts)
    if hook is not None and not incomplete:
        try:
            score = _asked(hook, tried, rules, score)
        except Exception as error:  # noqa: BLE001 -- a broken hook must not cost other grades
            incomplete = True
            notes.append(f"pytest_annmodal_score: {type(error).__name__}: {error}")
    result = Grade(
        name=plan.submission.name,
        path=plan.submission.shown,
        digest=plan.submission.digest,
        status="incomplete" if incomplete else "graded",
        score=score,
        max_score=rules.max_score,
        parts=tuple(parts),
        tried=tuple(tried),
        notes=tuple(notes),
    )
    return dataclasses.replace(result, reason=_reason(result))


def undecided(plan: Plan, rules: Rules, outcomes: Mapping[str, Outcome]) -> set[str]:
    """Returns ids of cases measured on a busy machine that might earn more on a quiet one."""
    found: set[str] = set()
    for dataset, cases in plan.cases.items():
        here = _Dataset(dataset, plan, rules, [_tried(c, outcomes, {}) for c in cases])
        found |= {item.case.id for item in here.undecided()}
    return found


def _tried(case: Case, outcomes: Mapping[str, Outcome], problems: Mapping[str, str]) -> Tried:
    outcome = outcomes.get(case.id)
    if outcome is None:
        return Tried(case=case, outcome=None, problem=problems.get(case.id, NOT_RUN))
    if isinstance(outcome, Failure) and outcome.blame == "infrastructure":
        return Tried(case=case, outcome=None, problem=outcome.message)
    return Tried(case=case, outcome=outcome)


def _asked(hook: Hook, tried: Sequence[Tried], rules: Rules, score: float) -> float:
    measured: dict[str, list[Measurement]] = {}
    for item in tried:
        if item.measurement is not None:
            measured.setdefault(item.case.dataset.name, []).append(item.measurement)
    answer = hook(measured, rules)
    if answer is None:
        return score
    if not math.isfinite(answer):
        raise ValueError(f"returned {answer!r}, expected a finite number")
    return float(answer)


def weight(rules: Rules, part: Part | None, dataset: str, session: Sequence[str]) -> float:
    """Returns a dataset's share of a part's points; the shares of all datasets sum to 1."""
    names = (part.datasets if part is not None else None) or session
    total = sum(rules.weights.get(name, 1.0) for name in names)
    return rules.weights.get(dataset, 1.0) / total if total else 0.0


def _elsewhere(plan: Plan, rules: Rules) -> list[PartGrade]:
    """Returns incomplete parts for datasets that are not in this session."""
    return [
        PartGrade(
            name=part.name,
            dataset=name,
            points=0.0,
            possible=part.points * weight(rules, part, name, tuple(plan.cases)),
            status="incomplete",
            why=(NOT_RUN,),
            visibility=part.visibility,
        )
        for part in rules.parts
        for name in part.datasets or ()
        if name not in plan.cases
    ]


class _Dataset:
    """One submission on one dataset."""

    def __init__(self, name: str, plan: Plan, rules: Rules, tried: list[Tried]) -> None:
        self.name, self.plan, self.rules = name, plan, rules
        self.tried = tried
        self.considered = tried[:1] if rules.score.counts == "first" else tried
        self.void = next((t for t in tried if t.failure and t.failure.kind in VOIDS), None)
        self.own_parts = [
            part for part in rules.parts if part.datasets is None or name in part.datasets
        ]
        self.best = self._best()
        self.tried = [dataclasses.replace(t, counted=t is self.best) for t in tried]

    def _best(self) -> Tried | None:
        """Returns the setting that counts: by points, then recall, then speed, then order."""
        measured = [t for t in self.considered if t.measurement is not None]
        if self.void is not None or not measured:
            return None

        def worth(item: Tried) -> tuple[float, float, float]:
            measurement = item.measurement
            assert measurement is not None
            return self._worth(measurement), measurement.recall, measurement.qps

        return max(measured, key=worth)

    def _worth(self, measurement: Measurement) -> float:
        if self.rules.score.formula != "thresholds":
            return formulas.recall_qps_memory(measurement, self.rules.score)
        return sum(part.points * share(part, measurement) for part in self.own_parts)

    def parts(self) -> list[PartGrade]:
        if self.rules.score.formula != "thresholds":
            return [self._formula()]
        return [self._part(part) for part in self.own_parts]

    def _part(self, part: Part) -> PartGrade:
        possible = part.points * weight(self.rules, part, self.name, tuple(self.plan.cases))
        best = self._best_for(part)
        if best is None or best.measurement is None:
            return self._nothing(part.name, possible, part.visibility)
        got = share(part, best.measurement)
        status: Status = "full" if got == 1 else "partial" if got > 0 else "missed"
        return PartGrade(
            name=part.name,
            dataset=self.name,
            points=possible * got,
            possible=possible,
            status="incomplete" if self._open or self._undecided(part) else status,
            why=(*self._words(part, best.measurement), *self._beside(best, self._undecided(part))),
            visibility=part.visibility,
        )

    def _words(self, part: Part, measurement: Measurement) -> list[str]:
        counted = as_counted(measurement, [item.name for item in part.thresholds])
        return [threshold.words(counted) for threshold in part.thresholds]

    def _best_for(self, part: Part) -> Tried | None:
        if self.best is None or self.rules.score.counts != "each-part":
            return self.best
        measured = [t for t in self.considered if t.measurement is not None]
        return max(measured, key=lambda t: share(part, t.measurement) if t.measurement else -1.0)

    def _formula(self) -> PartGrade:
        score, part_weight = (
            self.rules.score,
            weight(self.rules, None, self.name, tuple(self.plan.cases)),
        )
        possible = None if score.points is None else score.points * part_weight
        if self.best is None or self.best.measurement is None:
            return self._nothing(score.formula, possible, None)
        measurement = self.best.measurement
        value = formulas.recall_qps_memory(measurement, score)
        points = formulas.points_of(value, score) * part_weight
        reached = possible is not None and points >= possible
        doubts = self._undecided(None)
        status: Status = "full" if reached else "partial" if value > 0 else "missed"
        return PartGrade(
            name=score.formula,
            dataset=self.name,
            points=points,
            possible=possible,
            status="incomplete" if self._open or doubts else status,
            why=(
                formulas.words(measurement, score, value)
                + (f": {CANNOT_TELL}" if self.best in doubts else ""),
                *self._beside(self.best, doubts),
            ),
        )

    def undecided(self) -> list[Tried]:
        """Returns settings that might earn more points on a quieter machine."""
        if self.rules.score.formula != "thresholds":
            return self._undecided(None)
        return [item for part in self.own_parts for item in self._undecided(part)]

    def _undecided(self, part: Part | None) -> list[Tried]:
        """Returns such settings for one part, or for the formula."""
        best = self._best_for(part) if part is not None else self.best
        if best is None or best.measurement is None:
            return []
        got = self._got(part, best.measurement)
        return [
            item
            for item in self.considered
            if item.measurement is not None and self._at_most(part, item.measurement) > got
        ]

    def _got(self, part: Part | None, measurement: Measurement) -> float:
        if part is not None:
            return share(part, measurement)
        score = self.rules.score
        return formulas.points_of(formulas.recall_qps_memory(measurement, score), score)

    def _at_most(self, part: Part | None, measurement: Measurement) -> float:
        """Returns the most it might earn on a quieter machine; 0 if the machine was quiet."""
        if not measurement.disturbed:
            return 0.0
        if part is not None:
            counted = as_counted(measurement, [item.name for item in part.thresholds])
            return min(threshold.at_most(counted) for threshold in part.thresholds)
        score = self.rules.score
        certain = (
            "queries" not in measurement.disturbed or not measurement.recall >= score.min_recall
        )
        if certain:
            return 0.0
        return math.inf if score.points is None or score.full_at is None else score.points

    @property
    def _open(self) -> bool:
        """Whether a setting that may still change the points has no outcome."""
        return self.void is None and any(t.problem is not None for t in self.considered)

    def _beside(self, best: Tried, doubts: Sequence[Tried]) -> list[str]:
        """Returns further lines: which setting counted, which did not run or is undecided."""
        lines = []
        if len(self.tried) > 1:
            lines.append(f"measured with {best.case.variant.label or 'the default setting'}")
        lines += [f"{t.case.variant.label}: {t.problem}" for t in self.considered if t.problem]
        lines += [f"{t.case.variant.label}: {CANNOT_TELL}" for t in doubts if t is not best]
        return lines

    def _nothing(self, name: str, possible: float | None, visibility: str | None) -> PartGrade:
        """Returns the grade of a part without a measurement, with the reasons."""
        if not self.tried:
            why = [f"your header's metrics do not include the metric of {self.name}"]
        elif self._open:
            why = [t.problem for t in self.considered if t.problem]
        else:
            seen = [self.void] if self.void else self.considered
            feedback = self.rules.feedback
            why = [
                explanations.explain(t.failure, self.plan.submission, feedback=feedback)
                for t in seen
                if t.failure
            ]
        return PartGrade(
            name=name,
            dataset=self.name,
            points=0.0,
            possible=possible,
            status="incomplete" if self._open else "failed",
            why=tuple(dict.fromkeys(why)),
            visibility=visibility,
        )


def share(part: Part, measurement: Measurement) -> float:
    """Returns the share of a part's points: the smallest share of its thresholds."""
    counted = as_counted(measurement, [item.name for item in part.thresholds])
    return min(threshold.share(counted) for threshold in part.thresholds)


def _reason(grade: Grade) -> str:
    """Returns the most important line: what is incomplete, failed, or cost the most points."""
    for status in ("incomplete", "failed"):
        for part in grade.parts:
            if part.status == status and part.why:
                why = _decisive(part)
                holders = {item.dataset for item in grade.parts if why in item.why}
                everywhere = holders == {item.dataset for item in grade.parts}
                return why if everywhere else f"{part.dataset}: {why}"
    if grade.notes:
        return grade.notes[0]
    lost = [part for part in grade.parts if part.status in ("missed", "partial")]
    if not lost:
        return ""
    worst = max(lost, key=lambda part: (part.possible or 0.0) - part.points)
    missed = [text for text in worst.why if not text.endswith(": reached")]
    return f"{worst.name}: {missed[0]}" if missed else ""


def _decisive(part: PartGrade) -> str:
    """Returns why a part is incomplete or failed, without lines about other settings."""
    if part.status == "incomplete":
        return next((why for why in part.why if why.endswith(CANNOT_TELL)), part.why[-1])
    return next((why for why in part.why if not why.endswith(": reached")), part.why[0])
