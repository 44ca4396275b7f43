"""The command line of ``modal_app.py``: runs the same jobs on Modal without pytest."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from pytest_annmodal.command import arguments
from pytest_annmodal.command.arguments import Arguments
from pytest_annmodal.datasets import locate
from pytest_annmodal.errors import AnnModalError, ConfigurationError, large_k
from pytest_annmodal.executors.modal import interrupts, quiet
from pytest_annmodal.executors.modal.client import ModalExecutor
from pytest_annmodal.executors.modal.connection import check_reachable
from pytest_annmodal.executors.modal.definitions import Cloud, Contents, requirements_of
from pytest_annmodal.executors.modal.plan import plan_of, refuse_too_large
from pytest_annmodal.executors.modal.pulse import Pulse
from pytest_annmodal.executors.modal.stored import CloudStored
from pytest_annmodal.model import Case, Dataset, Implementation, Job
from pytest_annmodal.outcome import Failure, Outcome, outcome_to_plain
from pytest_annmodal.reports import escape, nearest
from pytest_annmodal.reports.tables import summary
from pytest_annmodal.results.rows import Row, row
from pytest_annmodal.session import fitting, planning, selection
from pytest_annmodal.session.keeping import Keeper
from pytest_annmodal.settings.config import Settings
from pytest_annmodal.settings.sources import resolve, unused_variables

RESULTS = Path("annmodal-results")
USAGE_ERROR = 2
# It compiles for half a minute in every process, and is rarely used.
NOT_IN_THE_IMAGE = {"pynndescent"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """The checked cases and jobs of the arguments."""

    arguments: Arguments
    datasets: Sequence[Dataset]
    cases: Sequence[Case] = ()
    jobs: Sequence[Job] = ()


class Command:
    """An app with one image for all implementations.

    ``modal run`` needs the functions before it is known which implementation is wanted.
    """

    def __init__(self, settings: Settings) -> None:
        nearest.install()
        self.settings = settings
        self.offered = selection.offered_implementations(settings)
        wanted = {
            requirement
            for item in self.offered
            if item.name not in NOT_IN_THE_IMAGE and item.error is None
            for requirement in requirements_of(item)
        }
        image = tuple(sorted(wanted))
        contents = Contents(image)
        self.cloud = Cloud(settings, [(contents, True), (contents, False)], universal=True)
        self.app = self.cloud.app
        self._pulse = Pulse(settings.modal_silence_s)
        self._verdict = interrupts.Verdict()
        self._ending = False
        self._wanted: dict[tuple[str, ...], Wanted] = {}  # by checked arguments

    @classmethod
    def from_command_line(cls, argv: Sequence[str], app: Path) -> Command:
        """Makes the command from ``ANNMODAL_…`` variables; the current folder is the root.

        Wrong arguments end the process here with one line, before anything is started.
        """
        try:
            settings = resolve(
                cli=lambda _name: None, ini=lambda _name: "", environ=os.environ, rootdir=Path.cwd()
            )
            command = cls(settings.replaced(executor="modal"))
            given = arguments.find(argv, app)
            if given is not None:
                command._begin(given)
        except ConfigurationError as error:
            cls._refuse(error)
        return command

    def _begin(self, given: Sequence[str]) -> None:
        for line in unused_variables(os.environ):
            self._say(line)
        wanted = self._wanted[tuple(given)] = self.want(given)
        if self.settings.modal_plan:
            self._say(plan_of(wanted.jobs, self.settings).line())
            sys.exit(0)
        try:
            check_reachable()
        except AnnModalError as error:
            self._say(f"❌ {error}")
            sys.exit(1)
        quiet.hide_tracebacks()
        interrupts.end_as_interrupted()
        interrupts.end_when_silent(self._pulse, self._verdict, self._say)

    @staticmethod
    def _refuse(error: ConfigurationError) -> None:
        print(f"Error: {error}", file=sys.stderr, flush=True)
        sys.exit(USAGE_ERROR)

    def main(self, given: Sequence[str]) -> int:
        """Runs once ``modal run`` has opened the app; returns the exit status."""
        try:
            wanted = self._wanted.get(tuple(given)) or self.want(given)
        except ConfigurationError as error:
            self._refuse(error)
        self._verdict.awaited = True
        try:
            failed = self.download(wanted) if wanted.arguments.download_only else self.run(wanted)
        except KeyboardInterrupt:
            return self._end(interrupts.INTERRUPTED)
        return self._end(1 if failed else 0)

    def _end(self, status: int) -> int:
        self._verdict.say(status)
        return status

    def want(self, given: Sequence[str]) -> Wanted:
        """Reads the arguments and checks what they name, from text alone.

        Raises:
            ConfigurationError: something cannot be measured, or exceeds the limits.
        """
        args = arguments.parse(given)
        known = locate.known_datasets()
        stored = CloudStored(self.settings)
        datasets = locate.find_datasets(args.dataset, known, self.settings, stored)
        if args.download_only:
            return Wanted(arguments=args, datasets=datasets)
        datasets = [selection.asked(dataset, self.settings) for dataset in datasets]
        settings = self._settings_of(args)
        chosen = self._implementations(args)
        for dataset in datasets:
            _refuse_large_k(args, dataset)
        cases = fitting.expand(
            chosen, datasets, k=args.k, rounds=settings.rounds, subset=settings.subset
        )
        if not cases:
            raise ConfigurationError(
                fitting.nothing_fits(chosen, datasets, k=args.k, subset=settings.subset)
            )
        jobs = planning.jobs(cases, settings, remote=True)
        _refuse_specs(jobs)
        refuse_too_large(plan_of(jobs, settings), settings)
        return Wanted(arguments=args, datasets=datasets, cases=cases, jobs=jobs)

    def _settings_of(self, args: Arguments) -> Settings:
        subset = args.subset_size or None
        return self.settings.replaced(impl=tuple(args.names), k=args.k, subset=subset)

    def _implementations(self, args: Arguments) -> list[Implementation]:
        for flag, name in (("--impl", args.impl), ("--compare", args.compare)):
            try:
                if name:
                    selection.select_implementations(self.settings.replaced(impl=(name,)))
            except ConfigurationError as error:
                text = str(error).replace("--impl", flag, 1)
                if name == selection.STUDENT:
                    here = " or ".join(selection.STUDENT_FILES)
                    text = f"{flag} {name}: there is no {here} in {self.settings.rootdir}"
                raise ConfigurationError(text) from error
        return selection.select_implementations(self._settings_of(args))

    def download(self, wanted: Wanted) -> int:
        """Puts datasets into the volume; returns the number of failures."""
        executor = self._executor(self.settings)
        try:
            return len(wanted.datasets) - len(self._prepared(executor, wanted.datasets))
        finally:
            executor.shutdown(cancel=True)

    def _prepared(self, executor: ModalExecutor, datasets: Sequence[Dataset]) -> set[str]:
        """Prepares datasets; returns the names of those that succeeded, prints other errors."""
        names = set()
        for dataset in datasets:
            try:
                executor.prepare(dataset)
                names.add(dataset.name)
            except AnnModalError as error:
                self._say(f"❌ {dataset.name}: {error}")
        return names

    def run(self, wanted: Wanted) -> int:
        """Measures; returns the number of failures. Ctrl-C shows and writes finished results."""
        executor = self._executor(self._settings_of(wanted.arguments))
        keeper = self._keeper(executor)
        futures: list[Future[Sequence[Outcome]]] = []
        known: Sequence[Outcome] = ()
        interrupted = False
        self._say(plan_of(wanted.jobs, self.settings).line())
        try:
            there = self._prepared(executor, wanted.datasets)
            jobs = [job for job in wanted.jobs if job.dataset.name in there]
            known = keeper.reusable(jobs)
            for job in self._unknown(jobs, known, wanted):
                keeper.look_at(job)
                futures.append(executor.submit(job))
                futures[-1].add_done_callback(partial(_keep, keeper, job))
            self._tell_as_they_finish(futures)
            for future in futures:
                executor.pump(future)
        except KeyboardInterrupt:
            interrupted = self._ending = True
        done = [future.result() for future in futures if future.done()]
        outcomes = [*known, *(outcome for found in done for outcome in found)]
        if interrupted:
            self._say(f"Interrupted: {len(done)} of {len(wanted.jobs)} jobs had finished.")
        try:
            failed = self._report(wanted, outcomes) if outcomes else 0
        finally:
            executor.shutdown(cancel=True)
            keeper.store.close()
        for text in keeper.trouble:
            self._say(text)
        if interrupted:
            raise KeyboardInterrupt
        return failed + len(wanted.datasets) - len(there)

    def _unknown(
        self, jobs: Sequence[Job], known: Sequence[Outcome], wanted: Wanted
    ) -> Sequence[Job]:
        """Returns the jobs of cases without a reused result (ANNMODAL_REUSE)."""
        if not known:
            return jobs
        many = "s were" if len(known) != 1 else " was"
        self._say(f"{len(known)} result{many} taken from the store and not measured again.")
        there = {search.case_id for job in jobs for search in job.searches}
        there -= {outcome.case_id for outcome in known}
        missing = [case for case in wanted.cases if case.id in there]
        return planning.jobs(missing, self._settings_of(wanted.arguments), remote=True)

    def _tell_as_they_finish(self, futures: Sequence[Future[Sequence[Outcome]]]) -> None:
        def tell(_future: Future[Sequence[Outcome]]) -> None:
            if self._ending or self._pulse.silent.is_set():
                return  # the jobs were given up
            n_done = sum(future.done() for future in futures)
            self._say(f"{n_done} of {len(futures)} jobs finished")

        for future in futures:
            future.add_done_callback(tell)

    def _report(self, wanted: Wanted, outcomes: Sequence[Outcome]) -> int:
        by_id = {case.id: case for case in wanted.cases}
        rows: list[Row] = []
        failed = 0
        for outcome in outcomes:
            case = by_id[outcome.case_id]
            if isinstance(outcome, Failure):
                failed += 1
                self._say(f"❌ {outcome.case_id}: {outcome.message}")
            rows.append(row(case, outcome, "modal"))
        print(summary(rows, width=132, color=False), flush=True)
        RESULTS.mkdir(exist_ok=True)
        stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
        names = "-".join(wanted.arguments.names)
        path = RESULTS / f"{stamp}-{names}-{Path(wanted.arguments.dataset).stem}.json"
        text = json.dumps([outcome_to_plain(outcome) for outcome in outcomes], indent=1)
        path.write_text(text, encoding="utf-8")
        print(f"\nResults: {path}", flush=True)
        return failed

    def _keeper(self, executor: ModalExecutor) -> Keeper:
        return Keeper(
            self.settings,
            session=os.urandom(8).hex(),
            content=executor.content,
            machine=lambda: executor.machine,
        )

    def _executor(self, settings: Settings) -> ModalExecutor:
        return ModalExecutor(
            settings, say=self._say, cloud=self.cloud, echo=False, pulse=self._pulse
        )

    @staticmethod
    def _say(text: str) -> None:
        print(escape.told(text), flush=True)


def _keep(keeper: Keeper, job: Job, future: Future[Sequence[Outcome]]) -> None:
    """Appends a job's outcomes to the store, unless it was given up."""
    if not future.cancelled() and future.exception() is None:
        keeper.keep(job, future.result())


def _refuse_specs(jobs: Sequence[Job]) -> None:
    for job in jobs:
        for side in (job.implementation, job.baseline and job.baseline.implementation):
            if side and side.environment is not None:
                raise ConfigurationError(
                    f"{side.name}: an @SPEC needs an image of its own, and `modal run` has one "
                    "for all. Use: pytest --modal --impl NAME@SPEC"
                )


def _refuse_large_k(args: Arguments, dataset: Dataset) -> None:
    """Refuses a k above the number of vectors, if that is known; otherwise the container does."""
    known = [number for number in (dataset.n_train, args.subset_size) if number]
    if known and args.k > min(known):
        cut = f" (--subset-size {args.subset_size})" if min(known) == args.subset_size else ""
        raise ConfigurationError(large_k(f"--k {args.k}", min(known), f"{dataset.name}{cut}"))
