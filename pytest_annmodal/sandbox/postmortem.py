"""Turns a worker's end, or the error that it reported, into a helpful error."""

from __future__ import annotations

import re
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
from pytest_annmodal.sandbox.output import plain

LARGEST_LINE = 10**7
FROM_NO_MEMORY = ("SIGABRT", "SIGSEGV", "SIGBUS")
# FileNotFoundError's message for a relative path to a file with a suffix.
NO_SUCH_FILE = re.compile(r"No such file or directory: '[^/'][^']*\.\w+'$")
ABSENT_MODULE = re.compile(r"No module named '(\w+(?:\.\w+)*)'")
FROM_ELSEWHERE = (
    "; a relative path starts from the worker's own working directory: "
    'use Path(__file__).parent / "…" for a file beside this one'
)


def reported(fields: Mapping[str, Any], phase: str, evidence: Mapping[str, Any]) -> SubmissionError:
    """Returns the error in a worker's ``error`` frame; a submission may have forged its fields."""
    message = _text(fields, "message", 2500)
    what = f"{_text(fields, 'type', 200) or 'Error'}: {message}".strip(": ")
    line = fields.get("line")
    where = f" (line {line})" if type(line) is int and 0 < line < LARGEST_LINE else ""
    seen = {"traceback": _text(fields, "traceback", 10_000), **evidence}
    if fields.get("kind") == "invalid-result":
        return InvalidResultError(message, **evidence)
    if fields.get("kind") == "limit":
        return LimitExceededError(
            f"ran out of memory during {phase}{where}: {what} (--ann-memory-mb sets the limit)",
            **seen,
        )
    if fields.get("type") == BuildError.__name__ and line is None:  # the worker's own message
        return BuildError(message, **evidence)
    hint = FROM_ELSEWHERE if NO_SUCH_FILE.search(message) else ""
    return BuildError(f"{phase} raised {what}{where}{hint}", **seen)


def absent_module(fields: Mapping[str, Any]) -> str | None:
    """Returns the name of the module that was not found, from an ``error`` frame; else None."""
    if fields.get("type") != ModuleNotFoundError.__name__:
        return None
    found = ABSENT_MODULE.search(_text(fields, "message", 2500))
    return found[1] if found else None


def _text(fields: Mapping[str, Any], name: str, most: int) -> str:
    """Returns a field's text, escaped and bounded: a submission can write this frame itself."""
    return plain(str(fields.get(name, ""))[:most])[: 4 * most]


def ended(
    status: int, phase: str, evidence: Mapping[str, Any], memory_bytes: int | None = None
) -> CrashedError:
    """Returns the error for a process that ended before it answered.

    Args:
        status: as in ``Popen.returncode``.
        memory_bytes: its memory limit, if any.
    """
    if status >= 0:
        return CrashedError(
            f"the process exited with status {status} during {phase}",
            exit_status=status,
            **evidence,
        )
    try:
        name = signal.Signals(-status).name
    except ValueError:  # a real-time signal has no name
        name = f"signal {-status}"
    hint = "; the system probably ran out of memory" if name == "SIGKILL" else ""
    if memory_bytes is not None and name in FROM_NO_MEMORY:
        hint = (
            "; native code often ends like this when it gets no more memory; the limit is "
            f"{memory_bytes / 2**20:,.0f} MB (--ann-memory-mb)"
        )
    return CrashedError(
        f"the process was ended by {name} during {phase}{hint}", exit_signal=name, **evidence
    )
