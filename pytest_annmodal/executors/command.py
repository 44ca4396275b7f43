"""The command line of ``modal_app.py``: the same jobs on Modal without pytest."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pytest_annmodal import planning, selection
from pytest_annmodal.errors import AnnModalError
from pytest_annmodal.executors.cloud import Cloud
from pytest_annmodal.executors.images import requirements_of
from pytest_annmodal.executors.modal import ModalExecutor
from pytest_annmodal.model import Case, Dataset, to_plain
from pytest_annmodal.outcome import Failure, Outcome
from pytest_annmodal.replay import row
from pytest_annmodal.reports import escape
from pytest_annmodal.reports.report import summary
from pytest_annmodal.settings.config import Settings

RESULTS = Path("annmodal-results")
# Half a minute of compilation in every process, for one library that is rarely asked for.
NOT_IN_THE_IMAGE = {"pynndescent"}


class Command:
    """An app whose one image has every usual library.

    ``modal run`` defines its functions before it knows which implementation is wanted.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.offered = selection.offered_implementations(settings)
        wanted = {
            requirement
            for item in self.offered
            if item.name not in NOT_IN_THE_IMAGE and item.error is None
            for requirement in requirements_of(item)
        }
        image = tuple(sorted(wanted))
        self.cloud = Cloud(settings, [(image, True), (image, False)], universal=True)
        self.app = self.cloud.app

    @classmethod
    def from_environment(cls) -> Command:
        """Settings from ``ANNMODAL_…`` variables; the folder of the app is the root."""
        settings = Settings.resolve(
            cli=lambda _name: None, ini=lambda _name: "", environ=os.environ, rootdir=Path.cwd()
        )
        return cls(dataclasses.replace(settings, modal=True))

    def download(self, name: str) -> int:
        """Put a dataset into the volume; the number of failures."""
        try:
            for dataset in self._datasets(name):
                self._executor().prepare(dataset)
        except AnnModalError as error:
            return self._fail(error)
        return 0

    def run(self, dataset: str, names: Sequence[str], *, k: int, subset: int | None) -> int:
        """Measure the named implementations on a dataset; the number of failures."""
        settings = dataclasses.replace(self.settings, impl=tuple(names), k=k, subset=subset)
        executor = self._executor()
        try:
            datasets = self._datasets(dataset)
            chosen = selection.select_implementations(settings)
            cases = selection.expand(chosen, datasets, k=k, rounds=settings.rounds)
            if not cases:
                self._say(f"❌ {', '.join(names)}: no metric in common with {dataset}")
                return 1
            for item in datasets:
                executor.prepare(item)
            futures = [executor.submit(job) for job in planning.jobs(cases, settings)]
            for future in futures:
                executor.pump(future)
            outcomes = [outcome for future in futures for outcome in future.result()]
        except AnnModalError as error:
            return self._fail(error)
        finally:
            executor.shutdown(cancel=True)
        return self._report(cases, outcomes, dataset, names)

    def _report(
        self, cases: Sequence[Case], outcomes: Sequence[Outcome], dataset: str, names: Sequence[str]
    ) -> int:
        by_id = {case.id: case for case in cases}
        rows: list[dict[str, Any]] = []
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
        path = RESULTS / f"{stamp}-{'-'.join(names)}-{Path(dataset).stem}.json"
        path.write_text(json.dumps([to_plain(outcome) for outcome in outcomes], indent=1))
        print(f"\nResults: {path}", flush=True)
        return failed

    def _datasets(self, name: str) -> list[Dataset]:
        known = selection.known_datasets()
        return selection.find_datasets(name, known, self.settings)

    def _executor(self) -> ModalExecutor:
        return ModalExecutor(self.settings, say=self._say, cloud=self.cloud, echo=False)

    def _fail(self, error: AnnModalError) -> int:
        self._say(f"❌ {error}")
        return 1

    @staticmethod
    def _say(text: str) -> None:
        print(escape.told(text), flush=True)
