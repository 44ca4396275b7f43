"""A failed case in words, as a test's failure shows it on a terminal or in a CI log."""

from __future__ import annotations

from pytest_annmodal.model import Case
from pytest_annmodal.outcome import Failure
from pytest_annmodal.reports import escape

AGAIN = (
    "To try again what failed, on little data, add to the same command: "
    "--lf --ann-subset 1000 --ann-queries 20"
)
LOG_LINES = 20  # of an implementation's output, under a failed test


def infrastructure_text(failure: Failure) -> str:
    """A case that nobody is to blame for: no submission did anything wrong."""
    log = str(failure.evidence.get("log_tail", "")).rstrip()
    return escape.terminal("\n".join([failure.message, *(["", log] if log else [])]))


def failure_text(failure: Failure, case: Case) -> str:
    """A failed case as its author reads it: what happened, where, what was seen, what next."""
    parts = [failure.message]
    path = case.implementation.path
    if path not in failure.message:
        name = case.implementation.class_name  # C++ has none
        parts.append(f"  in {path}, class {name}" if name else f"  in {path}")
    seen = failure.evidence
    trace = str(seen.get("traceback", "")).rstrip()
    if trace:
        parts += ["", trace]
    log = str(seen.get("log_tail", "")).rstrip().splitlines()
    if log:
        left_out = f" ({len(log) - LOG_LINES} lines before)" if len(log) > LOG_LINES else ""
        parts += ["", f"Last output of the implementation{left_out}:"]
        parts += ["  " + line for line in log[-LOG_LINES:]]
    if failure.phase and case.implementation.error is None:  # it was run: not refused, and read
        parts += ["", AGAIN]
    return escape.terminal("\n".join(parts))
