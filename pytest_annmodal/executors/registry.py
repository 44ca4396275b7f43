"""Who runs jobs, by the name that ``--ann-executor`` takes.

The built-in executors come through the hook ``pytest_annmodal_make_executor``, as those of others
do. This module imports neither of them before it is asked for.
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
    """What a session gives to whoever makes its executor.

    Attributes:
        settings: what the options say.
        say: shows a line on the terminal.
        reporting: whom to tell about bringing a dataset: shows what a user has to know, and how
            far a download is.
        on_phase: told which job is doing what, ``done`` at its end.
    """

    settings: Settings
    say: Callable[[str], None]
    reporting: Callable[[Dataset], AbstractContextManager[Reporter]]
    on_phase: Callable[[Job, str], None]

    def local(self) -> LocalExecutor:
        """The executor of this machine: also for one that leaves some of the work to it."""
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
    """The built-in executor of this name, if there is one."""
    return BUILTIN[name](setup) if name in BUILTIN else None
