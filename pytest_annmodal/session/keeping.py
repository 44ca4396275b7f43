"""Stores a session's outcomes, and reuses those of earlier sessions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from pytest_annmodal.environments import making
from pytest_annmodal.errors import ConfigurationError
from pytest_annmodal.manifests import requirements
from pytest_annmodal.manifests.digest import digest_of
from pytest_annmodal.manifests.handed_in import handed_in
from pytest_annmodal.model import Dataset, Implementation, Job
from pytest_annmodal.outcome import Failure, Measurement, Outcome
from pytest_annmodal.results import key, outcomes, store
from pytest_annmodal.results.folder import folder_of
from pytest_annmodal.results.reading import Results, read_results
from pytest_annmodal.results.stored import StoredCase
from pytest_annmodal.settings.config import Settings

LOCAL = "local"  # the executor of this machine
REUSED = "measured earlier and taken from the store (--ann-reuse)"


class Keeper:
    """Appends a session's outcomes to the store; thread-safe.

    Args:
        session: an id, the same for every process of one session.
        content: gives the sha256 of a dataset's file, or None if unknown.
        machine: gives the machine class, which is part of a result's key.

    Attributes:
        trouble: messages about results that could not be stored or read.
        reused: cases of earlier sessions that were not measured again.
        pages: the report pages that were written.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        session: str,
        content: Callable[[Dataset], str | None],
        machine: Callable[[], str],
    ) -> None:
        self.trouble: list[str] = []
        self.reused: list[StoredCase] = []
        self._hide: Callable[[Failure], Failure] = lambda failure: failure
        self.pages: list[Path] = []
        self._settings, self._content, self._asked_machine = settings, content, machine
        self._where = settings.executor
        self._digests: dict[tuple[str, str | None], str | None] = {}
        self.store = store.ResultStore(self._folder(), session, self.trouble.append)

    @property
    def cases(self) -> list[StoredCase]:
        """All cases that this process measured or reused."""
        return [*self.reused, *self.store.kept]

    def _folder(self) -> Path | None:
        folder = folder_of(self._settings)
        if folder is None:
            return None
        try:
            submissions = handed_in(self._settings)
        except ConfigurationError:  # the session ends with this error
            return None
        inside = next((one for one in submissions if _is_in(folder, one.path)), None)
        if inside is None:
            return folder
        self.trouble.append(
            f"Results are not kept: {folder} is inside the submission {inside.shown}. "
            "Name another folder with --ann-results=DIR."
        )
        return None

    def hide_words(self, hide: Callable[[Failure], Failure]) -> None:
        """Sets a filter that removes a submission's words from failures before they are stored."""
        self._hide = hide

    def keep(self, job: Job, found: Sequence[Outcome]) -> None:
        """Appends the outcomes of a job, except failures of the infrastructure."""
        wanted = [outcome for outcome in found if _is_result(outcome)]
        if not wanted:
            return
        content = self._content(job.dataset)
        keys = self._keys(job, content)
        searches = {search.case_id: search for search in job.searches}
        rows = []
        for outcome in wanted:
            samples = store.samples_of(outcome) if isinstance(outcome, Measurement) else None
            case = outcomes.stored_case(
                job,
                searches[outcome.case_id],
                outcome if isinstance(outcome, Measurement) else self._hide(outcome),
                key=keys.get(outcome.case_id),
                content=content,
                where=self._where,
                machine=self.machine,
            )
            rows.append((case, samples))
        self.store.add(rows)

    def look_at(self, job: Job) -> None:
        """Hashes the implementation's files now, before they are run."""
        self._digest(job.implementation)
        if job.baseline is not None:
            self._digest(job.baseline.implementation)

    def reusable(self, jobs: Iterable[Job]) -> list[Measurement]:
        """Returns stored measurements of jobs; for a comparison all of a job's searches or none."""
        found: list[Measurement] = []
        if not self._settings.reuse:
            return found
        for job in jobs:
            keys = self._keys(job, self._content(job.dataset))
            known = {case_id: self._earlier.get(own) for case_id, own in keys.items()}
            cases = {case_id: case for case_id, case in known.items() if case is not None}
            together = job.baseline is not None or job.limits.at_recall is not None
            if together and len(cases) < len(job.searches):
                continue
            for case_id, case in cases.items():
                measurement = self._again(case)
                if measurement is not None:
                    self.reused.append(case)
                    found.append(replace(measurement, case_id=case_id))
        return found

    def _again(self, case: StoredCase) -> Measurement | None:
        try:
            measurement = outcomes.measurement_of(case, self._stored.samples(case))
        except ConfigurationError as error:
            self.trouble.append(f"{error}. {case.label} is measured again.")
            return None
        if measurement is None:
            return None
        environment = {**measurement.environment, "measured_at": case.measured_at}
        notes = (*measurement.notes, REUSED)
        # Its gate was a comparison of that session, not of this one.
        return replace(measurement, notes=notes, environment=environment, gate=None)

    @cached_property
    def machine(self) -> str:
        """The machine class; cached, since it is read from a dozen files of the kernel."""
        return self._asked_machine()

    @cached_property
    def _stored(self) -> Results:
        folder = self.store.folder
        try:
            found = read_results([folder]) if folder is not None else Results(cases=(), folders={})
        except ConfigurationError:  # nothing is stored yet
            return Results(cases=(), folders={})
        self.trouble += found.warnings
        return found

    @cached_property
    def _earlier(self) -> dict[str, StoredCase]:
        """The newest measurement by key."""
        cases = sorted(self._stored.cases, key=lambda case: case.measured_at)
        return {case.key: case for case in cases if case.key and case.failure is None}

    def _keys(self, job: Job, content: str | None) -> dict[str, str]:
        return key.keys_of(
            job,
            content=content,
            machine=self.machine,
            digest=self._digest,
            installed=self._installed,
        )

    def _installed(self, implementation: Implementation) -> Mapping[str, str] | None:
        """Returns the versions that it runs with here; for a container, the key of its image."""
        environment = implementation.environment
        if environment is None:
            return requirements.installed(implementation)
        if self._where == LOCAL:
            made = making.there(implementation)
            if made is None:
                return None
            return {**made.versions, "python": made.python, "environment": made.key}
        return {"environment": making.key_of(implementation, portable=True) or environment.spec}

    def _digest(self, implementation: Implementation) -> str | None:
        place = implementation.path, implementation.folder
        if place not in self._digests:
            self._digests[place] = digest_of(implementation)
        return self._digests[place]


def _is_result(outcome: Outcome) -> bool:
    """Whether the outcome is about the implementation, not about the infrastructure."""
    if isinstance(outcome, Measurement):
        return True
    return outcome.blame != "infrastructure" and outcome.kind != "metric"


def _is_in(folder: Path, place: Path) -> bool:
    real = place.resolve()
    return real in (folder.resolve(), *folder.resolve().parents)
