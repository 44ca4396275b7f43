"""Grades the finished cases of a session, keeps the journal, and writes the grades."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

from pytest_annmodal.datasets import locate
from pytest_annmodal.environments import making
from pytest_annmodal.environments.spec import SIGN
from pytest_annmodal.errors import AnnModalError, ConfigurationError
from pytest_annmodal.grading import outputs, score, submissions
from pytest_annmodal.grading.grade import Grade
from pytest_annmodal.grading.outputs.gradebook import Book, now, out_of, rank
from pytest_annmodal.grading.rules import Rules, read_rules
from pytest_annmodal.grading.score import Hook, Plan
from pytest_annmodal.manifests.handed_in import handed_in
from pytest_annmodal.model import Case, Dataset
from pytest_annmodal.outcome import Failure, Outcome
from pytest_annmodal.reports import escape
from pytest_annmodal.results.journal import Journal
from pytest_annmodal.results.key import key_of
from pytest_annmodal.sandbox import isolation
from pytest_annmodal.session import fitting, planning
from pytest_annmodal.session.state import BenchSession
from pytest_annmodal.settings.config import Settings
from pytest_annmodal.settings.nearest import nearest_names


class Grader:
    """The grades of all submissions of a session, always up to date; thread-safe."""

    def __init__(
        self,
        *,
        settings: Settings,
        rules: Rules,
        plans: Sequence[Plan],
        datasets: Sequence[Dataset],
        journal: Journal,
        hook: Hook | None = None,
        remote: bool = False,
    ) -> None:
        self.settings, self.rules, self.plans, self.journal = settings, rules, plans, journal
        self.datasets = tuple(dataset.name for dataset in datasets)
        self.folder = journal.path.parent
        self.trouble: list[str] = []  # problems of the session, not of a submission
        self.n_resumed = self.n_known = self.n_measured = 0
        self.n_unlike = 0  # cases in the journal, if none of them matches this session's
        self.writes = True  # False at the end of a session that does not change the folder
        self._hook, self._remote = hook, remote
        self._lock = threading.RLock()
        self._plan_of = {
            case.id: plan for plan in plans for cases in plan.cases.values() for case in cases
        }
        self._case_of = {
            case.id: case for plan in plans for cases in plan.cases.values() for case in cases
        }
        self._outcomes: dict[str, Outcome] = {}
        self._problems: dict[str, str] = {}
        self._grades: dict[str, Grade] = {}

    def known(self) -> list[Outcome]:
        """Returns outcomes that are known: of refused submissions and of the journal's cases."""
        for case_id, case in self._case_of.items():
            submission = self._plan_of[case_id].submission
            if submission.refused is not None:
                kind, message = submission.refused
                self._outcomes[case_id] = Failure(
                    case_id=case_id, kind=kind, message=f"{submission.shown}: {message}"
                )
                continue
            found = self.journal.known.get(self._key(case))
            if found is not None:
                self._outcomes[case_id] = found
                self.n_resumed += 1
        if not self.n_resumed:
            self.n_unlike = len(self.journal.known)
        for plan in self.plans:  # undecided, as the machine was too busy: measured again
            for case_id in score.undecided(plan, self.rules, self._outcomes):
                del self._outcomes[case_id]
                self.n_resumed -= 1
        self.n_known = len(self._outcomes)
        return list(self._outcomes.values())

    def _key(self, case: Case) -> str:
        digest = self._plan_of[case.id].submission.digest
        return key_of(case, digest, self.settings, beside=self._beside)

    @cached_property
    def _beside(self) -> str | None:
        """The key of the baseline's environment, if it has one: a folder's content may change."""
        if SIGN not in (self.settings.baseline or ""):
            return None
        baseline = planning.baseline_of(self.settings)
        return None if baseline is None else making.key_of(baseline.implementation)

    def record(self, outcome: Outcome) -> None:
        """Adds a finished case to the journal, grades its submission again, writes the grades."""
        case = self._case_of.get(outcome.case_id)
        if case is None:
            return  # of a test's own or of a trusted implementation: not graded
        with self._lock:
            self._outcomes[case.id] = outcome
            self._grades.pop(self._plan_of[case.id].submission.name, None)
            if isinstance(outcome, Failure) and outcome.blame == "infrastructure":
                return  # nothing was measured
            self.n_measured += 1
            try:
                self.journal.add(self._key(case), outcome)
                outputs.write_grades(self.folder, self.book(finished=False))
            except (AnnModalError, OSError) as error:
                self._note_problem(str(error))

    def problem(self, case_id: str, text: str) -> None:
        """Records why a case gave no outcome: it was skipped, or the harness failed."""
        with self._lock:
            if case_id in self._plan_of and case_id not in self._outcomes:
                self._problems[case_id] = escape.line(text)
                self._grades.pop(self._plan_of[case_id].submission.name, None)

    def _note_problem(self, text: str) -> None:
        if text not in self.trouble:
            self.trouble.append(text)

    def grade(self, plan: Plan) -> Grade:
        with self._lock:
            name = plan.submission.name
            if name not in self._grades:
                self._grades[name] = score.grade(
                    plan, self.rules, self._outcomes, self._problems, self._hook
                )
            return self._grades[name]

    def properties(self, case: Case) -> list[tuple[str, str]]:
        """Returns properties for JUnit XML: the case's submission, and its grade so far."""
        plan = self._plan_of.get(case.id)
        if plan is None:
            return []
        return [("submission", plan.submission.name), ("grade", out_of(self.grade(plan)))]

    def book(self, *, finished: bool) -> Book:
        with self._lock:
            return Book(
                rules=self.rules,
                entries=rank([(plan.submission, self.grade(plan)) for plan in self.plans]),
                session=self.journal.session,
                where=self.settings.executor,
                datasets=self.datasets,
                k=self.settings.k,
                rounds=self.settings.rounds,
                finished=finished,
                written=now(),
                warnings=self._warnings(),
            )

    def _warnings(self) -> tuple[str, ...]:
        if self._remote:
            return ()
        wanted = self.settings.isolation
        level = "process" if wanted == "process" else isolation.strongest()
        weak = isolation.weakness(level, wanted)
        untrustworthy = "These grades are not safe against a submission that cheats."
        return (f"Isolation: {weak}. {untrustworthy}",) if weak else ()

    def finish(self, environ: Mapping[str, str], *, finished: bool) -> Book:
        """Writes every output; files that could not be written are in ``trouble``.

        A session without results does not change the files of an earlier one.
        """
        book = self.book(finished=finished)
        earlier = (self.folder / outputs.GRADES).exists()
        came_to_something = self.n_known > 0 or not earlier
        self.writes = self.n_measured > 0 or (finished and came_to_something)
        if self.writes:
            try:
                self.journal.begin()
            except AnnModalError as error:
                self._note_problem(str(error))
            for text in outputs.write_all(self.folder, book, environ):
                self._note_problem(text)
        self.journal.close()
        return book


