"""Hooks that other plugins and conftest files may implement."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pytest_annmodal.executors.registry import ExecutorSetup
    from pytest_annmodal.grading.rules import Rules
    from pytest_annmodal.model import Dataset
    from pytest_annmodal.outcome import Measurement
    from pytest_annmodal.protocols import Executor


class Hooks:
    """Hooks that other plugins and conftest files may implement."""

    @pytest.hookspec
    def pytest_annmodal_datasets(self) -> Iterable[Dataset]:  # type: ignore[empty-body]
        """Return more ``pytest_annmodal.model.Dataset`` rows for the catalogue."""

    @pytest.hookspec(firstresult=True)
    def pytest_annmodal_make_executor(self, name: str, setup: ExecutorSetup) -> Executor | None:
        """Return the executor of this name in ``--ann-executor``, or None if it is not yours.

        Args:
            name: ``local`` and ``modal`` are built in, and may be replaced.
            setup: the settings, and functions that print to the user.
        """

    @pytest.hookspec(firstresult=True)
    def pytest_annmodal_score(
        self, measurements: Mapping[str, Sequence[Measurement]], rules: Rules
    ) -> float | None:
        """Return one submission's score instead of the rules' formula, or None to keep it.

        Args:
            measurements: all that succeeded, by dataset name; see docs/grading.md.
            rules: the contents of the file of ``--ann-grade``.
        """
