"""The interface of objects that follow a session's outcomes, such as grading."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

from pytest_annmodal.model import Case
from pytest_annmodal.outcome import Outcome

if TYPE_CHECKING:
    from pytest_annmodal.session.state import BenchSession


class Listener(Protocol):
    """Is called at the beginning of a session, for each outcome, and at the end."""

    def begin(self, session: BenchSession, cases: Mapping[str, Case]) -> None:
        """Called with the selected cases, by test id. Raises ConfigurationError."""

    def hear(self, outcome: Outcome) -> None:
        """Called when a case has finished, from the thread that ran it."""

    def end(self) -> None:
        """Called when no job is running any more."""