def make_grader(bench: BenchSession, hook: Hook | None) -> Grader:
    """Reads the rules and the submissions, and opens the journal.

    Raises:
        ConfigurationError: there is nothing to grade, or the rules do not fit the datasets.
    """
    settings = bench.settings
    assert settings.grade is not None
    rules = read_rules(Path(settings.grade))
    untrusted = [item for item in bench.implementations if not item.trusted]
    found = submissions.gather(handed_in(settings), untrusted, rules)
    if not found:
        raise ConfigurationError(
            "--ann-grade grades submissions, and none is named: add --submission='submissions/*'"
        )
    datasets = bench.datasets
    _check_names(rules, bench)
    _check_needs(rules, settings)
    plans = [
        Plan(submission=item, cases={d.name: _cases(item, d, settings) for d in datasets})
        for item in found
    ]
    journal = Journal.open(
        Path(settings.grade_dir).absolute(), resume=settings.resume, beside=outputs.NAMES
    )
    bench.seed_queries(int(journal.secret, 16) + 1)  # the same when it is resumed
    return Grader(
        settings=bench.settings,
        rules=rules,
        plans=plans,
        datasets=datasets,
        journal=journal,
        hook=hook,
        remote=bench.executor.remote,
    )


def _check_needs(rules: Rules, settings: Settings) -> None:
    """Refuses thresholds on figures that the options do not measure."""
    for part in rules.parts:
        for threshold in part.thresholds:
            option = threshold.figure.option
            if option == "cold":
                raise ConfigurationError(
                    f"{rules.path.name}: parts: {part.name}: {threshold.name}: a submission has no "
                    "cold first pass, since what it reads lies in memory; leave it out"
                )
            if option and getattr(settings, option) is None:
                raise ConfigurationError(
                    f"{rules.path.name}: parts: {part.name}: {threshold.name} needs "
                    f"{option} = … in the file, or --ann-{option.replace('_', '-')}"
                )
            if threshold.name == "min_ratio" and settings.sessions == 1:
                raise ConfigurationError(
                    f"{rules.path.name}: parts: {part.name}: min_ratio needs a verdict, and one "
                    "session does not give one; set sessions to 5, 8 or 11"
                )


def _cases(item: submissions.Submission, dataset: Dataset, settings: Settings) -> list[Case]:
    return fitting.expand(
        item.implementations,
        [dataset],
        k=settings.k,
        rounds=settings.rounds,
        subset=settings.subset,
        constrained=False,
    )


def _check_names(rules: Rules, bench: BenchSession) -> None:
    """Refuses parts and weights that name datasets which the rules do not list, or all weigh 0."""
    known = {d.name for d in bench.datasets}
    for text in rules.datasets:
        asked = f"{rules.path.name}: datasets: {text}"
        found = locate.find_datasets(text, bench.known, bench.settings, bench.stored, asked=asked)
        known |= {dataset.name for dataset in found}
    named = {name: f"parts: {part.name}" for part in rules.parts for name in part.datasets or ()}
    named |= dict.fromkeys(rules.weights, "weights")
    for name, where in named.items():
        if name not in known:
            raise ConfigurationError(
                f"{rules.path.name}: {where}: {name!r} is not among datasets"
                f"{nearest_names(name, known)}"
            )
    session = tuple(d.name for d in bench.datasets)
    for part in rules.parts or (None,):
        names = (part.datasets if part is not None else None) or session
        if not any(score.weight(rules, part, name, session) for name in names):
            what = f"parts: {part.name}" if part is not None else "weights"
            raise ConfigurationError(f"{rules.path.name}: {what}: all its datasets have weight 0")
