"""The built-in executors, by their name in ``--ann-executor``.

They are made through the hook ``pytest_annmodal_make_executor``, like those of other plugins.
This module imports an executor only when it is used.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_annmodal.model import Dataset, Job
from pytest_annmodal.protocols import Executor
from pytest_annmodal.settings.config import Settings

if TYPE_CHECKING:
    from pytest_annmodal.datasets.lines import Reporter
    from pytest_annmodal.executors.local import LocalExecutor


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutorSetup:
    """What a session passes to the hook that makes its executor.

    Attributes:
        settings: the values of the options.
        say: shows a line on the terminal.
        reporting: gives the Reporter for resolving a dataset, which shows messages and the
            progress of a download.
        on_phase: called with a job and its phase, ``done`` at its end.
    """

    settings: Settings
    say: Callable[[str], None]
    reporting: Callable[[Dataset], AbstractContextManager[Reporter]]
    on_phase: Callable[[Job, str], None]

    def local(self) -> LocalExecutor:
        """Makes the executor of this machine, which other executors may use too."""
        from pytest_annmodal.datasets.volume.volume import local_volume
        from pytest_annmodal.executors.local import LocalExecutor

        return LocalExecutor(
            local_volume(self.settings.volume_dir),
            base_urls=self.settings.base_url,
            reporting=self.reporting,
            on_phase=self.on_phase,
        )


def _modal(setup: ExecutorSetup) -> Executor:
    from pytest_annmodal.executors.modal.client import ModalExecutor

    return ModalExecutor(setup.settings, say=setup.say)


BUILTIN: Mapping[str, Callable[[ExecutorSetup], Executor]] = {
    "local": ExecutorSetup.local,
    "modal": _modal,
}


def make(name: str, setup: ExecutorSetup) -> Executor | None:
    """Makes the built-in executor of this name; None if there is none."""
    return BUILTIN[name](setup) if name in BUILTIN else None
