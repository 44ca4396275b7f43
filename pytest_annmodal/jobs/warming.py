"""The worker's report on the warm-up build before the timed build."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_annmodal.channel.wire import Message
from pytest_annmodal.sandbox.output import plain
from pytest_annmodal.worker.warming import N_ROWS

MAX_CHARS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Warmed:
    """Result of a warm-up build.

    Attributes:
        warm_up_build_s: seconds with the constructor; no other figure includes them.
        warm_up_build_failed: the name of the exception that it raised, or empty.
    """

    warm_up_build_rows: int
    warm_up_build_s: float
    warm_up_build_failed: str

    def note(self, *, kept: bool) -> str:
        """Returns the note for a reader of the build's figures."""
        if self.warm_up_build_failed:
            return (
                f"warm_up_build: the untimed build of {self.warm_up_build_rows} random rows raised "
                f"{self.warm_up_build_failed}, so the build time may include compiling"
            )
        where = "; numba's compiled code is kept for later sessions" if kept else ""
        return (
            f"warm_up_build: {self.warm_up_build_rows} random rows were built before timing, so "
            f"the build time excludes compiling{where}"
        )


def report_in(loaded: Message) -> Warmed:
    """Reads the report from a frame, which a submission may have forged.

    Raises:
        ProtocolViolationError: the frame has no such fields.
    """
    failed = loaded.fields.get("warm_up_build_failed")
    return Warmed(
        warm_up_build_rows=N_ROWS,
        warm_up_build_s=loaded.number("warm_up_build_s"),
        warm_up_build_failed=plain(str(failed or ""))[:MAX_CHARS],
    )
