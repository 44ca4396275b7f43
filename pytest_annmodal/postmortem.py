"""From how a worker ended, or what it reported, to an error that a person can act on."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from typing import Any

from pytest_annmodal.errors import (
    BuildError,
    CrashedError,
    InvalidResultError,
    LimitExceededError,
    SubmissionError,
)
from pytest_annmodal.output import plain


def reported(fields: Mapping[str, Any], phase: str, evidence: Mapping[str, Any]) -> SubmissionError:
    """The error that a worker's ``error`` frame tells of; its fields are somebody's words."""
    message = plain(fields.get("message", ""))
    what = f"{plain(fields.get('type', 'Error'))}: {message}".strip(": ")
    where = f" (line {fields['line']})" if isinstance(fields.get("line"), int) else ""
    seen = {"traceback": plain(fields.get("traceback", "")), **evidence}
    if fields.get("kind") == "invalid-result":
        return InvalidResultError(message, **evidence)
    if fields.get("kind") == "limit":
        return LimitExceededError(
            f"ran out of memory during {phase}{where}: {what} (--ann-memory-mb sets the limit)",
            **seen,
        )
    return BuildError(f"{phase} raised {what}{where}", **seen)


def ended(status: int, phase: str, evidence: Mapping[str, Any]) -> CrashedError:
    """A process that ended before it answered; ``status`` as ``Popen.returncode`` has it."""
    if status >= 0:
        return CrashedError(
            f"the process exited with status {status} during {phase}",
            exit_status=status,
            **evidence,
        )
    try:
        name = signal.Signals(-status).name
    except ValueError:  # a real-time signal has no name of its own
        name = f"signal {-status}"
    hint = "; the system probably ran out of memory" if name == "SIGKILL" else ""
    return CrashedError(
        f"the process was ended by {name} during {phase}{hint}", exit_signal=name, **evidence
    )
