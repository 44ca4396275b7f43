"""What a worker says of the build before the build that is timed."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_annmodal.channel.wire import Message
from pytest_annmodal.sandbox.output import plain
from pytest_annmodal.worker.warming import N_ROWS

MAX_CHARS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Warmed:
    """How a throw-away build went.

    Attributes:
        warm_up_build_s: seconds that it took, the construction included; in no other figure.
        warm_up_build_failed: the name of what it raised, or empty.
    """

    warm_up_build_rows: int
    warm_up_build_s: float
    warm_up_build_failed: str

    def note(self, *, kept: bool) -> str:
        """What a reader of the build's figures should know."""
        if self.warm_up_build_failed:
            return (
                f"warm_up_build: the build of {self.warm_up_build_rows} random rows before the "
                f"clock raised {self.warm_up_build_failed}, so compiling may be in the build"
            )
        where = "; numba's compiled code is kept for later sessions" if kept else ""
        return (
            f"warm_up_build: {self.warm_up_build_rows} random rows were built before the clock, so "
            f"compiling is not in the build{where}"
        )


def heard(loaded: Message) -> Warmed:
    """What the frame says, which a submission may have written.

    Raises:
        ProtocolViolationError: it says nothing of the kind.
    """
    failed = loaded.fields.get("warm_up_build_failed")
    return Warmed(
        warm_up_build_rows=N_ROWS,
        warm_up_build_s=loaded.number("warm_up_build_s"),
        warm_up_build_failed=plain(str(failed or ""))[:MAX_CHARS],
    )
