"""Who hears what becomes of a session."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

from pytest_annmodal.model import Case
from pytest_annmodal.outcome import Outcome

if TYPE_CHECKING:
    from pytest_annmodal.session.state import BenchSession


class Listener(Protocol):
    """Hears what becomes of a session; grading is one."""

    def begin(self, session: BenchSession, cases: Mapping[str, Case]) -> None:
        """These cases are selected, by test id. Raises ConfigurationError."""

    def hear(self, outcome: Outcome) -> None:
        """A case has finished; told by whatever thread ran it."""

    def end(self) -> None:
        """Nothing is running any more."""
